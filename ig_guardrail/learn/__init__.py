"""Fitting cost models to a language model, and measuring honestly how good they are. No request ever runs this code."""
