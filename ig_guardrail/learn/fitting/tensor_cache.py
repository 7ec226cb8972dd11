"""Tensors on disk, one file a piece of work, so that an interrupted job goes on where it stopped.

A file's name is the hash of all that its content depends on, and it is put in place by a rename: it is whole and right,
or not there.

Also here: one line on the error stream that says how far a long job is.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from ig_guardrail.engine.loading.store import is_own, put_in_place

Tensors: TypeAlias = Mapping[str, NDArray[Any]]

AT_ONCE = 1.0  # seconds
_FORMAT = 1


class TensorCache:
    """A folder of such files. `facts` tell everything that the work of this cache has in common."""

    def __init__(self, folder: Path, facts: Sequence[object]) -> None:
        self._folder = folder
        self._facts = list(facts)

    def get(self, piece: Sequence[object], make: Callable[[], Tensors]) -> Tensors:
        """The tensors of one piece of work: those that are kept, else made now and kept."""
        path = self._folder / f"{self._key(piece)}.safetensors"
        kept = _load(path)
        if kept is None:
            kept = make()
            _save(path, kept)
        return kept

    def _key(self, piece: Sequence[object]) -> str:
        return hashlib.sha256(json.dumps([_FORMAT, self._facts, list(piece)], default=repr).encode()).hexdigest()


def _load(path: Path) -> Tensors | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path)) if is_own(path) else None
    except (FileNotFoundError, SafetensorError):
        return None


def _save(path: Path, tensors: Tensors) -> None:
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with put_in_place(path) as beside:
        save_file(dict(tensors), beside)


def progress_line(what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that rewrites one line, and ends it when all is done.

    What is done at once was kept by a run that was interrupted: how long the rest takes is told by what came after.
    """
    started = time.monotonic()
    kept, since = 0, 0.0  # how much was there, and when the work on the rest began

    def show(done: int, total: int) -> None:
        nonlocal kept, since
        spent = time.monotonic() - started
        if spent < AT_ONCE:
            kept, since = done, spent
        left = f", about {(spent - since) / (done - kept) * (total - done):.0f} s left" if done > kept else ""
        sys.stderr.write(f"\r{what}: {done} of {total}, {spent:.0f} s{left}   ")
        sys.stderr.write("\n" if done == total else "")
        sys.stderr.flush()

    return show
