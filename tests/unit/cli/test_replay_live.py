"""`ig-guardrail policy replay --live`: recorded prompts answered anew under another policy, and compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from tests.golden.conversations import CALM, POLITE, RUDE
from tests.unit.cli.conftest import Command, Ran

ASKED = ("Why is the sky blue?", "And red?")


class Place:
    """Two policies, the prompts, and what was recorded of them."""

    def __init__(self, folder: Path, ig: Command, model: Callable[[ScriptedEngine], None]) -> None:
        self.ig, self.model = ig, model
        self.loose, self.strict, self.asked = (folder / name for name in ("loose.yaml", "strict.yaml", "p.jsonl"))
        self.strict.write_text(POLITE)
        self.loose.write_text(POLITE.replace("budget: 0.0", "budget: 9"))
        self.asked.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in ASKED))
        self.traffic, self.answers, self.out = (folder / name for name in ("rec.jsonl", "answers.jsonl", "out.jsonl"))

    def record(self, policy: Path, said: str, *more: str) -> None:
        self.model(ScriptedEngine(Continuations({(0, 0): said})))
        for seed, prompt in enumerate(ASKED):
            words = ("--policy", str(policy), "--seed", str(seed), "--record", str(self.traffic))
            self.ig("run", "--prompt", prompt, *words, *more)

    def replay(self, policy: Path, *more: str, said: str = RUDE, on: Path | None = None) -> Ran:
        self.model(ScriptedEngine(Continuations({(0, 0): said})))
        files = ("--prompts", str(self.asked), "--out", str(self.out))
        return self.ig("policy", "replay", str(policy), "--on", str(on or self.traffic), "--live", *files, *more)


@pytest.fixture
def place(tmp_path: Path, ig: Command, runs_on: Callable[[ScriptedEngine], None]) -> Place:
    return Place(tmp_path, ig, runs_on)


def test_under_its_own_policy_traffic_comes_out_word_for_word(place: Place) -> None:
    place.record(place.loose, RUDE, "--temperature", "0.3")
    ran = place.replay(place.loose, "--most-flips", "0")
    assert ran.code == 0, ran.err
    assert "word for word as recorded 2 of 2" in ran.out
    assert "flips 0 of 2 " in ran.out
    assert "2 answers: 2 completed" in ran.err
    sampled = [json.loads(line)["receipt"]["sampling"] for line in place.out.read_text().splitlines()]
    assert sorted((one["seed"], one["temperature"]) for one in sampled) == [(0, 0.3), (1, 0.3)]


def test_flips_are_told_by_hazard_and_language_and_fail_a_build(place: Place) -> None:
    place.record(place.loose, RUDE, "--language", "de")
    ran = place.replay(place.strict, "--most-flips", "1")
    assert ran.code == 1
    assert "    2 completed -> refused\n" in ran.out
    assert f"{place.traffic}:1: completed -> refused, by rudeness" in ran.out
    assert "hazard hte: flips 2, drafts denied 0 -> " in ran.out
    assert "language de: flips 2" in ran.out
    told = place.replay(place.strict, "--format", "json")
    assert (told.code, told.objects[0]["flipped"]["n"], len(told.objects[0]["flips"])) == (0, 2, 2)
    (row,) = [row for row in told.objects[0]["rows"] if row["after"]["name"] == "all"]
    assert (row["before"]["refused"]["value"], row["after"]["refused"]["value"]) == (0, 1)
    assert 'failures="1"' in place.replay(place.strict, "--most-flips", "1", "--format", "junit").out


def test_it_goes_on_where_it_was_stopped_and_mixes_no_policies(place: Place) -> None:
    place.record(place.loose, RUDE)
    place.replay(place.strict)
    first = place.out.read_text().splitlines()[0]
    place.out.write_text(first + '\n{"torn')
    ran = place.replay(place.strict)
    assert "2 answers: 2 refused; 1 were there before" in ran.err
    other = place.replay(place.loose)
    assert (other.code, "answers that were made otherwise" in other.err) == (2, True)


def test_receipts_of_a_batch_are_compared_like_recordings(place: Place) -> None:
    place.model(ScriptedEngine(Continuations({(0, 0): CALM})))
    batch = ("--prompts", str(place.asked), "--out", str(place.answers), "--policy", str(place.strict))
    place.ig("run", *batch, "--seed", "3", "--system", "Be kind.")
    without = place.replay(place.strict, said=CALM, on=place.answers)
    assert (without.code, "not compared: 2, since its prompt is not in the file" in without.out) == (1, True)
    assert "prompts without a recorded answer: 2" in without.out
    place.out.unlink(missing_ok=True)
    ran = place.replay(place.strict, "--system", "Be kind.", said=CALM, on=place.answers)
    assert (ran.code, "word for word as recorded 2 of 2" in ran.out) == (0, True)


def test_what_cannot_be_asked_for_again_is_counted_by_reason(place: Place) -> None:
    place.record(place.loose, CALM)
    place.record(place.loose, CALM, "--record-texts", "none")
    place.record(place.loose, CALM, "--stop", "blockhead")
    lines = place.traffic.read_text().splitlines()
    other = json.loads(lines[0])
    other["engine"]["sha256"] = "another"
    place.traffic.write_text("\n".join([*lines, json.dumps(other), json.dumps({**other, "outcome": "scored"})]) + "\n")
    ran = place.replay(place.loose, said=CALM)
    assert ran.code == 0
    assert "word for word as recorded 2 of 2" in ran.out
    for count, reason in ((2, "it does not name its prompt"), (2, "its stop strings"), (1, "another model gave it")):
        assert f"not compared: {count}, since {reason}" in ran.out
    assert "not compared: 1, since its text was scored" in ran.out
    assert "blockhead" not in place.traffic.read_text()


def test_budgets_that_answers_share_are_charged_for_each_alone(place: Place) -> None:
    place.record(place.loose, RUDE)
    shared = POLITE.replace("budget: 0.0, every: 4", "budget: 0.6, every: 4, scope: conversation")
    place.strict.write_text(shared)
    ran = place.replay(place.strict)
    assert "flips 0 of 2 " in ran.out
    assert "charged for each answer alone: budget 'rudeness'" in ran.out


@pytest.mark.parametrize(
    "words", [("--live",), ("--prompts", "p"), ("--live", "--prompts", "p", "--out", "o", "--against", "default")]
)
def test_what_does_not_go_together_is_refused(place: Place, words: tuple[str, ...]) -> None:
    ran = place.ig("policy", "replay", str(place.strict), "--on", "nowhere", *words)
    assert (ran.code, ran.out) == (2, "")
    assert "a live replay needs prompts" in ran.err


def test_a_sampling_that_is_none_is_refused_and_one_that_cannot_be_served_fails(place: Place) -> None:
    place.record(place.loose, CALM)
    line, other = (json.loads(line) for line in place.traffic.read_text().splitlines())
    line["sampling"]["top_p"] = None
    place.traffic.write_text(f"{json.dumps(line)}\n{json.dumps(other)}\n")
    ran = place.replay(place.loose, said=CALM)
    assert (ran.code, "not compared: 1, since it failed when it was asked for again" in ran.out) == (1, True)
    assert "word for word as recorded 1 of 1" in ran.out
    assert "top_p" in place.out.read_text()
    for wrong, told in (
        ({**line["sampling"], "logit_bias": {"x": 1}}, "its sampling is not whole"),
        (3, "no sampling"),
    ):
        place.traffic.write_text(json.dumps({**line, "sampling": wrong}) + "\n")
        ran = place.replay(place.loose, said=CALM)
        assert (ran.code, told in ran.err) == (2, True)
