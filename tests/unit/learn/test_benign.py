"""The harmless questions: many, different, and each with one use for ever."""

from __future__ import annotations

from collections import Counter

from ig_guardrail.learn.answers import split_of
from ig_guardrail.learn.data.benign import FAMILIES, benign_prompts, part_of
from ig_guardrail.learn.data.rows import is_reserved


def test_there_are_over_nine_hundred_different_questions() -> None:
    prompts = benign_prompts()
    assert len(prompts) == len(set(prompts)) > 900
    assert all(prompt == prompt.strip() and 8 < len(prompt) < 200 for prompt in prompts)


def test_families_do_not_repeat_each_other() -> None:
    asked = [question for family in FAMILIES for question in family.questions()]
    assert len(asked) == len(benign_prompts())


def test_each_use_has_its_share() -> None:
    shares = Counter(part_of(prompt) for prompt in benign_prompts())
    total = sum(shares.values())
    assert 0.20 < shares["judge"] / total < 0.30
    assert 0.20 < shares["calibrate"] / total < 0.30
    assert 0.09 < shares["evaluate"] / total < 0.16
    assert 0.33 < shares["train"] / total < 0.45


def test_reserved_questions_are_the_judges_and_only_those() -> None:
    assert all((part_of(prompt) == "judge") == is_reserved(prompt, "") for prompt in benign_prompts())


def test_splits_follow_the_uses() -> None:
    names = {"judge": {"reserved"}, "calibrate": {"calibration"}, "evaluate": {"test"}}
    for prompt in benign_prompts():
        assert split_of(prompt) in names.get(part_of(prompt), {"train", "validation"})
    splits = Counter(split_of(prompt) for prompt in benign_prompts())
    assert splits["validation"] > 30
