"""The latent head: a mean over the answer's states, the same however it was cut, refused where it does not belong."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.heads.latent import LatentHead, StateSum, read_latent_head
from ig_guardrail.errors import CostFailure, HeadMismatch, ModelError
from ig_guardrail.types import Piece, Prompt
from tests.examples import examples
from tests.unit.costs.artifacts import MODEL, SIZE, latent, latent_tensors, write

PROMPT = Prompt((), ())


@pytest.fixture
def head(tmp_path: Path) -> LatentHead:
    return read_latent_head(latent(tmp_path / "head"), "tone", ("hte", "x.insult"))


def piece(states: torch.Tensor, layer: int = 2, parts: int = 1) -> Piece:
    return Piece("text", tuple(range(len(states))), {layer: tuple(states.chunk(parts))})


def logit(states: torch.Tensor) -> float:
    return float(states.double().mean(dim=0)[0]) - 1


def test_the_score_is_the_logistic_of_the_mean_states_logit(head: LatentHead) -> None:
    states = torch.randn(5, SIZE)
    ((_, scores),) = head.advance([(head.start(PROMPT), piece(states))])
    assert scores[0] == pytest.approx(1 / (1 + math.exp(-logit(states))))


def test_every_hazard_of_the_head_gets_the_same_score(head: LatentHead) -> None:
    ((_, scores),) = head.advance([(head.start(PROMPT), piece(torch.randn(3, SIZE)))])
    assert len(scores) == 2
    assert scores[0] == scores[1]


def test_an_empty_answer_scores_zero(head: LatentHead) -> None:
    ((state, scores),) = head.advance([(head.start(PROMPT), Piece("", ended=True))])
    assert scores == (0.0, 0.0)
    assert state.count == 0


def test_an_empty_last_piece_leaves_the_score_as_it_was(head: LatentHead) -> None:
    ((state, before),) = head.advance([(head.start(PROMPT), piece(torch.randn(3, SIZE)))])
    ((_, after),) = head.advance([(state, Piece("", ended=True))])
    assert after == before


@settings(max_examples=examples(50), deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 40), max_size=4), st.integers(0, 2**31))
def test_in_bfloat16_the_cut_does_not_change_a_bit(length: int, cuts: list[int], seed: int) -> None:
    states = (torch.randn(length, SIZE, generator=torch.Generator().manual_seed(seed)) * 300).to(torch.bfloat16)
    head = in_memory()
    ((_, whole),) = head.advance([(head.start(PROMPT), piece(states))])
    state, scores = head.start(PROMPT), (0.0,)
    ends = sorted({min(cut, length) for cut in cuts} | {length})
    for start, end in zip([0, *ends], ends, strict=False):
        ((state, scores),) = head.advance([(state, piece(states[start:end]))])
    assert scores == whole


def test_a_batch_scores_each_step_as_it_would_alone(head: LatentHead) -> None:
    pieces = [piece(torch.randn(length, SIZE)) for length in (1, 7, 16, 3)]
    together = head.advance([(head.start(PROMPT), one) for one in pieces])
    alone = [head.advance([(head.start(PROMPT), one)])[0] for one in pieces]
    assert [scores for _, scores in together] == [scores for _, scores in alone]


def test_branches_of_one_state_do_not_disturb_each_other(head: LatentHead) -> None:
    trunk, branch = piece(torch.randn(4, SIZE)), piece(torch.randn(4, SIZE))
    ((state, _),) = head.advance([(head.start(PROMPT), trunk)])
    ((_, first),) = head.advance([(state, branch)])
    head.advance([(state, piece(torch.randn(4, SIZE)))])
    ((_, again),) = head.advance([(state, branch)])
    assert first == again


def test_states_may_come_in_parts_or_as_nested_lists(head: LatentHead) -> None:
    states = torch.randn(6, SIZE)
    lists = Piece("text", tuple(range(6)), {2: (states[:2].tolist(), states[2:].tolist())})
    ((_, parts),) = head.advance([(head.start(PROMPT), piece(states, parts=3))])
    ((_, listed),) = head.advance([(head.start(PROMPT), lists)])
    assert listed == pytest.approx(parts)


def test_states_that_are_not_numbers_score_nan_and_not_zero(head: LatentHead) -> None:
    ((_, scores),) = head.advance([(head.start(PROMPT), piece(torch.full((2, SIZE), math.nan)))])
    assert all(math.isnan(score) for score in scores)


@pytest.mark.parametrize(
    "wrong",
    [
        piece(torch.zeros(3, SIZE), layer=5),
        piece(torch.zeros(3, SIZE + 1)),
        Piece("text", (1, 2, 3), {2: (torch.zeros(2, SIZE),)}),
    ],
    ids=["another layer", "another size", "a row missing"],
)
def test_a_piece_without_the_right_states_is_a_failure_and_no_score(head: LatentHead, wrong: Piece) -> None:
    with pytest.raises(CostFailure) as raised:
        head.advance([(head.start(PROMPT), wrong)])
    message = str(raised.value)
    assert "cost_models.tone: the piece holds states of shape" in message
    assert "the head reads layer 2, 4 numbers a token" in message
    assert "layers=(2,)" in message


def test_it_fits_the_model_and_numerics_it_was_trained_on(head: LatentHead) -> None:
    head.check_fits(MODEL, "bfloat16")


@pytest.mark.parametrize(
    ("model", "numerics", "reason"),
    [("b" * 64, "bfloat16", "another base model"), (MODEL, "float32", "other numerics")],
)
def test_it_is_refused_for_any_other(head: LatentHead, model: str, numerics: str, reason: str) -> None:
    with pytest.raises(HeadMismatch) as raised:
        head.check_fits(model, numerics)
    assert f"the head was trained on {reason}" in str(raised.value)
    assert "ig-guardrail train head" in str(raised.value)


def test_hazards_are_part_of_its_hash(tmp_path: Path) -> None:
    folder = latent(tmp_path / "head")
    one, other = (read_latent_head(folder, "tone", (hazard,)) for hazard in ("hte", "ssh"))
    assert one.sha256 != other.sha256
    assert one.sha256 == read_latent_head(folder, "renamed", ("hte",)).sha256


def test_a_card_without_base_model_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "head", "latent", latent_tensors())
    with pytest.raises(ModelError, match="no section 'base_model'"):
        read_latent_head(folder, "tone", ("hte",))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("weight", [[1.0, 2.0]], "no vector of numbers called 'weight'"),
        ("mean", [1.0, 2.0], "'mean' has 2 numbers instead of 4"),
        ("bias", [math.inf], "'bias' holds numbers that are not finite"),
        ("deviation", [1.0, 1.0, 0.0, 1.0], "a standard deviation in it is not positive"),
        ("width", [0.0], "the width of its scale is not positive"),
    ],
)
def test_tensors_that_make_no_head_are_refused(tmp_path: Path, name: str, value: list[float], reason: str) -> None:
    tensors = {**latent_tensors(), name: torch.tensor(value).numpy()}
    base = {"name": "toy", "sha256": MODEL, "numerics": "bfloat16", "layer": 2}
    folder = write(tmp_path / "head", "latent", tensors, base_model=base)
    with pytest.raises(ModelError, match=reason.replace("(", r"\(")):
        read_latent_head(folder, "tone", ("hte",))


def test_its_state_is_a_sum_and_a_count(head: LatentHead) -> None:
    ((state, _),) = head.advance([(head.start(PROMPT), piece(torch.ones(3, SIZE)))])
    assert isinstance(state, StateSum)
    assert state.count == 3
    assert state.total.tolist() == [3.0] * SIZE


def test_the_packaged_cards_can_be_read_as_text() -> None:
    from importlib.resources import files

    for name, numerics in product(("harmful-help", "toxic-tone"), ("bfloat16", "int4")):
        card = json.loads((files("ig_guardrail.artifacts") / name / numerics / "card.json").read_text("utf-8"))
        assert card["base_model"]["numerics"] == numerics
        assert card["sources"]
        assert card["limits"]
        assert card["quality"]


def in_memory() -> LatentHead:
    import numpy as np

    from ig_guardrail.costs.heads.linear import LinearMap, Scale

    line = LinearMap(np.array([1.0, -0.5, 0.25, 2.0]), 0.5)
    return LatentHead("tone", ("hte",), "0", 2, MODEL, "bfloat16", line, Scale(0.0, 50.0))
