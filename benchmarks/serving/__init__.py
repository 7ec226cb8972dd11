"""The server under load: a process that serves, callers of it, and what is measured of both."""
