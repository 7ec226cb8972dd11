"""Comparisons that ship with the package, by name."""
