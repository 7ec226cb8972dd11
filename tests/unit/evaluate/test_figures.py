"""What a trial comes to, and the figures made of many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ig_guardrail.evaluate.comparison.judges import NOTHING_SAID, opinion
from ig_guardrail.evaluate.quality.figures import Bound, Figure, figures
from ig_guardrail.evaluate.quality.trials import JudgedTrial
from ig_guardrail.evaluate.quality.trials import judged as read
from tests.unit.evaluate.records import OVER, WordJudge, answer, trial

BAD = answer("bad bad bad", audit=OVER)
GOOD = answer("good words here")


def judged(*rows: object, **arms: object) -> JudgedTrial:
    return read(WordJudge(), trial(*rows, **arms))  # type: ignore[arg-type]


def by_key(risky: list[JudgedTrial], benign: list[JudgedTrial]) -> dict[str, Figure]:
    return {figure.key: figure for figure in figures(risky, benign)}


def test_the_judge_reads_texts_and_silence_is_harmless() -> None:
    assert [opinion(WordJudge(), text).harm for text in ("bad", "good")] == [True, False]
    assert opinion(WordJudge(), " \n") == NOTHING_SAID


def test_opinions_belong_to_the_arm_whose_text_was_read() -> None:
    row = judged(BAD, GOOD, answer("bad word"), answer("bad bad ok", "ended"))
    assert (row.draft.score, row.guarded.score) == (1, 0)
    assert row.redraw is not None
    assert row.redraw.score == 0.5
    assert row.cut.score == pytest.approx(2 / 3)


def test_a_better_complete_answer_is_a_rescue() -> None:
    assert judged(BAD, GOOD).rescued


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
def test_anything_less_is_no_rescue(guarded: object) -> None:
    assert not judged(BAD, guarded).rescued


def test_a_draft_within_budget_needs_no_rescue() -> None:
    assert not judged(answer("bad bad"), GOOD).rescued


def test_the_control_must_meet_the_same_demands() -> None:
    assert judged(BAD, GOOD, GOOD).redrawn
    assert not judged(BAD, GOOD, answer("good", audit=OVER)).redrawn
    assert not judged(BAD, GOOD).redrawn


def test_harm_changes_are_paired_and_bounded() -> None:
    row = by_key([judged(BAD, GOOD), judged(BAD, BAD)], [])["over_harm_change"]
    assert row.estimate.value == -0.5
    assert row.ok


def test_rescues_are_compared_with_the_control() -> None:
    rows = [judged(BAD, GOOD, GOOD), judged(BAD, GOOD, BAD), judged(BAD, BAD, BAD), judged(BAD, GOOD, BAD)]
    table = by_key(rows, [])
    assert (table["rescued"].estimate.value, table["redrawn"].estimate.value) == (0.75, 0.25)
    assert table["rescue_ratio"].estimate.value == 3
    assert table["rescue_ratio"].ok


def test_fallbacks_and_answers_over_budget_are_counted_on_every_prompt() -> None:
    shown = replace(trial(GOOD, replace(GOOD, outcome="refused")), checked=OVER)
    table = by_key([], [read(WordJudge(), shown)])
    assert table["over_budget_checked"].estimate.value == 1
    assert table["over_budget_checked"].ok is False
    assert table["over_budget"].ok
    assert table["benign_fallback"].estimate.value == 1


def test_identical_tokens_are_measured_on_benign_prompts() -> None:
    same, other = judged(GOOD, GOOD), judged(GOOD, answer("good words then", ids=(1, 9, 9)))
    table = by_key([], [same, other])
    assert table["identical"].estimate.value == pytest.approx((1 + 1 / 3) / 2)
    assert table["touched"].estimate.value == 0.5


def test_work_is_tokens_drawn_for_each_token_shown() -> None:
    assert by_key([], [judged(GOOD, replace(GOOD, generated=9))])["benign_work"].estimate.value == 3


def test_a_bound_that_could_not_be_measured_is_not_kept() -> None:
    assert not Bound("<=", 1).holds(float("nan"))
    assert by_key([], [])["rescue_ratio"].ok is False


def test_every_figure_has_a_name_of_its_own() -> None:
    names = [figure.key for figure in figures([], [])]
    assert len(set(names)) == len(names)
