"""What a trial comes to, and the figures made of many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate.answers import Answer
from ig_guardrail.evaluate.comparison.bounds import Bound, read_bound
from ig_guardrail.evaluate.comparison.config import Config, read_config
from ig_guardrail.evaluate.comparison.figures import (
    Figure,
    PromptAnswers,
    answers_by_prompt,
    check_bounds,
    figure_rows,
    figures,
)
from ig_guardrail.evaluate.judged import NOTHING_SAID, opinion
from tests.unit.evaluate.records import OVER, WordJudge, answer, answered, record

BAD = answer("bad bad bad", audit=OVER)
GOOD = answer("good words here")


def by_key(risky: list[PromptAnswers], benign: list[PromptAnswers]) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures(risky, benign)}


def bounded(risky: list[PromptAnswers], benign: list[PromptAnswers]) -> dict[str, bool | None]:
    """By figure, whether the bound that the preset `quality` sets is kept."""
    return {row["name"]: row["ok"] for row in figure_rows(risky, benign, read_config("quality").bounds)}


def test_the_judge_reads_texts_and_silence_is_harmless() -> None:
    assert [opinion(WordJudge(), text).harm for text in ("bad", "good")] == [True, False]
    assert opinion(WordJudge(), " \n") == NOTHING_SAID


def test_opinions_belong_to_the_arm_whose_text_was_read() -> None:
    row = answered(BAD, GOOD, answer("bad word"), answer("bad bad ok", "ended"))
    assert (row.draft.opinion.score, row.guarded.opinion.score) == (1, 0)
    assert row.redraw.opinion.score == 0.5
    assert row.cut.opinion.score == pytest.approx(2 / 3)


def test_a_better_complete_answer_is_a_rescue() -> None:
    assert answered(BAD, GOOD).rescued


@pytest.mark.parametrize(
    "guarded",
    [
        answer("good words", "ended"),
        answer("", "refused"),
        answer("I'm sorry, I can't do that."),
        answer("good words", audit=OVER),
        answer("bad bad"),
    ],
    ids=["ended", "refused", "own refusal", "over budget", "judged no lower"],
)
def test_anything_less_is_no_rescue(guarded: Answer) -> None:
    assert not answered(BAD, guarded).rescued


def test_a_draft_within_budget_needs_no_rescue() -> None:
    assert not answered(answer("bad bad"), GOOD).rescued


def test_the_control_must_meet_the_same_demands() -> None:
    assert answered(BAD, GOOD, GOOD).redrawn
    assert not answered(BAD, GOOD, answer("good", audit=OVER)).redrawn
    assert not answered(BAD, GOOD, BAD).redrawn


@pytest.mark.slow
def test_harm_changes_are_paired_and_bounded() -> None:
    rows = [answered(BAD, GOOD), answered(BAD, BAD)]
    assert by_key(rows, [])["over_harm_change"].estimate.value == -0.5
    assert bounded(rows, [])["over_harm_change"]


@pytest.mark.slow
def test_rescues_are_compared_with_the_control() -> None:
    rows = [answered(BAD, GOOD, GOOD), answered(BAD, GOOD, BAD), answered(BAD, BAD, BAD), answered(BAD, GOOD, BAD)]
    table = by_key(rows, [])
    assert (table["rescued"].estimate.value, table["redrawn"].estimate.value) == (0.75, 0.25)
    assert table["rescue_ratio"].estimate.value == 3
    assert bounded(rows, [])["rescue_ratio"]


@pytest.mark.slow
def test_fallbacks_and_answers_over_budget_are_counted_on_every_prompt() -> None:
    rows = [answered(GOOD, replace(GOOD, outcome="refused"), checked=OVER)]
    table, kept = by_key([], rows), bounded([], rows)
    assert table["over_budget_checked"].estimate.value == 1
    assert kept["over_budget_checked"] is False
    assert kept["over_budget"]
    apart = max(abs(spent - GOOD.audit.spend[key]) for key, spent in OVER.spend.items())
    assert table["spend_apart"].estimate.value == pytest.approx(1000 * apart, abs=1)
    assert table["spend_apart"].estimate.value > 0
    assert table["benign_fallback"].estimate.value == 1


def test_identical_tokens_are_measured_on_benign_prompts() -> None:
    same, other = answered(GOOD, GOOD), answered(GOOD, answer("good words then", ids=(1, 9, 9)))
    table = by_key([], [same, other])
    assert table["identical"].estimate.value == pytest.approx((1 + 1 / 3) / 2)
    assert table["touched"].estimate.value == 0.5


def test_work_is_tokens_drawn_for_each_token_shown() -> None:
    assert by_key([], [answered(GOOD, answer("good words here", generated=9))])["benign_work"].estimate.value == 3


def test_a_bound_that_could_not_be_measured_is_not_kept() -> None:
    assert not Bound("<=", 1).holds(float("nan"))
    assert bounded([], [])["rescue_ratio"] is False


def test_every_figure_has_a_name_of_its_own() -> None:
    names = [figure.key for figure in figures([], [])]
    assert len(set(names)) == len(names)


def test_records_of_a_prompt_are_put_together_by_their_strategy() -> None:
    config = read_config("quality")
    said = {
        "none": BAD,
        "none (again, where over)": BAD,
        "inference_guard": GOOD,
        "cut (where over)": answer("bad", "ended"),
    }
    records = [record(name, one, prompt) for prompt in ("r-1", "r-2") for name, one in said.items()]
    risky, benign = answers_by_prompt(config, records, WordJudge())
    assert [row.guarded.answer.cell.prompt for row in risky] == ["r-1", "r-2"]
    assert benign == []
    assert risky[0] == answered(BAD, GOOD, BAD, answer("bad", "ended"))


@pytest.mark.parametrize("written", ["<= -0.2", "< 0.1", "= 0", ">= 2"])
def test_a_bound_is_read_as_it_is_written(written: str) -> None:
    assert str(read_bound(written)) == written


@pytest.mark.parametrize("written", ["", "2", "> 2", ">=2", ">= two", "== 0"])
def test_a_bound_that_cannot_be_read_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no bound"):
        read_bound(written)


def test_bounds_need_figures_that_exist_and_the_strategies_behind_them() -> None:
    quality = read_config("quality")
    check_bounds(quality)
    with pytest.raises(RequestError, match="there is no figure 'rescue'"):
        check_bounds(quality.model_copy(update={"bounds": {"rescue": "= 0"}}))
    without: Config = quality.model_copy(update={"strategies": quality.strategies[:1]})
    with pytest.raises(RequestError, match="need the strategies cut"):
        check_bounds(without)
