"""Whether a model gives the same bits however many tokens a step reads, tried when it is opened.

Whether it does depends on the kinds of numbers in its file, on the processor, and on how the library was built. Where
it does not, answers are read token by token: slower beside candidates, and as exact.

The trial reads some seventy tokens. What came of it is kept in the store, for the same file under the same library, and
until the machine is started anew: what runs then may be another processor.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ig_guardrail.engine.decoding.by_numpy import Floats
from ig_guardrail.engine.llama_cpp.cells import NARROW, Pool
from ig_guardrail.engine.llama_cpp.reader import CachedSequence, Reader
from ig_guardrail.engine.loading.store import is_own, put_in_place, store_folder
from ig_guardrail.engine.tree import RequestUsage

STEPS = 6  # tokens that are read one by one, and then at once
TRIAL = 1  # what came of trials by an earlier version of `try_out` is not believed
_START = Path("/proc/sys/kernel/random/boot_id")  # names the machine, and when it was started
_SAID = {"steady": True, "token by token": False}


def is_steady(pool: Pool, ids: Sequence[int], about: Sequence[object]) -> bool:
    """Whether a line alone, one beside many, and one that is read at once have the same logits.

    ids    some tokens, which are read
    about  what else it depends on: the file, the library, and the numbers of keys and values
    """
    note = _note_of(about)
    known = None if note is None else _noted(note)
    if known is None:
        known = try_out(pool, ids)
        if note is not None:
            _keep(note, known)
    return known


def try_out(pool: Pool, ids: Sequence[int]) -> bool:
    """The trial itself."""
    account, reader = RequestUsage(0), Reader(pool, 2 * NARROW + len(ids))
    root, ids = ids[0], [ids[place % len(ids)] for place in range(NARROW)]
    reader.take_root([root], account)
    alone = _forked(reader)
    stepped = [_read(reader, [(alone, token)], account)[0] for token in ids[:STEPS]]
    once = _forked(reader)
    if not _alike(stepped, _read(reader, [(once, token) for token in ids[:STEPS]], account)):
        return False
    for count in (2, NARROW // 6, NARROW):
        lines = [_forked(reader) for _ in ids[:count]]
        beside = _read(reader, list(zip(lines, ids, strict=False)), account)
        for line in lines:
            reader.cells.drop(line.number)
            reader.lines.remove(line)
        if not _alike(stepped[:1], beside[:1]):
            return False
    return True


def _note_of(about: Sequence[object]) -> Path | None:
    """Where the outcome is kept; None on a machine that does not say when it was started."""
    try:
        start = _START.read_text()
    except OSError:
        return None
    key = repr((TRIAL, STEPS, NARROW, start, *about))
    return store_folder() / "trials" / hashlib.sha256(key.encode()).hexdigest()


def _noted(note: Path) -> bool | None:
    """What a note says, if it is ours."""
    try:
        return _SAID.get(note.read_text()) if is_own(note.parent) and is_own(note) else None
    except (OSError, ValueError):
        return None


def _keep(note: Path, known: bool) -> None:
    with contextlib.suppress(OSError):  # a store that cannot be written to remembers nothing
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with put_in_place(note) as beside:
            beside.write_text(next(said for said, steady in _SAID.items() if steady is known))


def _forked(reader: Reader) -> CachedSequence:
    return reader.fork(reader.lines[0], 0)


def _read(reader: Reader, items: Sequence[tuple[CachedSequence, int]], account: RequestUsage) -> list[Floats]:
    return list(reader.take(items, [True] * len(items), (), account).logits)


def _alike(one: Sequence[Floats], other: Sequence[Floats]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
