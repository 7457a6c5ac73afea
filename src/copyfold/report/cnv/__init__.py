"""Sections of a copy-number run's report."""
