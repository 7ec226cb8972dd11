"""What holds of every stream: real gate, real drive, hostile strategies, cost models and consumers.

IG_STREAMS sets how many streams are run in all (3,000 by default, and 100,000 in `make test-deep`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ig_guardrail.errors import GenerationFailed, GuardrailError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.types import (
    Append,
    Budget,
    Chunk,
    Commit,
    Draw,
    Drop,
    Edit,
    Expand,
    Extend,
    Node,
    Receipt,
    Sampling,
    Score,
    SearchSettings,
    Together,
    TokenLogprobs,
    Twin,
)
from tests.toys import LetterCost, ask, guardrail, letters, reference_spend, toy_budget, toy_policy

STREAMS = int(os.environ.get("IG_STREAMS", "3000"))
relaxed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}


def streams(share: float) -> Any:
    return settings(max_examples=max(20, int(STREAMS * share)), **relaxed)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ what is drawn


@st.composite
def budgets(draw: st.DrawFn, name: str) -> Budget:
    return toy_budget(
        name,
        threshold=draw(st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0])),
        budget=draw(st.sampled_from([0.0, 0.05, 0.25, 2.0])),
        weight=draw(st.sampled_from([0.5, 1.0, 3.0])),
        discount=draw(st.sampled_from([1.0, 0.99])),
        accumulate=draw(st.sampled_from(["max", "sum"])),
        every=draw(st.sampled_from([1, 3, 4, 16])),
        mode=draw(st.sampled_from(["enforce", "enforce", "enforce", "shadow"])),
        model=draw(st.sampled_from(["level", "event", "whole"])),
    )


@dataclass(frozen=True)
class World:
    """A guardrail to be attacked: vocabulary odds, budgets, search settings, sampling.

    early_scored: whether costs can be read between charge points, so that wide rounds begin beside drafts
    """

    weights: tuple[float, ...]
    budgets: tuple[Budget, ...]
    search: SearchSettings
    sampling: Sampling
    granularity: str
    early_scored: bool = False

    def guardrail(self, costs: dict[str, Any] | None = None) -> Guardrail:
        layers = (1,) if self.early_scored else ()
        models = {
            "level": LetterCost("level", granularity=self.granularity, layers=layers),
            "event": LetterCost("event", reading="event", granularity=self.granularity, longest_match=1, layers=layers),
            "whole": LetterCost("whole", granularity="final", layers=layers),
        }
        policy = toy_policy(self.budgets, self.search, models=tuple(models))
        return guardrail(letters(self.weights), policy, {**models, **(costs or {})})


@st.composite
def worlds(draw: st.DrawFn) -> World:
    block = draw(st.sampled_from([1, 2, 4, 5, 8, 16]))
    search = SearchSettings(
        mode=draw(st.sampled_from(["on_risk", "always"])),
        candidates=draw(st.sampled_from([1, 2, 4])),
        beams=draw(st.sampled_from([1, 1, 2])),
        block=block,
        retries=draw(st.integers(0, 2)),
        hold=draw(st.sampled_from([0, 1, 4, 16])),
        trigger=draw(st.sampled_from([0.5, 1.0])),
        accept=draw(st.sampled_from([0.3, 0.5])),
        shortest=draw(st.sampled_from([0, 3])),
        steer=draw(st.sampled_from([None, "be kind"])),
        restart=draw(st.sampled_from([None, "be strict"])),
    )
    sampling = Sampling(
        seed=draw(st.integers(0, 10_000)),
        max_tokens=draw(st.sampled_from([1, 3, 8, 16, 20])),
        stop=draw(st.sampled_from([(), ("ab",), ("bbb", "ca"), ("aaaaaa",)])),
        temperature=1.0,
        top_p=1.0,
    )
    weights = draw(st.sampled_from([(5, 3, 1, 1), (8, 1, 1, 0), (1, 6, 1, 1), (3, 3, 3, 0), (1, 1, 1, 4)]))
    some = tuple(draw(budgets(f"b{i}")) for i in range(draw(st.integers(1, 3))))
    granularity = draw(st.sampled_from(["block", "block", "token"]))
    return World(weights, some, search, sampling, granularity, draw(st.booleans()))


# ---------------------------------------------------------------------------------------------- hostile strategies


def hostile(seed: int) -> Any:
    """A strategy that does anything its contract lets it yield, and now and then what it does not."""

    def search(root: Node, ctx: SearchContext) -> Search:
        dice = random.Random(seed)
        nodes = [root]
        while dice.random() < 0.97:
            node = dice.choice(nodes[-6:] if dice.random() < 0.7 else nodes)
            deed = dice.choice(
                ["extend", "extend", "extend", "commit", "commit", "commit", "score", "append", "twin", "together"]
            )
            if dice.random() < 0.02:
                deed = dice.choice(["forge", "garbage", "crash", "drop", "expand", "logprobs", "reuse"])
            kind: Any = dice.choice(["cost", "early_score"])
            if deed == "extend" and node.finish is None:
                nodes += yield Extend(
                    (Draw(node, dice.randint(1, 3), dice.randint(0, 5)),), dice.randint(1, 7), dice.randint(0, 3)
                )
            elif deed == "commit":
                yield Commit(node)
            elif deed == "score":
                yield Score((node,), kind)
            elif deed == "append" and node.finish is None:
                nodes += yield Append(((node, dice.choice([dice.choice(nodes), "b", "abc", (0, 1)])),))
            elif deed == "together" and node.finish is None:
                both = yield Together(
                    (Extend((Draw(node),), 2), Twin(node, Edit("anything")), TokenLogprobs(node, (0,)))
                )
                nodes += [*both[0], both[1]]
            elif deed == "twin" and node.finish is None:
                nodes.append((yield Twin(node, Edit("anything"))))
            elif deed == "forge":
                nodes.append(replace(node, text=node.text + "b", visible=node.visible + 1))
            elif deed == "garbage":
                yield dice.choice([None, 7, "commit", object()])  # type: ignore[misc]
            elif deed == "crash":
                raise ValueError("the strategy has a bug")
            elif deed == "drop":
                yield Drop((node,))
            elif deed == "expand" and node.finish is None:
                nodes += yield Expand(node, 2)
            elif deed == "logprobs" and node.finish is None:
                yield TokenLogprobs(node, (0, 1))

    return search


def endless(root: Node, ctx: SearchContext) -> Search:
    """Draws and scores for ever and never commits."""
    while True:
        nodes = yield Extend((Draw(root, 2),), 4)
        yield Score(tuple(nodes))


def stubborn(root: Node, ctx: SearchContext) -> Search:
    """Offers the worst node it can find, again and again."""
    (bad,) = yield Append(((root, "bbbb"),))
    while True:
        yield Commit(bad)


# ------------------------------------------------------------------------------------------------------- the checks


def drain(chunks: Iterator[Chunk]) -> tuple[list[str], Receipt]:
    """The deltas and the receipt of a stream, whichever way it ends."""
    deltas: list[str] = []
    try:
        for chunk in chunks:
            if chunk.receipt is not None:
                return [*deltas, chunk.text], chunk.receipt
            deltas.append(chunk.text)
    except GenerationFailed as failure:
        return deltas, failure.receipt
    raise AssertionError("a stream ended without a receipt")


def assert_promises(world: World, deltas: list[str], receipt: Receipt) -> None:
    outcome = receipt.verdict.outcome
    assert outcome in ("completed", "refused", "ended", "cancelled", "failed")
    assert "".join(deltas) == receipt.text
    shown = model_text(receipt)
    assert outcome != "refused" or shown == ""
    assert outcome not in ("ended",) or shown != ""
    assert not any(stop in shown for stop in world.sampling.stop)
    assert len(shown) <= world.sampling.max_tokens
    for budget in world.budgets:
        if budget.mode != "enforce":
            continue
        ended = outcome == "completed" and (budget.discount == 1 or not world.sampling.stop)  # a stop moves the end
        for length in range(len(shown) + 1):
            spend = reference_spend(world, budget, shown[:length], ended and length == len(shown))
            assert spend <= budget.budget + 1e-9, f"{budget.id}: {shown[:length]!r} costs {spend}"
    if outcome == "completed":
        assert receipt.verdict.finish in ("stop", "length")


def model_text(receipt: Receipt) -> str:
    """What the model wrote of the shown text: a closing message is policy text."""
    text = receipt.text
    if receipt.verdict.outcome in ("refused", "ended"):
        return text[: text.rindex("[")].removesuffix("\n\n")
    return text


# -------------------------------------------------------------------------------------------------------- properties


@streams(0.35)
@given(worlds(), st.sampled_from(["inference_guard", "inference_guard", "cut"]))
def test_guarded_streams_keep_their_budgets(world: World, strategy: str) -> None:
    rail = world.guardrail()
    deltas, receipt = drain(rail.stream(ask(world.sampling, strategy)))
    assert_promises(world, deltas, receipt)
    assert receipt.verdict.outcome != "failed"
    assert rail.engine.live_nodes() == 0


@pytest.mark.slow
@streams(0.2)
@given(worlds(), st.sampled_from([8, 9, 16]))
def test_early_looks_change_no_answer(world: World, block: int) -> None:
    """Text that flows inside a block may not be backed up over, so the hold is kept below a block here."""
    world = replace(world, search=replace(world.search, block=block, hold=4, beams=1, mode="on_risk"))
    answers = []
    for early_scored in (False, True):
        rail = replace(world, early_scored=early_scored).guardrail()
        deltas, receipt = drain(rail.stream(ask(world.sampling)))
        answers.append(("".join(deltas), receipt.verdict, receipt.charges))
        assert rail.engine.live_nodes() == 0
    assert answers[0] == answers[1]


@pytest.mark.slow
@streams(0.3)
@given(worlds(), st.integers(0, 10**9))
def test_a_hostile_strategy_cannot_leak_nor_hang(world: World, seed: int) -> None:
    rail = world.guardrail()
    strategy = {0: endless, 1: stubborn}.get(seed % 40, hostile(seed))
    deltas, receipt = drain(rail.stream(ask(world.sampling, strategy)))
    assert_promises(world, deltas, receipt)
    assert rail.engine.live_nodes() == 0


class Broken(LetterCost):
    """A cost model that goes wrong from its nth call on."""

    def __init__(self, how: str, after: int, granularity: str) -> None:
        super().__init__("level", granularity=granularity)
        self.how, self.left = how, after

    def advance(self, steps: Any) -> Any:
        answers = super().advance(steps)
        self.left -= 1
        if self.left >= 0:
            return answers
        if self.how == "raises":
            raise RuntimeError("out of order")
        if self.how == "too few":
            return answers[:-1]
        if self.how == "no scores":
            return [(state, ()) for state, _ in answers]
        bad = {"nan": float("nan"), "inf": float("inf"), "negative": -0.1, "above one": 1.1}[self.how]
        return [(state, (bad,)) for state, _ in answers]


@streams(0.15)
@given(
    worlds(),
    st.sampled_from(["raises", "too few", "no scores", "nan", "inf", "negative", "above one"]),
    st.integers(0, 4),
)
def test_a_broken_cost_model_fails_closed(world: World, how: str, after: int) -> None:
    one = replace(world, budgets=(toy_budget("b0", model="level"), *world.budgets[1:]))
    model = Broken(how, after, world.granularity)
    rail = one.guardrail({"level": model})
    rail._approved.set()  # the start-up check has its own tests
    deltas, receipt = drain(rail.stream(ask(one.sampling)))
    assert_promises(one, deltas, receipt)
    assert (receipt.verdict.outcome == "failed") == (model.left < 0)
    assert rail.engine.live_nodes() == 0


@streams(0.15)
@given(worlds(), st.integers(0, 12), st.integers(0, 10**9))
def test_leaving_at_any_chunk_frees_everything(world: World, after: int, seed: int) -> None:
    rail = world.guardrail()
    stream = rail.stream(ask(world.sampling, hostile(seed) if seed % 2 else None))
    shown = []
    try:
        for index, chunk in enumerate(stream):
            shown.append(chunk.text)
            if index == after:
                stream.close()
    except GuardrailError:
        pass
    assert rail.engine.live_nodes() == 0


@pytest.mark.slow
@streams(0.05)
@given(worlds(), st.integers(1, 16), st.integers(1, 16))
def test_spend_does_not_depend_on_block_size_or_strategy(world: World, one: int, other: int) -> None:
    lenient = tuple(replace(budget, budget=1e6, threshold=0.2) for budget in world.budgets)
    accounts = []
    for block, strategy in ((one, "cut"), (other, "cut"), (one, "inference_guard")):
        search = replace(world.search, block=block, mode="on_risk", trigger=1.0, steer=None, candidates=1, shortest=0)
        rail = replace(world, budgets=lenient, search=search).guardrail()
        _, receipt = drain(rail.stream(ask(world.sampling, strategy)))
        lines = {(c.budget, c.position, c.ended): (c.score, c.cost, c.z_after) for c in receipt.charges}
        accounts.append((receipt.text, lines, receipt.spend))
    assert accounts[0] == accounts[1]
    if accounts[2][0] == accounts[0][0] and not world.sampling.stop:  # a stop string hides tokens that may differ
        assert accounts[2] == accounts[0]


@streams(0.05)
@given(worlds())
def test_untouched_guarded_tokens_are_the_unguarded_ones(world: World) -> None:
    calm = replace(world, budgets=tuple(replace(b, threshold=1.0, budget=0.0) for b in world.budgets))
    on_risk = replace(calm, search=replace(world.search, mode="on_risk", trigger=1.0))
    _, guarded = drain(on_risk.guardrail().stream(ask(world.sampling, "inference_guard")))
    _, unguarded = drain(on_risk.guardrail().stream(ask(world.sampling, "none")))
    assert guarded.text == unguarded.text
    assert guarded.tokens["released"] == unguarded.tokens["released"]
    assert (guarded.verdict.guarded, unguarded.verdict.guarded) == (True, False)


def test_a_stream_under_a_shadow_policy_notes_but_never_denies() -> None:
    world = World(
        (1, 6, 1, 1), (toy_budget("b0", mode="shadow"),), SearchSettings(block=4), Sampling(max_tokens=16), "block"
    )
    _, receipt = drain(world.guardrail().stream(ask(world.sampling)))
    assert receipt.verdict.outcome == "completed"
    assert receipt.spend["b0"]["spent"] > 0


@pytest.mark.parametrize("strategy", [endless, stubborn])
def test_strategies_that_never_end_are_ended(strategy: Any) -> None:
    world = World((1, 6, 1, 1), (toy_budget("b0"),), SearchSettings(block=4), Sampling(max_tokens=8), "block")
    _, receipt = drain(world.guardrail().stream(ask(world.sampling, strategy)))
    assert receipt.verdict.outcome == "refused"
