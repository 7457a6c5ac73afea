"""Hostile files: made, given to every reader, and what came of it."""
