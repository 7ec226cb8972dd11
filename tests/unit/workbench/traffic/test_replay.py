"""Replays: the same verdicts as decoding gives, flips, and recordings that are never judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ig_guardrail.stream.recording import SCORED, DeniedCandidates, RecordedPrompt, Recording
from ig_guardrail.workbench.traffic.bench import Bench
from ig_guardrail.workbench.traffic.recordings import read_recordings, recording_of_text
from ig_guardrail.workbench.traffic.replay import PROMPT, CannotJudge, DraftVerdict, PolicyReplay, replay
from ig_guardrail.workbench.traffic.replay_report import as_json, as_junit, as_text, fails
from ig_guardrail.workbench.traffic.texts import TextRow
from tests.golden.conversations import CALM, LATE, RUDE, compiled, scripted_guardrail
from tests.unit.workbench.recordings import MODELS, TONE, policy, recording
from tests.unit.workbench.traffic.test_recorder import recorded


def under(text: str = TONE) -> PolicyReplay:
    return PolicyReplay(policy(text), None)


def changed(old: str, new: str) -> PolicyReplay:
    assert old in TONE
    return under(TONE.replace(old, new))


def report(new: PolicyReplay, *recordings: Recording, old: PolicyReplay | None = None) -> Any:
    return replay(new, [(f"r{place}", one) for place, one in enumerate(recordings)], old)


def test_a_draft_is_denied_where_its_budget_is_overdrawn() -> None:
    assert under().judge(recording([0.2, 0.55, 0.59, 0.61, 0.9])) == DraftVerdict("tone", 64, ("tone",))
    assert under().judge(recording([0.2, 0.55, 0.6, 0.6, 0.6])) == DraftVerdict()


def test_shadow_budgets_deny_nothing_and_are_told() -> None:
    assert under().judge(recording([0.1, 0.1], [0.0, 1.0, 0.0])) == DraftVerdict(over=("spam",))


def test_another_threshold_weight_budget_or_accumulation_is_tried_on_the_same_scores() -> None:
    drafts = recording([0.55, 0.55, 0.55])
    assert under().judge(drafts).by is None
    assert changed("threshold: 0.5, budget: 0.1", "threshold: 0.4, budget: 0.1").judge(drafts) == DraftVerdict(
        "tone", 16, ("tone",)
    )
    assert changed("budget: 0.1", "budget: 0.1, accumulate: sum").judge(drafts) == DraftVerdict("tone", 33, ("tone",))
    assert changed("budget: 0.1", "budget: 0.1, weight: 3").judge(drafts).at == 16


def test_levels_are_read_at_wider_points_and_events_only_at_their_own() -> None:
    drafts = recording([0.1, 0.9, 0.1, 0.1])
    assert changed("budget: 0.1}", "budget: 0.1, every: 32}").judge(drafts).at == 32
    with pytest.raises(CannotJudge, match="'words' was not scored everywhere budget 'tone' asks for it"):
        changed("budget: 0.1}", "budget: 0.1, every: 8}").judge(drafts)
    with pytest.raises(CannotJudge, match="'spam' was not scored everywhere"):
        changed("every: 8", "every: 16").judge(drafts)


def test_a_budget_over_other_hazards_has_no_scores() -> None:
    with pytest.raises(CannotJudge, match="not scored everywhere"):
        changed("hazards: [hte], cost: words", "hazards: [hte, x.insult], cost: words").judge(recording([0.1, 0.1]))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"fail_open": ("words: it failed",)}, "a cost model failed"),
        ({"outcome": "failed"}, "a cost model failed"),
        ({"cost_models": {**MODELS, "words": replace(MODELS["words"], sha256="0" * 64)}}, "'words' is another one now"),
        ({"cost_models": {"spam": MODELS["spam"]}}, "no scores of cost model 'words'"),
        ({"outcome": "ended"}, "drafts were denied when it was recorded"),
        ({"outcome": "refused", "tokens": 0, "tracks": ()}, "nothing of an answer was recorded"),
    ],
)
def test_what_cannot_be_known_is_counted_apart_and_never_judged(other: dict[str, Any], reason: str) -> None:
    found = report(under(), recording([0.1, 0.1], **other), recording([0.1, 0.1]))
    assert found.judged == 1
    ((told, count),) = found.apart.items()
    assert reason in told
    assert count == 1


def test_flips_against_another_policy_and_against_what_was_recorded() -> None:
    calm, loud = recording([0.1, 0.1]), recording([0.1, 0.58], language="de")
    strict = changed("budget: 0.1", "budget: 0.05")
    found = report(strict, calm, loud, old=under())
    (flip,) = found.flips
    assert (flip.place, flip.before, flip.after.by) == ("r1", DraftVerdict(), "tone")
    assert (found.denied.value, found.denied.n) == (0.5, 2)
    assert {row.name: (row.over.value, row.to_denied) for row in found.by_language} == {"de": (1.0, 1), "en": (0.0, 0)}
    assert [(row.name, row.to_denied) for row in found.by_hazard] == [("hte", 1)]
    assert [row.name for row in found.by_budget] == ["tone", "spam (shadow)"]
    back = report(under(), calm, replace(loud, outcome=SCORED, over={"tone": 17}))
    assert [(one.before.by, one.after.by) for one in back.flips] == [("tone", None)]


def test_the_prompt_check_is_replayed_where_it_scored_the_same_way() -> None:
    rule = "prompt: {cost: words, threshold: 0.6, on_exceed: refuse}\nmessages:"
    asking = under(TONE.replace("messages:", rule))
    rude = recording([0.1, 0.1], prompt=RecordedPrompt("words", {"words": 0.7}, 0.7, "search"))
    assert asking.judge(rude) == DraftVerdict(PROMPT, over=(PROMPT,))
    assert asking.judge(replace(rude, prompt=RecordedPrompt("words", {"words": 0.6}, 0.6, "none"))) == DraftVerdict()
    for other in (None, RecordedPrompt("max(words, spam)", {"words": 0.7, "spam": 0}, 0.7, "search")):
        with pytest.raises(CannotJudge, match="no score of its prompt"):
            asking.judge(replace(rude, prompt=other))


def test_shared_budgets_are_not_tried_and_named() -> None:
    shared = changed("budget: 0.1}", "budget: 0.1, scope: conversation}")
    found = report(shared, recording([0.9, 0.9]))
    assert found.left_out == ("tone",)
    assert "not tried: budget 'tone'" in as_text(found)


@pytest.mark.parametrize("text", [CALM, RUDE, LATE])
def test_a_text_that_was_recorded_is_judged_as_its_own_account_says(text: str) -> None:
    rail = scripted_guardrail({(0, 0): CALM})
    bench = Bench(rail.engine, rail.costs, rail.policy)
    charged = bench.charge(TextRow(text, "here", "Why?"))
    made = recording_of_text(bench, charged)
    verdict = PolicyReplay(rail.policy, None)
    verdict._hash = lambda name, engine: rail.costs.hashes[name]  # type: ignore[method-assign,assignment]
    assert verdict.judge(made).by == next(iter(made.over), None)
    assert verdict.judge(made).at == next(iter(made.over.values()), 0)
    assert tuple(verdict.charges(made)) == tuple(replace(line, fired={}) for line in charged.charges)


@pytest.mark.parametrize("name", ["completed", "rescued", "completed-at-length", "completed-at-stop-string"])
def test_under_its_own_policy_a_completed_answer_passes(name: str, tmp_path: Path) -> None:
    made = recorded(name, tmp_path / "rec.jsonl")
    assert PolicyReplay(compiled(), None).judge(made) == DraftVerdict()


def test_drafts_that_were_denied_when_recorded_are_counted(tmp_path: Path) -> None:
    made = recorded("rescued", tmp_path / "rec.jsonl")
    found = report(PolicyReplay(compiled(), None), made, made)
    assert "drafts that 'rudeness' denied when recorded: 2, highest score 1.00, by tenths" in as_text(found)
    assert found.drafts["rudeness"].tenths[9] == 2


def test_how_often_answers_were_searched_for_rescued_and_refused_is_told_by_hazard_and_language() -> None:
    denied = {"tone": DeniedCandidates(1, 0.9, (0,) * 9 + (1,))}
    found = report(
        under(),
        recording([0.1, 0.1]),
        recording([0.1, 0.1], searched=True, denied=denied),
        recording([0.1, 0.1], searched=True, denied=denied, language="de"),
        recording([0.1, 0.1], searched=True, denied=denied, outcome="refused", tokens=0, tracks=(), language="de"),
        recording([0.1, 0.1], outcome="refused", tokens=0, tracks=()),
        recording([0.1, 0.1], outcome=SCORED),
    )
    rows = [(one.name, one.searched, one.rescued, one.refused) for one in found.served]
    told = [(name, *((one.value, one.n) for one in shares)) for name, *shares in rows]
    assert told == [
        ("all", (0.6, 5), (2 / 3, 3), (0.4, 5)),
        ("hazard hte", (0.6, 5), (2 / 3, 3), (0.2, 5)),
        ("language de", (1.0, 2), (0.5, 2), (0.5, 2)),
        ("language en", (1 / 3, 3), (1.0, 1), (1 / 3, 3)),
    ]
    text = as_text(found)
    assert "as recorded, hazard hte: searched for 3 of 5 (60.0%, 95% interval 14.7% to 94.7%)" in text
    assert "of these completed 2 of 3" in text
    assert "refused or ended 1 of 5" in text
    assert "as recorded," not in as_text(report(under(), recording([0.1, 0.1])))


def test_a_report_says_what_it_cannot_know_in_every_form() -> None:
    found = report(changed("budget: 0.1", "budget: 0.01"), *[recording([0.55, 0.55])] * 30)
    assert "what a search would have said in their place it cannot know" in as_text(found)
    assert "denied 30 of 30 (100.0%, 95% interval 88.4% to 100.0%)" in as_text(found)
    assert "and 10 more" in as_text(found)
    told = json.loads(as_json(found))
    assert (told["judged"], len(told["flips"]), len(told["limits"])) == (30, 30, 2)
    suite = ElementTree.fromstring(as_junit(found, 5))
    assert suite.attrib["failures"] == "1"
    assert suite.find("testcase/failure").attrib["message"] == "30 flips, 5 allowed"  # type: ignore[union-attr]


def test_too_many_flips_fail_and_so_does_nothing_to_judge() -> None:
    found = report(changed("budget: 0.1", "budget: 0.01"), recording([0.55, 0.55]), recording([0.55, 0.55]))
    assert [fails(found, most) for most in (None, 1, 2)] == [False, True, False]
    assert fails(report(under()), None)
    assert json.loads(as_json(report(under())))["denied"] is None


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_text(recording([0.1, 0.1]).as_line() + "\n")
    assert [place for place, _ in read_recordings(tmp_path)] == [f"{tmp_path}/a.jsonl:1", f"{tmp_path}/b.jsonl:1"]
