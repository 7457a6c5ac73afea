"""The package's version: asking its installed metadata costs every command a fiftieth of a second."""

__version__ = "0.1.0"
