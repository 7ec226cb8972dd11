"""Faults that trials found, each held by a test of its kind."""
