"""Where a server listens."""

from __future__ import annotations

import ipaddress
import socket

from ig_guardrail.errors import RequestError

BACKLOG = 2_048  # connections that may wait to be taken


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int, uds: str | None = None) -> socket.socket:
    """A socket that listens at an address, or at a path; port 0 takes a free one. Raises RequestError if it cannot.

    That of an address says that it speaks TCP: only then asyncio has small pieces sent at once, where the system would
    keep each back until the other side has confirmed the one before, for 40 ms and more.
    """
    try:
        if uds is None:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            made = socket.create_server((host, port), family=family, backlog=BACKLOG)
            return socket.socket(family, made.type, socket.IPPROTO_TCP, made.detach())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(uds)
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        raise RequestError(
            f"the server cannot listen there: {error.strerror or error}",
            where=uds or f"{host}:{port}",
            why="another program may listen there, or the address is not this machine's",
            fix="name another with `--host` and `--port`; port 0 takes a free one",
        ) from None


def address_of(listener: socket.socket) -> str:
    """The address of a socket that listens, as a browser takes it; the path of a unix socket."""
    where = listener.getsockname()
    if not isinstance(where, tuple):
        return str(where)
    host = f"[{where[0]}]" if ":" in where[0] else where[0]
    return f"http://{host}:{where[1]}"
