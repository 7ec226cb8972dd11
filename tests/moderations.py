"""An endpoint on loopback that answers as a test scripts it: a real server for the real client.

A script is given the texts of a moderations request, and the whole body of any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeAlias

from pytest_socket import enable_socket, socket_allow_hosts

CATEGORIES = ("hate", "hate/threatening", "harassment", "harassment/threatening", "illicit", "illicit/violent")
BAD = "blockhead"


@dataclass(frozen=True)
class Reply:
    """What is answered; a status of 0 hangs up without a word."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Script: TypeAlias = Callable[[Any], Reply]


@dataclass
class Served:
    """A running server: its address, and what it was sent."""

    address: str
    asked: list[Any] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    callers: set[Any] = field(default_factory=set)


def judged(texts: Sequence[str], scores: Callable[[str], Mapping[str, Any]] | None = None) -> Reply:
    """The usual answer: 0.9 for hate where a text holds the bad word, else 0.01; all else 0."""
    scores = scores or (lambda text: {"hate": 0.9 if BAD in text.lower() else 0.01})
    results = [
        {"flagged": False, "category_scores": {**dict.fromkeys(CATEGORIES, 0), **scores(text)}} for text in texts
    ]
    return Reply(body={"id": "m", "model": "scripted", "results": results})


@contextmanager
def serving(script: Script = judged) -> Iterator[Served]:
    """A server at a free port of loopback, the only address that can be reached."""
    enable_socket()
    socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    served = Served(f"http://127.0.0.1:{server.server_port}/v1")
    server.script, server.served = script, served  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    wbufsize = -1  # head and body of a reply leave together
    server: Any

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body.get("input", body)
        served = self.server.served
        served.asked.append(asked)
        served.headers.append({name.lower(): value for name, value in self.headers.items()})
        served.callers.add(self.client_address)
        reply = self.server.script(asked)
        if reply.status == 0:
            self.close_connection = True
            return
        told = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(told))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *args: Any) -> None:
        """Nothing is printed."""
