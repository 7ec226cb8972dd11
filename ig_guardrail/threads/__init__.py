"""Threads, locks and an event loop of the package's own, and what becomes of them when the process forks or ends."""
