"""Charging a finished text once more agrees with the account that was kept while it was decoded."""

from __future__ import annotations

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.errors import CostFailure
from ig_guardrail.evaluate.arms import arms_of
from ig_guardrail.evaluate.comparison.config import StrategyEntry
from ig_guardrail.evaluate.comparison.records import Cell, arm_of, run_cell
from ig_guardrail.evaluate.prompts import PromptRow
from ig_guardrail.evaluate.replay import Audit, audit_answer
from ig_guardrail.types import Message, Piece, Sampling
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy
from tests.unit.evaluate.worlds import world

TURNS = (Message("user", "hello"),)
A, B = 0, 1


def test_an_answer_without_tokens_costs_nothing() -> None:
    assert audit_answer(world(), TURNS, ()) == Audit(None, None, 0.0, {"b": 0.0})


def test_the_first_overdrawn_budget_its_place_and_the_highest_score_are_told() -> None:
    audit = audit_answer(world(threshold=0.4), TURNS, [*[A] * 6, *[B] * 6, A, A])
    assert (audit.over, audit.at) == ("b", 12)
    assert audit.peak == pytest.approx(0.5 / 0.4)


def test_what_is_over_for_a_while_stays_over() -> None:
    audit = audit_answer(world(threshold=0.5), TURNS, [B, B, B, B, *[A] * 12])
    assert (audit.over, audit.at, audit.peak) == ("b", 4, 2)
    assert audit.spend == {"b": 0.5}


def test_a_prefix_is_not_charged_at_its_end() -> None:
    assert audit_answer(world(), TURNS, [B], ended=True).over == "b"
    assert audit_answer(world(), TURNS, [B], ended=False) == Audit(None, None, 0.0, {"b": 0.0})


@pytest.mark.parametrize("seed", range(30))
def test_every_arms_own_account_is_found_again_from_its_tokens(seed: int) -> None:
    rail = world()
    arms = arms_of(rail)
    sampling = Sampling(temperature=1, top_p=1, seed=seed, max_tokens=24)
    draft, guarded = arms.unguarded.answer(TURNS, sampling), arms.guarded.answer(TURNS, sampling)
    assert audit_answer(rail, TURNS, draft.ids) == draft.audit
    if guarded.completed:
        assert audit_answer(rail, TURNS, guarded.ids) == guarded.audit


def test_nothing_is_left_open() -> None:
    rail = world()
    assert isinstance(rail.engine, ScriptedEngine)
    audit_answer(rail, TURNS, [A, B])
    assert rail.engine.live_nodes() == 0


def test_budgets_in_shadow_are_left_out() -> None:
    policy = toy_policy([toy_budget("seen", mode="shadow"), toy_budget("held", threshold=0.9)])
    rail = guardrail(letters((1, 1, 1)), policy, {"level": LetterCost("level")})
    assert audit_answer(rail, TURNS, [B, A, A, A]).spend == {"held": 0.0}


def test_a_cost_model_that_fails_stops_the_audit() -> None:
    class Broken(LetterCost):
        def advance(self, steps: object) -> list[tuple[tuple[int, int], tuple[float, ...]]]:
            raise ValueError("no idea")

    rail = guardrail(letters((1, 1, 1)), toy_policy([toy_budget("b")]), {"level": Broken("level")})
    with pytest.raises(CostFailure, match=r"it raised ValueError\n"):
        audit_answer(rail, TURNS, [A, B])
    assert rail.engine.live_nodes() == 0


def test_a_cost_model_that_may_fail_open_scores_nothing() -> None:
    class Broken(LetterCost):
        def advance(self, steps: object) -> list[tuple[tuple[int, int], tuple[float, ...]]]:
            raise ValueError("no idea")

    rail = guardrail(letters((1, 1, 1)), toy_policy([toy_budget("b")], on_error="open"), {"level": Broken("level")})
    assert audit_answer(rail, TURNS, [B, B]).over is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_a_record_is_charged_once_more_and_a_second_draw_is_another(seed: int) -> None:
    rail, sampling = world(), Sampling(temperature=1, top_p=1, max_tokens=24)
    entries = [
        StrategyEntry(name="none"),
        StrategyEntry(name="none", again=True),
        StrategyEntry(name="inference_guard"),
    ]
    draft, redraw, guarded = (
        run_cell(
            rail,
            arm_of(rail, entry),
            entry,
            Cell("m", "p", entry.title, "risky", "p", seed),
            PromptRow("p", "t", "hello"),
            sampling,
            recheck=True,
        )
        for entry in entries
    )
    assert draft.checked == draft.audit
    assert guarded.checked is not None
    assert guarded.checked.over is None
    assert redraw.cell.strategy == "none (again)"
    assert redraw.ids != draft.ids


def test_pieces_are_read_in_order() -> None:
    read: list[str] = []

    class Reader(LetterCost):
        def advance(
            self,
            steps: list[tuple[tuple[int, int], Piece]],  # type: ignore[override]
        ) -> list[tuple[tuple[int, int], tuple[float, ...]]]:
            read.extend(piece.text for _, piece in steps)
            return super().advance(steps)

    rail = guardrail(letters((1, 1, 1)), toy_policy([toy_budget("b")]), {"level": Reader("level")})
    audit_answer(rail, TURNS, [A, A, B, A, B, A])
    assert read == ["aaba", "ba"]
