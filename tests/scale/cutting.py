"""A way to a server on which connections are cut, now before what is asked arrives, now before the answer does."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from pathlib import Path


class CuttingWay:
    """Listens in `folder` as the server behind it does. share: of messages at which a connection is cut."""

    def __init__(self, folder: Path, server: Path, seed: int) -> None:
        self.share, self.unasked, self.unheard = 0.0, 0, 0
        self._server, self._random, self._ended = server, random.Random(seed), False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Once the connections of callers are closed."""
        self._ended = True
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            if self._ended:
                caller.close()
                return
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(str(self._server))
            except OSError:
                caller.close()
                there.close()
                continue
            for work in (self._ask, self._answer):
                self._threads.append(threading.Thread(target=work, args=(caller, there)))
                self._threads[-1].start()

    def _ask(self, caller: socket.socket, there: socket.socket) -> None:
        """Pass on what is asked, until the connection ends or is cut."""
        with caller:
            while data := _read(caller):
                if self._random.random() < self.share:
                    if self._random.random() < 0.5:
                        self.unasked += 1
                    else:  # the server does what it is asked to, and nobody hears of it
                        self.unheard += 1
                        _end(caller)
                        there.sendall(data)
                    break
                there.sendall(data)
            _end(caller)
            _end(there, socket.SHUT_WR)

    def _answer(self, caller: socket.socket, there: socket.socket) -> None:
        with there:
            while data := _read(there):
                with contextlib.suppress(OSError):
                    caller.sendall(data)
            _end(caller)


def _read(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def _end(end: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(how)
