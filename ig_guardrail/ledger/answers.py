"""Names a message of the assistant by what it says and calls, so that a conversation knows its own answers again.

The name rests on words and calls as they are, never on a text that was made of them: it does not depend on white
space, on how JSON is spaced or ordered, on the names that calls are given, or on how an answer is cut into messages.
Whatever else differs gives another name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from ig_guardrail.types import Utterance

MOST_PARTS = 16  # messages that one answer is looked for in, where the answer is not all that is left of a turn


def answer_sha256(said: Utterance) -> str:
    """The name of an answer."""
    calls = [{"name": call.name, "arguments": call.arguments} for call in said.calls]
    content = json.dumps(["".join(said.words.split()), *calls], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def joined(parts: Sequence[Utterance]) -> Utterance:
    """Messages that are one answer, in the order in which they were given."""
    return Utterance("\n\n".join(part.words for part in parts if part.words), sum((p.calls for p in parts), ()))


def strangers(parts: Sequence[Utterance], knows: Callable[[str], bool]) -> list[tuple[Utterance, ...]]:
    """Those of an assistant's messages that are no answers that are known, nor parts of such; neighbours together.

    knows: whether an answer of that name is known
    """
    said = [part for part in parts if part.words.strip() or part.calls]
    found: list[list[Utterance]] = []
    place, apart = 0, True
    while place < len(said):
        stop = next((stop for stop in _stops(said, place) if knows(answer_sha256(joined(said[place:stop])))), None)
        if stop is not None:
            place, apart = stop, True
            continue
        if apart or found[-1][-1].calls:
            found.append([])
        found[-1].append(said[place])
        place, apart = place + 1, False
    return list(map(tuple, found))


def _stops(said: Sequence[Utterance], start: int) -> list[int]:
    """Where an answer that begins at `start` may end, the furthest first: it has no words behind its calls."""
    furthest = next(
        (i + 1 for i in range(start, len(said) - 1) if said[i].calls and said[i + 1].words.strip()), len(said)
    )
    near = range(min(furthest, start + MOST_PARTS), start, -1)
    return list(dict.fromkeys((furthest, *near)))
