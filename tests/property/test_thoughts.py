"""However tokens cut what a model writes, thought and answer are what it wrote less the markers, and judged alike."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.needs import CONSTITUTION, INDEX
from ig_guardrail.search.registry import METHODS
from ig_guardrail.types import Chunk, CompiledPolicy, Message, Reasoning, Sampling, SearchSettings
from tests.examples import examples
from tests.toys import LetterCost, toy_budget, toy_policy

MARKS = ThoughtFormat("<think>", "</think>", "<say>")
OPENED = ThoughtFormat("<think>", "</think>", ends="opened")
PARTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<say>", "<", "/", "think", ">", "\n", " ", "a", "b", "é", "c d", "</"]),
    max_size=14,
).map("".join)
CUTS = st.lists(st.integers(1, 6), min_size=1, max_size=5)


class Recited:
    """Says one text, in tokens of some bytes each, again and again; lane 1 says it without the letter b."""

    def __init__(self, text: str, sizes: list[int], shape: ThoughtFormat) -> None:
        self.answers = [_cut(text, sizes), _cut(text.replace("b", "a"), sizes)]
        self.vocabulary = Vocabulary(dict.fromkeys(piece for answer in self.answers for piece in answer), shape)

    def next_tokens(self, place: TokenPlace) -> Distribution:
        answer = self.answers[min(place.lane, 1)]
        done = len(place.prefix)
        return [(self.vocabulary.ids(answer[done])[0] if done < len(answer) else self.vocabulary.end, 1.0)]


def _cut(text: str, sizes: list[int]) -> list[bytes]:
    data, pieces = text.encode(), []
    while data:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def divided(text: str, opened: bool) -> tuple[str, str]:
    """Thought and answer of a whole text, by their definition."""
    if not opened:
        begun = re.fullmatch(r"\s*<think>(.*)", text, re.DOTALL)
        if begun is None:
            plain = re.fullmatch(r"\s*<say>(.*)", text, re.DOTALL)
            return "", text if plain is None else plain[1].lstrip()
        text = begun[1]
    mind, ended, answer = text.partition("</think>")
    return mind.strip(), answer.lstrip() if ended else ""


def told(
    text: str,
    sizes: list[int],
    shape: ThoughtFormat,
    policy: CompiledPolicy,
    reasoning: Reasoning = "auto",
    strategy: str = "cut",
) -> list[Chunk]:
    rail = Guardrail(ScriptedEngine(Recited(text, sizes, shape)), policy, {"level": LetterCost("level")})
    rail._approved.set()
    request = GenerationRequest((Message("user", "q"),), Sampling(max_tokens=400), strategy, reasoning=reasoning)
    return list(rail.stream(request))


def policy(budget: float, block: int, every: int = 4) -> CompiledPolicy:
    search = SearchSettings(block=block, hold=2, candidates=2, retries=0, shortest=0, steer=None)
    return toy_policy([toy_budget("b", threshold=0.0, budget=budget, every=every)], search)


@settings(deadline=None)
@given(PARTS, CUTS, st.sampled_from([MARKS, OPENED]), st.integers(1, 7))
@example("<think>a</think", [3], MARKS, 2)
@example("\n <think>\n é \n</think>\n\n a </think>", [1], MARKS, 3)
def test_thought_and_answer_are_what_was_written_less_the_markers(
    text: str, sizes: list[int], shape: ThoughtFormat, block: int
) -> None:
    chunks = told(text, sizes, shape, policy(1e9, block))
    shown = "".join(chunk.reasoning for chunk in chunks), "".join(chunk.text for chunk in chunks)
    assert shown == divided(text, shape is OPENED)
    receipt = chunks[-1].receipt
    assert receipt is not None
    assert (receipt.reasoning, receipt.text) == shown
    hidden = told(text, sizes, shape, policy(1e9, block), "hide")
    assert ("".join(chunk.text for chunk in hidden), {chunk.reasoning for chunk in hidden}) == (shown[1], {""})


@settings(deadline=None)
@given(PARTS, CUTS, st.sampled_from([MARKS, OPENED]), st.integers(1, 7), st.sampled_from(["auto", "hide"]))
def test_what_costs_is_found_in_thoughts_as_in_answers(
    text: str, sizes: list[int], shape: ThoughtFormat, block: int, reasoning: Reasoning
) -> None:
    mind, answer = divided(text, shape is OPENED)
    chunks = told(text, sizes, shape, policy(0.0, block), reasoning, "inference_guard")
    receipt = chunks[-1].receipt
    assert receipt is not None
    assert receipt.verdict.outcome == "completed"  # the other lane says the same without what costs
    shown = "".join(chunk.reasoning + chunk.text for chunk in chunks)
    assert shown == ((mind if reasoning == "auto" else "") + answer).replace("b", "a")
    same = told(text, sizes, shape, policy(0.0, 64), reasoning, "inference_guard")[-1].receipt
    assert same is not None
    assert same.spend == receipt.spend


@settings(deadline=None)
@given(PARTS, CUTS, st.sampled_from([MARKS, OPENED]), st.integers(1, 7))
def test_a_policy_that_ignores_hidden_thoughts_judges_the_answer_alone(
    text: str, sizes: list[int], shape: ThoughtFormat, block: int
) -> None:
    _, answer = divided(text, shape is OPENED)
    chunks = told(text, sizes, shape, replace(policy(1e9, block), reasoning="ignore"), "hide")
    receipt = chunks[-1].receipt
    assert receipt is not None
    assert "".join(chunk.text for chunk in chunks) == answer
    assert (receipt.spend["b"]["spent"] > 0) == ("b" in answer)


class Musing:
    """Says letters, white space and markers at any place, with odds of a seed."""

    def __init__(self, weights: list[int], shape: ThoughtFormat) -> None:
        self.vocabulary = Vocabulary(["a", "b", " ", "<think>", "</", "think", ">"], shape)
        total = sum(weights)
        self.odds = [(token, weight / total) for token, weight in enumerate(weights) if weight]

    def next_tokens(self, place: TokenPlace) -> Distribution:
        return self.odds


ANYWHERE = sorted(METHODS.keys() - {"none", "re_control", "early_exit"})  # the last two need layers


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=8, max_size=8),
    st.sampled_from([MARKS, OPENED]),
    st.sampled_from(ANYWHERE),
    st.sampled_from(["auto", "hide"]),
    st.integers(0, 9),
    st.sampled_from([None, 0, 3]),
)
def test_no_method_shows_what_is_over_budget_in_a_thought_or_behind_it(
    weights: list[int], shape: ThoughtFormat, name: str, reasoning: Reasoning, seed: int, limit: int | None
) -> None:
    method = METHODS[name]
    steer = {"steer": "Be kind."} if CONSTITUTION in method.needs else {"steer": None}
    search = SearchSettings(block=3, hold=2, candidates=2, retries=1, shortest=0, **steer)
    rules = toy_policy([toy_budget("b", model="event", threshold=0.0, budget=0.0, every=1)], search, ("event",))
    cost = LetterCost("event", reading="event", granularity="token")
    rail = Guardrail(ScriptedEngine(Musing(weights, shape)), rules, {"event": cost}, Values(reward=Flat()))
    rail._approved.set()
    sampling = Sampling(temperature=1.0, top_p=1.0, seed=seed, max_tokens=24, max_reasoning_tokens=limit)
    strategy = method.search if INDEX in method.needs else name
    chunks = list(rail.stream(GenerationRequest((Message("user", "q"),), sampling, strategy, reasoning=reasoning)))
    receipt = chunks[-1].receipt
    assert receipt is not None
    mind, said = "".join(chunk.reasoning for chunk in chunks), "".join(chunk.text for chunk in chunks)
    assert (receipt.reasoning, receipt.text) == (mind, said)
    assert receipt.verdict.outcome in ("completed", "refused", "ended")
    assert receipt.spend["b"]["spent"] == 0
    assert "b" not in mind + said.removesuffix("[refusal")
    assert mind == "" or reasoning == "auto"


class Flat:
    """Likes all equally."""

    layers = ()

    def predict(self, nodes: Any) -> list[float]:
        return [0.0] * len(nodes)
