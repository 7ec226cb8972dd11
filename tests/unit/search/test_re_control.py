"""RE-Control over the tiny model: what it proposes is drawn under edits, what it commits was read without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ig_guardrail.costs.heads.state_edits import LinearValue, ValueAscent
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import GenerationFailed, StrategyError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.base import SearchContext
from ig_guardrail.search.baselines.re_control import ReControl, search
from ig_guardrail.types import (
    Accepted,
    Append,
    Commit,
    Denied,
    Draw,
    Drop,
    Extend,
    Node,
    Sampling,
    SearchSettings,
    Steer,
)
from tests.conformance.engine.tiny import tiny_weights
from tests.toys import LetterCost, ask, guardrail, letters, toy_budget, toy_policy

LAYER, TOKENS = 1, 24
WEIGHT = np.linspace(-1, 1, 32)
SETTINGS = SearchSettings(block=8)


@pytest.fixture(scope="module")
def engine() -> Any:
    engine = TransformersEngine(tiny_weights())
    yield engine
    engine.shutdown()


def endless() -> Sampling:
    return Sampling(temperature=1.0, max_tokens=TOKENS, logit_bias=((262, -1e4),), seed=3)


def committed(engine: TransformersEngine, root: Node, edit: ValueAscent, taken: int = TOKENS) -> list[Node]:
    """The nodes that the strategy offers, of which the first `taken` are accepted; requests are served by hand."""
    prompt = engine.encode(ask(endless()).turns)
    offered: list[Node] = []
    run, reply = ReControl(edit)(root, SearchContext(SETTINGS)), None
    while True:
        try:
            request = run.send(reply)
        except StopIteration:
            return offered
        match request:
            case Steer():
                reply = engine.open(prompt, endless(), twin_of=request.node, edit=request.edit).result()
            case Extend():
                reply = engine.extend(request.draws, request.tokens).result()
            case Append():
                reply = engine.append(request.items).result()
            case Commit():
                offered.append(request.node)
                reply = Accepted({}, 0) if len(offered) <= taken else Denied("budget")
            case Drop():
                for node in request.nodes:
                    if node is not root:
                        engine.close(node)
                reply = None


def opened(engine: TransformersEngine) -> Node:
    return engine.open(engine.encode(ask(endless()).turns), endless(), (LAYER,)).result()


def test_without_steps_it_is_the_unguarded_stream(engine: TransformersEngine) -> None:
    root = opened(engine)
    still = ValueAscent(LAYER, LinearValue(WEIGHT), steps=0)
    (plain,) = engine.extend([Draw(root)], TOKENS).result()
    assert committed(engine, root, still)[-1].answer_ids() == plain.ids
    engine.close(root)


def test_what_it_commits_was_read_without_edits(engine: TransformersEngine) -> None:
    """Edited states would say of themselves what they were edited to say."""
    root = opened(engine)
    edit = ValueAscent(LAYER, LinearValue(WEIGHT), steps=30, step_size=0.5)
    (plain,) = engine.extend([Draw(root)], TOKENS).result()
    nodes = committed(engine, root, edit)
    assert [node.position for node in nodes] == [8, 16, 24]
    assert nodes[-1].answer_ids() != plain.ids
    (reread,) = engine.append([(root, nodes[-1].answer_ids())]).result()
    states = np.concatenate([node.hidden[LAYER].numpy() for node in nodes])
    assert np.allclose(states, reread.hidden[LAYER].numpy(), atol=1e-4)
    assert all(node.root == root.id for node in nodes)
    engine.close(root)
    assert engine.live_nodes() == 0


@pytest.mark.slow
def test_the_value_it_climbs_rises(engine: TransformersEngine) -> None:
    """On random weights the mean of V over what is said, read without edits, need not rise; over 20 seeds it does."""
    edit = ValueAscent(LAYER, LinearValue(WEIGHT), steps=30, step_size=0.5)
    rises = []
    for seed in range(20):
        sampling = Sampling(temperature=1.0, max_tokens=TOKENS, logit_bias=((262, -1e4),), seed=seed)
        prompt = engine.encode(ask(sampling).turns)
        root = engine.open(prompt, sampling, (LAYER,)).result()
        twin = engine.open(prompt, sampling, twin_of=root, edit=edit).result()
        (plain,) = engine.extend([Draw(root)], TOKENS).result()
        (drawn,) = engine.extend([Draw(twin)], TOKENS).result()
        (own,) = engine.append([(root, drawn)]).result()
        rises.append(float((own.hidden[LAYER].numpy() @ WEIGHT).mean() - (plain.hidden[LAYER].numpy() @ WEIGHT).mean()))
        engine.close(root)
    assert np.mean(rises) > 0


def test_it_stops_where_the_gate_denies(engine: TransformersEngine) -> None:
    root = opened(engine)
    nodes = committed(engine, root, ValueAscent(LAYER, LinearValue(WEIGHT)), taken=1)
    assert len(nodes) == 2
    engine.close(root)
    assert engine.live_nodes() == 0


def test_under_a_policy_it_is_served_and_charged(engine: TransformersEngine) -> None:
    rail = Guardrail(engine, toy_policy([toy_budget("b", threshold=1.0)]), {"level": LetterCost("level")})
    rail._approved.set()
    strategy = ReControl(ValueAscent(LAYER, LinearValue(WEIGHT)))
    *_, last = rail.stream(ask(endless(), strategy))
    assert last.receipt is not None
    assert last.receipt.verdict.outcome == "completed"
    assert engine.live_nodes() == 0


def test_an_engine_without_hidden_states_fails_closed() -> None:
    rail = guardrail(letters([1, 1, 1]), toy_policy([toy_budget("b")]), {"level": LetterCost("level")})
    strategy = ReControl(ValueAscent(LAYER, LinearValue(WEIGHT)))
    with pytest.raises(GenerationFailed, match="no hidden states to edit"):
        list(rail.stream(ask(Sampling(max_tokens=8), strategy)))


def test_it_asks_for_its_value_head() -> None:
    with pytest.raises(StrategyError, match="no value head"):
        next(search(Node(1, 1, None, (), 0, "", (), 0), SearchContext(SETTINGS)))
