"""What a text cost has read at each look: the text of the answer's first tokens, by words, as a guard reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ig_guardrail.costs.words import Reader
from ig_guardrail.engine.chat import Chat
from ig_guardrail.learn.states import answer_ids, points_of


def prefix_counts(
    chat: Chat, answers: Sequence[str], buckets: int
) -> tuple[list[tuple[int, ...]], list[Mapping[int, int]]]:
    """For each answer the points it is looked at, and, laid end to end, the term counts at each look."""
    points, counts = [], []
    for answer in answers:
        ids = answer_ids(chat, answer)
        own = points_of(len(ids))
        points.append(own)
        for point in own:
            read = chat.tokenizer.decode(ids[:point], clean_up_tokenization_spaces=False)
            counts.append(Reader().read(read.rstrip("\N{REPLACEMENT CHARACTER}"), point == own[-1], buckets).counts)
    return points, counts


def whole_counts(texts: Sequence[str], buckets: int) -> tuple[list[tuple[int, ...]], list[Mapping[int, int]]]:
    """The same with one look at each text, at its end: for prompts."""
    return [(0,) for _ in texts], [Reader().read(text, True, buckets).counts for text in texts]
