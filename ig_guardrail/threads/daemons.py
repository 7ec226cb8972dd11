"""Threads that the process may leave at any time.

A daemon thread that works in C++ while the interpreter ends is made to exit as soon as it wants to go on in Python. C++
takes that for an error, and aborts the process with exit code 134. So before the interpreter ends, the threads of this
package are told to end, those that are busy are interrupted, and all are waited for, `LAST_S` seconds at most. Where
one is in C++ even then, C++ is told to let such a thread rest in place of aborting.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

PROMPT_S = 0.1  # in which a thread that is not busy ends
LAST_S = 1.0  # in which one that is interrupted has to
_CPP = {"linux": "libstdc++.so.6", "darwin": "libc++abi.dylib"}  # the libraries that abort, by platform


class Daemon(threading.Thread):
    """A started daemon thread, and how it is told to end: `end` is called, from any thread, and returns at once."""

    def __init__(self, name: str, work: Callable[..., object], args: Sequence[Any], end: Callable[[], object]) -> None:
        """Raises RuntimeError where no thread can be started, such as at the end of the interpreter."""
        super().__init__(target=work, args=args, name=name, daemon=True)
        self.end = end
        self.start()


def _rest() -> None:
    """Have no thread of this package bring the process down while the interpreter ends."""
    for thread in _running():
        thread.end()
    _wait(PROMPT_S)
    for thread in _running():
        _interrupt(thread)
    _wait(LAST_S)
    if _running():
        _let_rest()


def _running() -> list[Daemon]:
    return [thread for thread in threading.enumerate() if isinstance(thread, Daemon)]


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    for thread in _running():
        if thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))


def _interrupt(thread: Daemon) -> None:
    """Raise SystemExit in a thread, at its next step in Python."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def _let_rest() -> None:
    """Have C++ put a thread to sleep for good where it would abort the process. Without C++ there is nothing to do."""
    with contextlib.suppress(OSError, AttributeError, KeyError):
        loaded = ctypes.CDLL(_CPP[sys.platform], mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        loaded._ZSt13set_terminatePFvvE(ctypes.cast(ctypes.CDLL(None).pause, ctypes.c_void_p))


atexit.register(_rest)
