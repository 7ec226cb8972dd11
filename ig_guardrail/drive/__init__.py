"""Answers a strategy's requests with the engine and the cost models, for sync and async callers alike.

Everything here is a generator that yields futures to wait for and text to show; `runners` supplies the waiting.
"""
