"""Strategies: plain generators that yield requests and are sent replies, each readable beside its paper.

A strategy proposes; it does no I/O, knows no model, no batching and no text encoding, and cannot reach the stream.
"""
