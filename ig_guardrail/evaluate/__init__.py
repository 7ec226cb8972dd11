"""Compares guarded with unguarded decoding: the same prompts, the same seeds, every outcome counted."""
