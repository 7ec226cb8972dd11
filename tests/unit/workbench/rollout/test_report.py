"""Reports on a rollout: what they count, with which intervals, and the words they say it in."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.stream.receipt import as_json, text_sha256
from ig_guardrail.stream.recording import Recording, ShadowAccount
from ig_guardrail.types import Receipt
from ig_guardrail.workbench.rollout.answers import read_answers
from ig_guardrail.workbench.rollout.figures import canary_report, difference, shadow_report
from ig_guardrail.workbench.rollout.report import (
    canary_json,
    canary_page,
    canary_text,
    shadow_json,
    shadow_page,
    shadow_text,
)
from ig_guardrail.workbench.traffic.replay import PolicyReplay
from tests.golden.conversations import CONVERSATIONS, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.workbench.recordings import TONE, policy, recording


def spam(over: bool, **other: Any) -> Recording:
    """An answer whose `spam` budget, in shadow mode, is overdrawn or not."""
    account = ShadowAccount(("x.spam",), 8 if over else None, 1.0 if over else 0.0)
    return recording([0.0], **{"shadow": {"spam": account}, **other})


def written(path: Path, recordings: Iterable[Recording]) -> Path:
    path.write_text("".join(one.as_line() + "\n" for one in recordings))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rec.jsonl"


def test_a_budget_in_shadow_is_counted_with_its_interval_by_version_language_and_hazard(file: Path) -> None:
    older = {"policy": {"name": "tone", "version": "0.9.0", "sha256": "0" * 64}, "at": "2026-11-01T08:00:00+00:00"}
    answers = [
        spam(place < 3, language="de" if place < 10 else "en", text_sha256=f"{place:064x}") for place in range(40)
    ]
    report = shadow_report(read_answers(written(file, [*(spam(True, **older) for _ in range(5)), *answers])))
    (row,) = report.rows
    assert (row.now.count, row.now.share, row.whole) == (3, proportion(3, 40), 3)
    assert [(one.name[:5], one.count, one.share.n) for one in row.by_version] == [("0.9.0", 5, 5), ("1.0.0", 3, 40)]
    assert [one.since[:10] for one in row.by_version] == ["2026-11-01", "2026-11-29"]
    assert [(one.name, one.count, one.share.n) for one in row.by_language] == [("de", 3, 10), ("en", 0, 30)]
    assert [(one.name, one.at) for one in row.examples] == [(f"{place:064x}", 8) for place in range(3)]
    assert [(one.name, one.count, one.share.n) for one in report.hazards] == [("x.spam", 8, 45)]
    assert row.advice.startswith("Turned on, it would have denied 3 of 40 answers, about 1 answer in 13; all of them")


def test_a_budget_that_denied_nothing_says_what_that_tells(file: Path) -> None:
    report = shadow_report(read_answers(written(file, [spam(False)] * 100)))
    assert report.rows[0].advice == (
        "Turned on, it would have denied none of 100 answers; at most 3.6% of such answers, as far as these can tell."
    )


def test_what_tells_nothing_is_counted_apart(file: Path) -> None:
    answers = [spam(True), spam(False, tokens=0, tracks=(), outcome="refused"), recording([0.0])]
    report = shadow_report(read_answers(written(file, answers)))
    assert report.rows[0].now.share.n == 1
    assert report.apart == {
        "nothing of an answer was judged": 1,
        "nothing of budgets in shadow mode was kept, or can be told": 1,
    }


def test_another_policy_is_tried_on_recorded_scores(file: Path) -> None:
    later = policy(TONE.replace("budget: 0.1}", "budget: 0.1, mode: shadow}"))
    scored = [recording([0.0, level]) for level in (0.2, 0.9, 0.95)]
    report = shadow_report(read_answers(written(file, scored), PolicyReplay(later, None)))
    assert {row.budget: row.now.count for row in report.rows} == {"tone": 2, "spam": 0}
    assert report.rows[0].now.name.startswith(f"1.0.0 ({later.sha256[:12]}")


def shadowed(text: str) -> Receipt:
    """The receipt of an answer under the polite policy in shadow mode."""
    told = {(lane, attempt): text for lane in range(4) for attempt in range(4)}
    later = compiled(POLITE.replace("budget: 0.0, every: 4", "budget: 0.0, every: 4, mode: shadow"))
    *_, last = scripted_guardrail(told, later).stream(CONVERSATIONS["completed"].ask())
    assert last.receipt is not None
    return last.receipt


def test_receipts_tell_the_same(file: Path) -> None:
    receipt = shadowed(RUDE)
    batch = json.dumps({"id": "1", "outcome": "completed", "receipt": json.loads(as_json(receipt))})
    file.write_text(f'{{"type": "delta", "text": "You"}}\n{as_json(receipt)}\n{batch}\n')
    (row,) = shadow_report(read_answers(file)).rows
    assert (row.budget, row.hazards, row.now.count, row.now.share.n) == ("rudeness", ("hte",), 2, 2)
    assert (row.examples[0].name, row.now.since) == (text_sha256(RUDE), receipt.at)
    assert shadow_report(read_answers(file, PolicyReplay(compiled(POLITE), None))).rows == ()


@pytest.mark.parametrize(
    "text", ["", '{"type": "delta"}\n', "[1]\n", '{"format": "x"}\n', '{"charges": 1, "spend": 2, "blocks": 3}\n']
)
def test_what_is_no_answer_is_refused(text: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(RequestError):
        shadow_report(read_answers(file))


def arms(file: Path, stable: tuple[int, int], canary: tuple[int, int]) -> Path:
    """(refused, all) of each arm."""
    return written(
        file,
        [
            recording([0.0], arm=arm, outcome="refused" if place < refused else "completed")
            for arm, (refused, count) in (("stable", stable), ("canary", canary))
            for place in range(count)
        ],
    )


def test_arms_are_compared_with_intervals(file: Path) -> None:
    report = canary_report(read_answers(arms(file, (10, 200), (18, 60))))
    row = report.rows[0]
    assert (row.name, row.stable, row.canary) == ("refused or ended", proportion(10, 200), proportion(18, 60))
    assert row.change.value == pytest.approx(0.25)
    assert row.told_apart
    assert "+25.0 points" in canary_text(report)
    assert "more under the canary" in canary_text(report)
    assert [row.name for row in report.rows] == ["refused or ended", "completed", "refused"]
    few = canary_report(read_answers(arms(file, (1, 20), (2, 10))))
    assert not few.rows[0].told_apart
    assert "so few answers do not tell the arms apart" in canary_text(few)


def test_one_arm_alone_is_not_compared(file: Path) -> None:
    report = canary_report(read_answers(arms(file, (1, 5), (0, 0))))
    assert (report.rows, report.policies["canary"]) == ((), ())
    report = canary_report(read_answers(written(file, [recording([0.0])])))
    assert report.apart == {"there was no canary then": 1}


def test_the_interval_of_a_difference_holds_as_often_as_it_says() -> None:
    draw, held, shares = random.Random(5), 0, [proportion(count, 60) for count in range(61)]
    for _ in range(1000):
        one, other = (sum(draw.random() < p for _ in range(60)) for p in (0.12, 0.05))
        found = difference(shares[one], shares[other])
        held += found.low <= 0.07 <= found.high
    assert held >= 950


def test_pages_and_json_hold_the_same_and_no_markup_of_others(file: Path) -> None:
    shadow = shadow_report(read_answers(written(file, [spam(True, language="<de>")] * 3)))
    page = shadow_page(shadow)
    assert "&lt;de&gt;" in page
    assert "<de>" not in page
    assert "3 of 3" in page
    assert json.loads(shadow_json(shadow))["rows"][0]["advice"] == shadow.rows[0].advice
    assert "would have denied 3 of 3" in shadow_text(shadow)
    canary = canary_report(read_answers(arms(file, (1, 20), (2, 10))))
    assert "2 of 10" in canary_page(canary)
    assert json.loads(canary_json(canary))["rows"][0]["told_apart"] is False
