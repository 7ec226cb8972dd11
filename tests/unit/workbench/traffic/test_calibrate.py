"""Thresholds from harmless answers: the claim holds in simulation, and what cannot be claimed is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ig_guardrail.errors import GuardrailError, PolicyError, RequestError
from ig_guardrail.policy import compile_text
from ig_guardrail.statistics.binomial import most_touched
from ig_guardrail.types import Budget
from ig_guardrail.workbench.traffic.bench import bench_of_words
from ig_guardrail.workbench.traffic.calibrate import (
    AnswerPeaks,
    CalibratedThreshold,
    as_lines,
    budget_of,
    calibrate_budget,
    peaks_of_recordings,
    peaks_of_texts,
)
from ig_guardrail.workbench.traffic.rewrite import with_threshold
from tests.unit.workbench.recordings import TONE, policy, recording

BUDGET = budget_of(policy(), "tone")


def sample(*peaks: float) -> AnswerPeaks:
    return AnswerPeaks(peaks, "ab" * 32, "toy", {"words": "cd" * 32})


def drawn(seed: int, count: int) -> AnswerPeaks:
    return sample(*np.random.default_rng(seed).beta(2, 8, count).tolist())


@pytest.mark.parametrize(("count", "rate", "confidence"), [(160, 0.02, 0.95), (500, 0.02, 0.95), (300, 0.1, 0.9)])
@pytest.mark.parametrize("ties", [False, True])
def test_the_stated_bound_holds_in_as_many_resamples_as_it_says(
    count: int, rate: float, confidence: float, ties: bool
) -> None:
    """1,000 samples of answers whose peaks are uniform, so that the share above a threshold is known exactly."""
    random = np.random.default_rng(20_261_129)
    peaks = 0.9 * (np.ceil(random.random((1_000, count)) * 50) / 50 if ties else random.random((1_000, count)))
    allowed = most_touched(count, rate, 1 - confidence)
    assert allowed is not None
    thresholds = np.sort(peaks, axis=1)[:, count - 1 - allowed]
    touched = 1 - (np.round(thresholds / 0.9 * 50) / 50 if ties else thresholds / 0.9)
    assert int((touched <= rate + 1e-12).sum()) >= 1_000 * confidence
    found = calibrate_budget(BUDGET, sample(*peaks[0].tolist()), rate, confidence)
    assert found.threshold == pytest.approx(thresholds[0], abs=1e-4)
    assert found.threshold >= thresholds[0]


def test_the_bound_is_not_wider_than_it_need_be() -> None:
    """Of continuous peaks, the claim fails about as often as it may: with k + 1 touched it would fail too often."""
    count, rate, miss = 500, 0.02, 0.05
    allowed = most_touched(count, rate, miss)
    assert allowed is not None
    peaks = np.sort(np.random.default_rng(7).random((4_000, count)), axis=1)
    assert (1 - peaks[:, count - 1 - allowed] > rate).mean() <= miss + 0.011
    assert (1 - peaks[:, count - 2 - allowed] > rate).mean() > miss


def test_a_threshold_touches_no_more_than_are_allowed() -> None:
    found = calibrate_budget(BUDGET, drawn(1, 500), 0.02)
    assert found.touched <= found.allowed == 4
    assert found.bound <= 0.02
    assert sum(peak > found.threshold for peak in found.harmless.peaks) == found.touched


def test_the_missed_share_of_harmful_answers_has_a_bound_of_its_own() -> None:
    found = calibrate_budget(BUDGET, drawn(1, 500), 0.02, harmful=sample(0.05, 0.99, 0.98, 0.97))
    assert found.missed is not None
    assert (found.missed.value, found.missed.n) == (0.25, 4)
    assert found.missed.low < 0.25 < found.missed.high


@pytest.mark.parametrize("count", [0, 1, 148])
def test_a_sample_that_is_too_small_is_refused_and_told_how_many_would_do(count: int) -> None:
    with pytest.raises(GuardrailError) as refused:
        calibrate_budget(BUDGET, drawn(1, count), 0.02)
    assert refused.value.fix.startswith("give at least 149 answers")
    calibrate_budget(BUDGET, drawn(1, 149), 0.02)


def test_where_harmless_answers_score_one_no_threshold_is_given() -> None:
    with pytest.raises(GuardrailError, match="no threshold keeps the claim: more than 4 of 500"):
        calibrate_budget(BUDGET, sample(*[1.0] * 5, *[0.1] * 495), 0.02)


@pytest.mark.parametrize(
    ("rate", "confidence"), [(0.0, 0.95), (1.0, 0.95), (0.02, 1.0), (0.02, 0.5), (float("nan"), 0.95)]
)
def test_shares_that_are_none_are_refused(rate: float, confidence: float) -> None:
    with pytest.raises(RequestError):
        calibrate_budget(BUDGET, drawn(1, 500), rate, confidence)


def write(file: Path, *lines: str) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def test_peaks_of_recordings_are_the_highest_scores_at_any_point(tmp_path: Path) -> None:
    file = write(
        tmp_path / "rec.jsonl",
        recording([0.1, 0.4, 0.2], text_sha256="a").as_line(),
        recording([0.1, 0.4, 0.2], text_sha256="a").as_line(),
        recording([0.3, 0.2], text_sha256="b").as_line(),
        recording([0.3, 0.2], text_sha256="c", searched=True).as_line(),
        recording([0.3, 0.2], text_sha256="d", outcome="failed").as_line(),
    )
    found = peaks_of_recordings(policy(), None, BUDGET, file)
    assert found.peaks == (0.4, 0.3, float("inf"))
    assert found.apart == {"the same answer is there already": 1, "a cost model failed when it was recorded": 1}
    assert (found.source, list(found.cost_models)) == ("toy", ["words"])


def test_peaks_of_texts_are_scored_now(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", '{"text": "Hello there."}', '{"text": "Hello there."}', '{"text": "Bye."}')
    found = peaks_of_texts(bench_of_words(policy(), None), BUDGET, file)
    assert len(found.peaks) == 2
    assert all(0 < peak < 1 for peak in found.peaks)
    assert found.apart == {"the same answer is there already": 1}


def test_a_substitute_without_a_model_sets_no_threshold(tmp_path: Path) -> None:
    text = TONE.replace(
        "budgets:", "  deep: {kind: latent, head: toxic-tone, hazards: [hte, x.insult], otherwise: words}\nbudgets:"
    )
    of = policy(text.replace("cost: words", "cost: deep"))
    file = write(tmp_path / "rows.jsonl", '{"text": "Hello there."}')
    with pytest.raises(RequestError, match="'deep' cannot be scored without a model"):
        peaks_of_texts(bench_of_words(of, None), budget_of(of, "tone"), file)


def test_a_budget_that_is_not_there_or_is_shared_is_refused() -> None:
    with pytest.raises(RequestError, match="there is no budget 'tune'"):
        budget_of(policy(), "tune")
    shared = policy(TONE.replace("budget: 0.1}", "budget: 0.1, scope: conversation}"))
    with pytest.raises(RequestError, match="is shared by answers"):
        budget_of(shared, "tone")


def calibrated(**other: object) -> CalibratedThreshold:
    return replace(calibrate_budget(BUDGET, drawn(1, 500), 0.02), **other)  # type: ignore[arg-type]


def test_a_budget_that_cannot_be_overdrawn_any_more_is_told() -> None:
    assert not any("lower it" in line for line in as_lines(calibrated(threshold=0.8), policy()))
    assert any("lower it" in line for line in as_lines(calibrated(threshold=0.95), policy()))


BLOCK = TONE.replace(
    "  - {id: tone, hazards: [hte], cost: words, threshold: 0.5, budget: 0.1}\n",
    "  - id: tone   # how it sounds\n    hazards: [hte]\n    cost: words\n"
    "    threshold: 0.5   # by eye\n    budget: 0.1\n",
)


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
@pytest.mark.parametrize("text", [TONE, BLOCK, BLOCK.replace("0.5   # by eye", "&t 0.5")])
def test_a_threshold_is_written_where_it_stands_and_everything_else_stays(text: str, line_break: str) -> None:
    text = text.replace("\n", line_break)
    note = calibrated().note()
    new = with_threshold(text, "tone", 0.4213, note)
    assert _threshold(new) == 0.4213
    assert new.count("x-calibrated: {rate: 0.02, confidence: 0.95, n: 500,") == 1
    assert new.replace("0.4213", "0.5").splitlines()[0:3] == text.splitlines()[0:3]
    left = [line for line in text.splitlines() if "0.5" not in line]
    assert [line for line in left if line not in new.splitlines()] == []
    again = with_threshold(new, "tone", 0.5, {**note, "n": 800})
    assert again.count("x-calibrated") == 1
    assert "n: 800" in again
    bare = with_threshold(text, "tone", 0.5, note)
    assert policy(bare).sha256 == policy(text).sha256


def _threshold(text: str) -> float:
    found = next(budget for budget in policy(text).budgets if budget.id == "tone")
    assert isinstance(found, Budget)
    return found.threshold


def test_a_comment_behind_the_number_stays() -> None:
    assert "    threshold: 0.4   # by eye\n    x-calibrated: {n: 3}\n    budget: 0.1\n" in with_threshold(
        BLOCK, "tone", 0.4, {"n": 3}
    )


HEAD = """\
# what we tighten
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: branch, version: 1.0.0}
extends: ./tone.yaml
"""
OWN = "{id: tone, threshold: 0.4, x-calibrated: {n: 3}}"
OTHER = "  - {id: spam, weight: 2}\n"


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("rest", "written"),
    [
        ("", "budgets:\n  - {id: tone, threshold: 0.4, x-calibrated: {n: 3}}\n"),
        ("# budgets:\n", "# budgets:\nbudgets:\n  - {id: tone, threshold: 0.4, x-calibrated: {n: 3}}\n"),
        (
            f"budgets:\n{OTHER}  # the end\n\nreasoning: charge\n",
            f"budgets:\n{OTHER}  # the end\n  - {OWN}\n\nreasoning: charge\n",
        ),
        (f"budgets:\n{OTHER}", f"budgets:\n{OTHER}  - {{id: tone, threshold: 0.4, x-calibrated: {{n: 3}}}}\n"),
        (
            "budgets:\n- id: spam\n  weight: 2",
            "budgets:\n- id: spam\n  weight: 2\n- {id: tone, threshold: 0.4, x-calibrated: {n: 3}}\n",
        ),
        (
            "budgets: [{id: spam, weight: 2}]\n",
            "budgets: [{id: tone, threshold: 0.4, x-calibrated: {n: 3}}, {id: spam, weight: 2}]\n",
        ),
        (
            "budgets: [{id: tone, weight: 2}]\n",
            "budgets: [{id: tone, threshold: 0.4, x-calibrated: {n: 3}, weight: 2}]\n",
        ),
        (
            "budgets:\n  - id: tone   # ours\n    weight: 2\n",
            "budgets:\n  - id: tone   # ours\n    threshold: 0.4\n    x-calibrated: {n: 3}\n    weight: 2\n",
        ),
        (
            "budgets:\n  - {id: tone, threshold: 0.45}\n",
            "budgets:\n  - {id: tone, threshold: 0.4, x-calibrated: {n: 3}}\n",
        ),
    ],
)
def test_a_threshold_of_the_parent_is_written_as_the_childs_own(
    rest: str, written: str, line_break: str, tmp_path: Path
) -> None:
    (tmp_path / "tone.yaml").write_text(TONE)
    file = str(tmp_path / "branch.yaml")
    new = with_threshold((HEAD + rest).replace("\n", line_break), "tone", 0.4, {"n": 3}, file)
    assert new == (HEAD + written).replace("\n", line_break)
    made, faults = compile_text(new, file)
    assert made is not None, faults
    assert next(one.threshold for one in made.budgets if one.id == "tone") == 0.4


def test_a_looser_threshold_is_refused_with_the_parents_line_unless_the_parent_grants_it(tmp_path: Path) -> None:
    file = str(tmp_path / "branch.yaml")
    (tmp_path / "tone.yaml").write_text(TONE)
    with pytest.raises(PolicyError) as refused:
        with_threshold(HEAD, "tone", 0.6, {"n": 3}, file)
    assert "`threshold` is looser than the parent's" in str(refused.value)
    assert "the parent says 0.5, " in str(refused.value)
    assert "tone.yaml:8" in str(refused.value)
    (tmp_path / "tone.yaml").write_text(TONE + "loosenable: [budgets.tone.threshold]\n")
    assert "threshold: 0.6" in with_threshold(HEAD, "tone", 0.6, {"n": 3}, file)


def test_what_is_not_laid_out_by_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tone.yaml").write_text(TONE)
    braces = (
        "{apiVersion: ig-guardrail/v1, kind: SafetyPolicy, metadata: {name: b, version: 1.0.0}, extends: ./tone.yaml}"
    )
    with pytest.raises(GuardrailError, match="cannot be written"):
        with_threshold(braces, "tone", 0.4, {}, str(tmp_path / "branch.yaml"))


def test_a_budget_that_does_not_stand_in_the_file_is_refused() -> None:
    with pytest.raises(GuardrailError, match="threshold of budget 'tune' cannot be written"):
        with_threshold(TONE, "tune", 0.4, {})


def test_a_number_that_others_stand_for_is_refused() -> None:
    shared = TONE.replace("threshold: 0.5, budget", "threshold: &t 0.5, budget").replace(
        "threshold: 0.5, every", "threshold: *t, every"
    )
    with pytest.raises(GuardrailError, match="would mean something else besides"):
        with_threshold(shared, "tone", 0.4, {})
    assert _threshold(with_threshold(shared, "spam", 0.4, {})) == 0.5
