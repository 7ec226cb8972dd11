"""Swaps of a policy: packaged or from a lexicon of its own, read when the policy is checked, and part of its hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ig_guardrail.policy import check_files, compile_text, load_policy
from ig_guardrail.policy.validation.substitutions import MOST
from ig_guardrail.text.counterfactual import read_swaps
from tests.unit.policy.texts import VALID, compiled, edited

KIN = {"kin": {"nouns": [["sister", "brother"]]}}


def with_swaps(*names: str) -> str:
    return edited(("  beams: 2\n", f"  beams: 2\n  swaps: [{', '.join(names)}]\n"))


@pytest.fixture
def lexicons(tmp_path: Path) -> Path:
    """A folder in which a policy finds lexicons."""
    many = {f"pair {chr(97 + i)}": {"words": [[f"on{chr(97 + i)}", f"off{chr(97 + i)}"]]} for i in range(MOST)}
    for name, content in {"kin": KIN, "twin": KIN, "many": many}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "torn.json").write_text("{")
    (tmp_path / "large.json").write_text(json.dumps(KIN) + " " * 300_000)
    return tmp_path


def test_packaged_swaps_are_named_and_those_of_a_lexicon_start_at_the_policy(lexicons: Path) -> None:
    policy, faults = compile_text(with_swaps("old and young", "./kin.json"), str(lexicons / "p.yaml"))
    assert policy is not None, faults
    assert list(policy.swaps) == ["kin", "old and young"]
    assert policy.swaps["old and young"] == read_swaps()["old and young"]
    assert policy.swaps["kin"]["sisters"] == "brothers"


def test_a_policy_without_swaps_keeps_its_normal_form() -> None:
    assert not compiled(VALID).swaps
    assert "swaps" not in compiled(VALID).normal_form


def test_the_words_are_hashed_and_not_the_place_they_come_from(lexicons: Path) -> None:
    def sha256(name: str) -> str:
        policy, faults = compile_text(with_swaps(name), str(lexicons / "p.yaml"))
        assert policy is not None, faults
        return policy.sha256

    before = sha256("./kin.json")
    assert sha256("./twin.json") == before != sha256("gender")
    (lexicons / "kin.json").write_text(json.dumps({"kin": {"nouns": [["aunt", "uncle"]]}}))
    assert sha256("./kin.json") != before


@pytest.mark.parametrize(
    ("names", "faults"),
    [
        (["sex"], [("P039", 11, "there is no packaged swap `sex`")]),
        (["Gender"], [("P020", 11, "`Gender` is not the name of a packaged swap, or the path of a lexicon")]),
        (["gender", "gender"], [("P026", 19, "`gender` is named twice")]),
        (["./absent.json"], [("P039", 11, "lexicon `./absent.json` cannot be used")]),
        (["./torn.json"], [("P039", 11, "lexicon `./torn.json` cannot be used")]),
        (["./large.json"], [("P039", 11, "lexicon `./large.json` cannot be used")]),
        (["./"], [("P039", 11, "lexicon `./` cannot be used")]),
        ([f"{'x' * 400}/{'y' * 400}"], [("P039", 11, "lexicon `xxx")]),
        (["./kin.json", "./twin.json"], [("P026", 23, "two swaps are called `kin`")]),
        (["gender", "./many.json"], [("P027", 10, f"there are {MOST + 1} swaps")]),
        (["sex", "./torn.json"], [("P039", 11, "there is no"), ("P039", 16, "lexicon `./torn.json`")]),
        ([], [("P027", 10, "`swaps` is empty")]),
    ],
)
def test_what_names_no_swaps_is_told_at_its_place(
    names: list[str], faults: list[tuple[str, int, str]], lexicons: Path
) -> None:
    policy, found = compile_text(with_swaps(*names), str(lexicons / "p.yaml"))
    assert policy is None
    assert [(fault.code, fault.line, fault.column) for fault in found] == [(code, 24, at) for code, at, _ in faults]
    for fault, (_, _, message) in zip(found, faults, strict=True):
        assert fault.message.startswith(message)


def test_a_lexicon_that_is_missing_is_told_when_the_policy_is_checked(lexicons: Path) -> None:
    file = lexicons / "p.yaml"
    file.write_text(with_swaps("./absent.json"))
    report = check_files([file])
    assert report.exit_code == 1
    assert "P039" in report.as_text(color=False)
    assert "there is no such file" in report.as_text(color=False)


def test_the_packaged_policy_for_answers_about_people_has_some() -> None:
    assert load_policy("fairness").swaps.items() <= read_swaps().items()
    assert load_policy("fairness").swaps
