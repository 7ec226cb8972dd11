"""Faults that were found by trials: one module a kind, each with tests that failed before it was mended."""
