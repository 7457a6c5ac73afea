"""The command line: parses, calls `copyfold.app`, prints. Nothing is computed here."""
