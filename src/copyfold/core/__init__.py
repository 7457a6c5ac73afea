"""Ground floor: configuration, plug-ins, run folders, files, seeds and the console. No biology, no torch."""
