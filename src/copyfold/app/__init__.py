"""Whole jobs made of the parts."""
