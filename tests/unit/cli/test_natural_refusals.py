"""Refusals as support teams write them: each passes a packaged policy, or the check tells which budget denies it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ig_guardrail.policy.sources import PolicySource, fetch
from tests.unit.cli.conftest import Command

ROOT = Path(__file__).parents[3]
TEXTS = yaml.safe_load((ROOT / "benchmarks" / "refusals.yaml").read_text(encoding="utf-8"))
LANGUAGES = ("en", "de", "fr", "es")
PLACES = ("", "-AT", "-BE", "-CH", "-LU", "-US")  # tags of their own for six texts in one language
PASS = {"default": 16, "strict": 2}  # as docs/policy.md states it

pytestmark = [pytest.mark.real, pytest.mark.slow]


def written(texts: dict[str, str], name: str, approved: bool) -> str:
    """A packaged policy with these texts as its refusals."""
    source = fetch(name)
    assert isinstance(source, PolicySource)
    whole = yaml.safe_load(source.content)
    by = {"owner": "support@example.org", "reason": "our team wrote it"}
    refusals = {tag: {"text": text, "approved": by} if approved else text for tag, text in texts.items()}
    closing = whole["messages"]["closing"]
    messages = {"refusal": refusals, "closing": dict.fromkeys(("en",), closing["en"])}
    return yaml.safe_dump({**whole, "metadata": {"name": "tried", "version": "1.0.0"}, "messages": messages})


def tagged() -> Iterator[tuple[str, str]]:
    for language in LANGUAGES:
        assert len(TEXTS[language]) == len(PLACES)
        yield from zip((f"{language}{place}" for place in PLACES), TEXTS[language], strict=True)


def test_each_passes_or_is_told_with_its_budget_and_stands_where_it_is_approved(ig: Command, tmp_path: Path) -> None:
    texts = dict(tagged())
    assert len(texts) == len(set(texts.values())) == 24
    for name in PASS:
        (tmp_path / f"{name}.yaml").write_text(written(texts, name, approved=False), encoding="utf-8")
    ran = ig("policy", "check", "--deep", "--format", "json", *(str(tmp_path / f"{name}.yaml") for name in PASS))
    assert ran.code == 1
    for file, (name, count) in zip(json.loads(ran.out)["files"], PASS.items(), strict=True):
        faults = [one for one in file["faults"] if one["code"] == "P045"]
        denied = {one["path"].removeprefix("messages.refusal.") for one in faults}
        assert denied <= texts.keys()
        assert len(texts) - len(denied) == count, name
        for fault in faults:
            assert fault["line"]
            assert "is over budget '" in fault["message"]
            assert "score 0." in fault["message"]
            assert "approved: {owner: ..., reason: ...}" in fault["help"]
        assert all("`words`" in one["message"] for one in faults if name == "strict" and "toxic" in one["message"])
    for name in PASS:
        (tmp_path / f"{name}.yaml").write_text(written(texts, name, approved=True), encoding="utf-8")
    ran = ig("policy", "check", "--deep", *(str(tmp_path / f"{name}.yaml") for name in PASS))
    assert ran.code == 0, ran.out
