"""`--canary` of `run` and `chat`: a share of names is answered under another policy, and each answer says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.rollout.canary import Canary
from tests.golden.conversations import CALM, POLITE
from tests.unit.cli.conftest import Command

NAMES = [f"c{place}" for place in range(6)]


@pytest.fixture(autouse=True)
def model(runs_on: Callable[[ScriptedEngine], None]) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM})))


@pytest.fixture
def policies(tmp_path: Path) -> tuple[str, ...]:
    """The options that name both."""
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(POLITE)
    new.write_text(POLITE.replace("version: 1.0.0", "version: 1.1.0"))
    return ("--policy", str(old), "--canary", str(new), "--canary-share", "0.5")


def test_an_answer_is_given_in_the_arm_of_its_conversation(ig: Command, policies: tuple[str, ...]) -> None:
    arms = {}
    for name in NAMES:
        ran = ig("run", "--prompt", "Why?", *policies, "--conversation", name, "--json")
        arms[name] = (ran.objects[-1]["arm"], ran.objects[-1]["policy"]["version"])
    stable, canary = ("stable", "1.0.0"), ("canary", "1.1.0")
    assert arms == {name: canary if Canary("", 0.5).arm_of(name, None) == "canary" else stable for name in NAMES}
    assert set(arms.values()) == {stable, canary}


def test_the_receipt_for_people_tells_the_arm(ig: Command, policies: tuple[str, ...]) -> None:
    ran = ig("run", "--prompt", "Why?", *policies[:-1], "1", "--canary-by", "tenant", "--tenant", "shop")
    assert "policy polite 1.1.0 · arm canary" in ran.err
    ran = ig("chat", *policies[:-1], "1", stdin=b"Why?\n")
    assert "arm canary" in ran.err


def test_each_row_of_a_batch_is_answered_in_its_arm_and_a_larger_share_is_another_batch(
    ig: Command, policies: tuple[str, ...], tmp_path: Path
) -> None:
    asked, out = tmp_path / "p.jsonl", tmp_path / "out.jsonl"
    asked.write_text("".join(json.dumps({"id": name, "prompt": "Why?", "conversation": name}) + "\n" for name in NAMES))
    files = ("--prompts", str(asked), "--out", str(out), "--seed", "1", "--ledger", str(tmp_path / "ledger.db"))
    assert ig("run", *policies, *files).code == 0
    told = {line["id"]: line["receipt"]["arm"] for line in map(json.loads, out.read_text().splitlines())}
    assert told == {name: Canary("", 0.5).arm_of(name, None) for name in NAMES}
    assert ig("run", *policies, *files).code == 0
    ran = ig("run", *policies[:-1], "0.6", *files)
    assert (ran.code, "made otherwise" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--canary", "strict"), "a canary needs a policy and a share"),
        (("--canary-share", "0.1"), "a canary needs a policy and a share"),
        (("--canary-by", "tenant"), "a canary needs a policy and a share"),
        (("--canary", "strict", "--canary-share", "2", "--conversation", "a"), "share is 2.0"),
        (("--canary", "strict", "--canary-share", "0.1", "--canary-by", "mood"), "by is 'mood'"),
        (("--canary", "strict", "--canary-share", "0.1"), "nothing has the name of a conversation"),
        (
            ("--canary", "strict", "--canary-share", "0.1", "--canary-by", "tenant", "--conversation", "a"),
            "nothing has the name of a tenant",
        ),
        (("--canary", "paper", "--canary-share", "0.1", "--conversation", "a"), "the policy is called 'paper'"),
    ],
)
def test_what_would_not_lead_to_a_canary_is_refused(ig: Command, options: tuple[str, ...], why: str) -> None:
    ran = ig("run", "--prompt", "Why?", "--policy", "observe", *options)
    assert (ran.code, why in ran.err) == (2, True), ran.err
