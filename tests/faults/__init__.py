"""Faults put into commands at work, and what is left of their work afterwards."""
