"""`ig-guardrail chat`: a conversation that remembers, reports each answer's budgets, and outlives a bad line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ig_guardrail.cli.commands import chat
from ig_guardrail.cli.commands.chat import HELP
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import EngineError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.rollout import reload
from ig_guardrail.types import Message
from tests.golden.conversations import CALM, POLITE, RUDE, scripted_guardrail
from tests.unit.cli.conftest import Command

Says = Callable[[Guardrail], Guardrail]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Message, ...]]:
    """The turns of every request."""
    found: list[tuple[Message, ...]] = []
    stream = Guardrail.stream

    def noting(guardrail: Guardrail, ask: GenerationRequest, timeout: float | None = None) -> object:
        found.append(ask.turns)
        return stream(guardrail, ask, timeout)

    monkeypatch.setattr(Guardrail, "stream", noting)
    return found


def test_each_answer_is_followed_by_a_line_of_its_budgets(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    ran = ig("chat", stdin=b"Why?\n")
    assert (ran.code, ran.out) == (0, CALM + "\n")
    assert "completed (stop) · rudeness 0/0" in ran.err


def test_it_remembers_what_was_said_until_new(ig: Command, says: Says, asked: list[tuple[Message, ...]]) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    ig("chat", "--system", "Be brief.", stdin=b"one\n\ntwo\n/new\nthree\n/quit\nfour\n")
    system, said = Message("system", "Be brief."), Message("assistant", CALM)
    assert asked == [
        (system, Message("user", "one")),
        (system, Message("user", "one"), said, Message("user", "two")),
        (system, Message("user", "three")),
    ]


def test_a_refusal_is_part_of_the_conversation(ig: Command, says: Says, asked: list[tuple[Message, ...]]) -> None:
    says(scripted_guardrail({(0, 0): RUDE}))
    ran = ig("chat", stdin=b"one\ntwo\n")
    assert asked[1][1] == Message("assistant", "I would rather not say that.")
    assert "refused" in ran.err


def test_an_exchange_that_fails_is_reported_and_left_out(
    ig: Command, says: Says, asked: list[tuple[Message, ...]]
) -> None:
    fault = Incidents(faults={("extend", 1): EngineError("the weights caught fire")})
    says(scripted_guardrail({(0, 0): CALM}, incidents=fault))
    ran = ig("chat", stdin=b"one\ntwo\n")
    assert "error: the weights caught fire" in ran.err
    assert asked[1] == (Message("user", "two"),)
    assert (ran.code, ran.out.strip()) == (0, CALM)


def test_a_conversation_that_outgrew_the_context_says_so_and_goes_on(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}, context=60))
    ran = ig("chat", stdin=b"one\n" + b"word " * 100 + b"\n/new\ntwo\n")
    assert ran.err.count("error: ") == 1
    assert ran.out == f"{CALM}\n{CALM}\n"
    assert ran.code == 0


def test_an_unknown_command_lists_the_known_ones(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    ran = ig("chat", stdin=b"/help\n")
    assert f"there is no command '/help'; {HELP}" in ran.err
    assert ran.out == ""


def test_a_line_that_is_not_text_ends_it_with_a_reason(ig: Command, says: Says) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    ran = ig("chat", stdin=b"\xff\n")
    assert ran.code == 2
    assert "error: prompt: the prompt is not UTF-8 (byte 0)" in ran.err


def test_with_reload_an_answer_is_held_to_the_policy_as_it_stands_then(
    ig: Command, runs_on: Callable[[ScriptedEngine], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "polite.yaml"
    path.write_text(POLITE)

    def lines() -> Iterator[str]:
        yield "one"
        path.write_text(POLITE.replace("blockhead", "wavelength"))
        yield "two"
        yield "three"  # by the second look, nobody writes to the file any more

    runs_on(ScriptedEngine(Continuations({(0, 0): RUDE})))
    monkeypatch.setattr(reload, "EVERY", 0.0)
    monkeypatch.setattr(chat, "_lines", lines)
    ran = ig("chat", "--policy", str(path), "--reload")
    first, _, last = ran.out.splitlines()
    assert (ran.code, first, last) == (0, "I would rather not say that.", RUDE)


def test_only_a_file_can_be_followed(ig: Command) -> None:
    ran = ig("chat", "--policy", "default", "--reload")
    assert (ran.code, "no file cannot be reloaded" in ran.err) == (2, True)
