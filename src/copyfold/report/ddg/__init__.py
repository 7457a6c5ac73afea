"""Sections of the report of a stability run: a specialist or a refiner."""
