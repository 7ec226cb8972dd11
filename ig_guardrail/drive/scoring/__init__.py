"""Asks cost models for scores, and turns scores into charges."""
