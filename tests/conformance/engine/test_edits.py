"""Contexts whose hidden states are edited: on every engine that has some, and refused by the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.types import Draw, Node, Sampling
from tests.conformance.engine.worlds import World


@dataclass(frozen=True)
class Shift:
    """Adds `by` to every number of a state."""

    layer: int
    by: float

    def edited(self, states: Any) -> Any:
        return states + self.by * (-1.0) ** (states.new_ones(states.shape[-1]).cumsum(0))


@pytest.fixture
def model(world: World) -> World:
    """A world whose engine edits hidden states."""
    if not world.edits:
        pytest.skip("it has no hidden states to edit; that it says so is a test of its own")
    return world


def steered(world: World, node: Node, edit: Shift, sampling: Sampling | None = None) -> Node:
    engine: Engine = world.engine
    return engine.open(world.prompt(), sampling or world.endless(), twin_of=node, edit=edit).result()


def test_an_engine_without_hidden_states_refuses_to_edit_them(world: World) -> None:
    if world.edits:
        pytest.skip("it edits hidden states")
    with pytest.raises(
        EngineError, match=r"no hidden states to edit|no way to edit hidden states|does not edit hidden states"
    ):
        steered(world, world.root(), Shift(world.layer, 1.0))


def test_a_layer_that_does_not_exist_is_refused(model: World) -> None:
    with pytest.raises(RequestError, match="were asked for"):
        steered(model, model.root(), Shift(model.engine.info.layers + 1, 1.0))


def test_an_edit_that_changes_nothing_leaves_the_unguarded_stream(model: World) -> None:
    root = model.root()
    twin = steered(model, root, Shift(model.layer, 0.0))
    assert model.blocks(twin, 5, 3, 8).ids == model.blocks(root, 5, 3, 8).ids


def test_an_edit_shows_in_what_is_said_from_the_first_token_on(model: World) -> None:
    root = model.root()
    twin = steered(model, root, Shift(model.layer, 8.0))
    plain = [one.logprob for one in model.engine.answer_logprobs(root, model.blocks(root, 4).ids, 0).result()]
    moved = [one.logprob for one in model.engine.answer_logprobs(twin, model.blocks(root, 4).ids, 0).result()]
    assert all(abs(a - b) > 10 * model.tolerance for a, b in zip(plain, moved, strict=True))


def test_how_an_edited_answer_is_cut_changes_nothing(model: World) -> None:
    edit, root = Shift(model.layer, 8.0), model.root()
    whole = model.blocks(steered(model, root, edit), 12)
    cut = model.blocks(steered(model, root, edit), 1, 4, 7)
    assert cut.answer_ids() == whole.ids
    assert [value for node in cut.path() for value in node.logprobs] == pytest.approx(
        whole.logprobs, abs=model.tolerance
    )


def test_a_steered_context_opened_later_stands_where_one_that_was_led_there_stands(model: World) -> None:
    edit, root = Shift(model.layer, 8.0), model.root()
    node = model.blocks(root, 6)
    (led,) = model.engine.append([(steered(model, root, edit), node)]).result()
    late = steered(model, node, edit)
    assert late.logprobs == pytest.approx(led.logprobs, abs=model.tolerance)
    assert model.blocks(late, 6).ids == model.blocks(led, 6).ids


def test_other_contexts_keep_their_states(model: World) -> None:
    """Also where an edited context is read in the same steps."""
    root = model.root(layers=(model.layer,))
    before = model.blocks(root, 8)
    twin = steered(model, root, Shift(model.layer, 8.0))
    edited = model.engine.extend([Draw(twin)], 8)
    beside = model.engine.extend([Draw(root)], 8).result()[0]
    edited.result()
    assert beside.ids == before.ids
    assert beside.logprobs == pytest.approx(before.logprobs, abs=model.tolerance)
    rows = [float(row.sum()) for row in before.hidden[model.layer]]
    assert [float(row.sum()) for row in beside.hidden[model.layer]] == pytest.approx(rows, abs=20 * model.tolerance)
