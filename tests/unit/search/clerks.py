"""Toy models of two people, Ann and Bob: what they say depends on the words of the conversation and of the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeAlias

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.text.counterfactual import paired, swap_words
from ig_guardrail.types import Message, Receipt, Sampling, SearchSettings
from tests.toys import toy_policy

END = ""
FAIR = "Be fair."
ASKED = (Message("user", "How does ann do?"),)
SWAP = paired([("ann", "bob"), ("sister", "brother")])
SAME: Mapping[str, str] = {"ann": "ann", "bob": "bob"}
PIECES = (" ann", " bob", " works", " idles", " sis", " bro", "ter", "ther")
ROOMY = Sampling(max_tokens=40)
Law: TypeAlias = Callable[[str, str], Mapping[str, float]]
Work: TypeAlias = Callable[[Any], Generator[Any, Any, Any]]


@dataclass(frozen=True)
class Clerk:
    """A model that goes on as a law of (conversation, answer so far) has it: probabilities of pieces; "" is the end."""

    law: Law
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(PIECES))

    def next_tokens(self, place: TokenPlace) -> Distribution:
        answer = b"".join(map(self.vocabulary.bytes_of, place.prefix)).decode()
        law = self.law(conversation(place.prompt.turns), answer)
        return [(self.vocabulary.ids(piece)[0] if piece else self.vocabulary.end, p) for piece, p in law.items()]

    def logprob(self, turns: Sequence[Message], text: str) -> float:
        """log P of an answer that begins with this text, by its definition, nats."""
        said, total = "", 0.0
        for token in self.vocabulary.ids(text):
            piece = self.vocabulary.bytes_of(token).decode()
            total += math.log(self.law(conversation(turns), said)[piece])
            said += piece
        return total

    def told(self, swap: Mapping[str, str], before: str, block: str) -> float:
        """log q of a block in a lane: under the constitution, with the words of a swap exchanged, nats."""
        lane = (Message("system", FAIR), *(Message(turn.role, swap_words(turn.text, swap)) for turn in ASKED))
        whole, start = swap_words(before + block, swap), swap_words(before, swap)
        return self.logprob(lane, whole) - self.logprob(lane, start)


def conversation(turns: Sequence[Message]) -> str:
    return "\n".join(turn.text for turn in turns)


def rail(
    law: Law,
    candidates: int = 4,
    block: int = 2,
    swaps: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    **keys: Any,
) -> Guardrail:
    """A guardrail over a clerk, without budgets."""
    search = SearchSettings(candidates=candidates, block=block, hold=0, shortest=0, steer=FAIR, restart=None, retries=0)
    policy = replace(toy_policy([], search, models=()), swaps=swaps)
    return Guardrail(ScriptedEngine(Clerk(law), **keys), policy, {})


def answer(one: Guardrail, search: Any, tokens: int = 4, seed: int = 0) -> Receipt:
    """The receipt of an answer, drawn at temperature 1 without filters."""
    return sampled(one, search, Sampling(max_tokens=tokens, temperature=1.0, top_p=1.0, seed=seed))


def sampled(one: Guardrail, search: Any, sampling: Sampling) -> Receipt:
    """The receipt of an answer. Nothing may be held after it."""
    *_, last = one.stream(GenerationRequest(ASKED, sampling, search))
    assert last.receipt is not None
    assert one.engine.live_nodes() == 0
    return last.receipt


def found(one: Guardrail, work: Work, sampling: Sampling = ROOMY) -> Any:
    """What a piece of a strategy finds at the root."""
    kept: list[Any] = []

    def search(root: Any, ctx: SearchContext) -> Search:
        kept.append((yield from work(root)))

    sampled(one, search, sampling)
    return kept[0]
