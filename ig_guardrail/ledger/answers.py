"""Names a message of the assistant by what it says and calls, so that a conversation knows its own answers again.

The name rests on words and calls as they are, never on a text that was made of them: it does not depend on white
space, on how JSON is spaced or ordered, on the names that calls are given, or on how an answer is cut into messages.
Whatever else differs gives another name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ig_guardrail.types import AssistantMessage, ToolCall

MOST_PARTS = 16  # messages that an answer is looked for in, where it is not all that an assistant said in a row


@dataclass(frozen=True, slots=True)
class Print:
    """What names a message: its words without white space, in UTF-8, and a SHA-256 for each of its calls."""

    words: bytes
    calls: tuple[bytes, ...]


def answer_sha256(said: AssistantMessage) -> str:
    """The name of an answer."""
    (name,) = _names([_print(said)])
    return name


def join_messages(parts: Sequence[AssistantMessage]) -> AssistantMessage:
    """Messages that are one answer, in the order in which they were given."""
    words = "\n\n".join(part.words for part in parts if part.words)
    return AssistantMessage(words, tuple(call for part in parts for call in part.calls))


def strangers(parts: Sequence[AssistantMessage], knows: Callable[[str], bool]) -> list[tuple[AssistantMessage, ...]]:
    """The fewest of an assistant's messages that leave nothing but known answers beside them; neighbours together.

    knows: whether an answer of that name is known
    """
    said = [part for part in parts if part.words.strip() or part.calls]
    prints = list(map(_print, said))
    if not said or (_one_answer(prints) == len(said) and knows(answer_sha256(join_messages(said)))):
        return []
    ends = [_known_ends(prints, start, knows) for start in range(len(said))]
    fewest, steps = [0] * (len(said) + 1), [0] * len(said)
    for start in range(len(said) - 1, -1, -1):
        ways = [(fewest[end], end) for end in ends[start]] + [(fewest[start + 1] + 1, 0)]
        fewest[start], steps[start] = min(ways)
    return _runs(said, steps)


def _runs(said: Sequence[AssistantMessage], steps: Sequence[int]) -> list[tuple[AssistantMessage, ...]]:
    """Messages that no known answer covers. steps: where the known answer ends that begins at each, 0 without one."""
    found: list[list[AssistantMessage]] = []
    place, apart = 0, True
    while place < len(said):
        if steps[place]:
            place, apart = steps[place], True
            continue
        if apart or found[-1][-1].calls:
            found.append([])
        found[-1].append(said[place])
        place, apart = place + 1, False
    return list(map(tuple, found))


def _known_ends(prints: Sequence[Print], start: int, knows: Callable[[str], bool]) -> list[int]:
    """Where known answers end that begin at `start`."""
    near = prints[start : start + MOST_PARTS]
    return [start + count for count, name in enumerate(_names(near[: _one_answer(near)]), 1) if knows(name)]


def _one_answer(prints: Sequence[Print]) -> int:
    """How many messages may be one answer, which has no words behind its calls."""
    return next((i for i in range(1, len(prints)) if prints[i - 1].calls and prints[i].words), len(prints))


def _names(prints: Sequence[Print]) -> Iterator[str]:
    """The name of the first message, of the first two as one answer, and so on."""
    words, calls = hashlib.sha256(), hashlib.sha256()
    for one in prints:
        words.update(one.words)
        calls.update(b"".join(one.calls))
        yield hashlib.sha256(words.digest() + calls.digest()).hexdigest()


def _print(said: AssistantMessage) -> Print:
    words = "".join(said.words.split()).encode("utf-8", "surrogatepass")
    return Print(words, tuple(map(_call_sha256, said.calls)))


def _call_sha256(call: ToolCall) -> bytes:
    content = json.dumps({"name": call.name, "arguments": call.arguments}, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).digest()
