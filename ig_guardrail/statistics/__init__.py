"""Figures with intervals: for measures on drawn prompts, and for shares of answers."""
