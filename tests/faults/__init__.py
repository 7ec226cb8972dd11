"""Faults that were found by trials, each mended by its kind."""
