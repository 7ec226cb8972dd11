"""Whether a model gives the same bits however many tokens a step reads, tried when it is opened.

Whether it does depends on the kinds of numbers in its file, on the processor, and on how the library was built. Where
it does not, answers are read token by token: slower beside candidates, and as exact.

The trial reads some seventy tokens. What came of it is kept in the store, for the same file under the same library, and
until the machine is started anew: what runs then may be another processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ig_guardrail.engine.decoding.by_numpy import Floats
from ig_guardrail.engine.llama_cpp.cells import NARROW, Pool
from ig_guardrail.engine.llama_cpp.reader import CachedSequence, Reader
from ig_guardrail.engine.loading.trials import Trials, trials_under
from ig_guardrail.engine.tree import RequestUsage

STEPS = 6  # tokens that are read one by one, and then at once
TRIAL = 1  # what came of trials by an earlier version of `try_out` is not believed
_START = Path("/proc/sys/kernel/random/boot_id")  # names the machine, and when it was started


def is_steady(pool: Pool, ids: Sequence[int], about: Sequence[object]) -> bool:
    """Whether a line alone, one beside many, and one that is read at once have the same logits.

    ids    some tokens, which are read
    about  what else it depends on: the file, the library, and the numbers of keys and values
    """
    trials = _trials(about)
    found = trials.find("steady", lambda: try_out(pool, ids))
    trials.keep()
    return found is True


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


def _trials(about: Sequence[object]) -> Trials:
    """Nothing is kept on a machine that does not say when it was started."""
    try:
        start = _START.read_text()
    except OSError:
        return Trials()
    return trials_under((TRIAL, STEPS, NARROW, start, *about))


def _forked(reader: Reader) -> CachedSequence:
    return reader.fork(reader.lines[0], 0)


def _read(reader: Reader, items: Sequence[tuple[CachedSequence, int]], account: RequestUsage) -> list[Floats]:
    return list(reader.take(items, [True] * len(items), (), account).logits)


def _alike(one: Sequence[Floats], other: Sequence[Floats]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
