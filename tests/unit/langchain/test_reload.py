"""A policy file that is changed while a chat model serves holds for later requests; a broken one changes nothing."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from ig_guardrail import ChatIGGuardrail, GuardedChatModel, assembly
from ig_guardrail.assembly import guard, guard_alike
from ig_guardrail.engine.loading import models
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import GuardrailError, PolicyError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
from ig_guardrail.policy import load_policy
from ig_guardrail.rollout import reload
from ig_guardrail.rollout.reload import Reloading, state_of
from ig_guardrail.settings import AuditFile
from ig_guardrail.types import CompiledPolicy
from ig_guardrail.workbench.traffic.recordings import read_recordings
from tests.golden.conversations import CALM, POLITE, RUDE

ASKED = "Why is the sky blue?"
OLD = 1_000_000_000  # seconds of the epoch: a file that nobody writes to now
_TIMES = itertools.count(OLD)


CHILD = """apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: {name}, version: 1.0.0}}
extends: {extends}
"""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chat models decode a script."""

    monkeypatch.setattr(assembly, "open_guardrail", lambda spec, policy: scripted(policy))
    monkeypatch.setattr(reload, "EVERY", 0.0)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is a script; all else is opened as it is."""
    monkeypatch.setattr(models, "load_engine", lambda model, **how: ScriptedEngine(Continuations({(0, 0): CALM})))
    monkeypatch.setattr(reload, "EVERY", 0.0)


def scripted(policy: CompiledPolicy) -> Guardrail:
    return guard(ScriptedEngine(Continuations({(0, 0): CALM})), policy)


def alike(old: Guardrail, policy: CompiledPolicy) -> Guardrail:
    return guard_alike(old, policy, None, None)


def write(path: Path, text: str, aged: bool = True) -> None:
    """Replace a file as editors do, some time ago."""
    new = path.with_name(f"{path.name}.{threading.get_ident()}.new")
    new.write_text(text)
    if aged:
        now = next(_TIMES)
        os.utime(new, (now, now))
    new.replace(path)


def version(number: int) -> str:
    return POLITE.replace("version: 1.0.0", f"version: 1.0.{number}")


def told(message: AIMessage | AIMessageChunk) -> dict[str, Any]:
    found: dict[str, Any] = message.response_metadata["ig_guardrail"]["policy"]
    return found


def chat(path: Path, **settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(policy=str(path), reload=True, cache=False, **settings)


def test_the_next_request_is_held_to_the_file_as_it_stands(served: None, tmp_path: Path) -> None:
    path = tmp_path / "polite.yaml"
    write(path, version(0))
    model = chat(path)
    assert told(model.invoke(ASKED))["version"] == "1.0.0"
    write(path, version(1))
    assert told(model.invoke(ASKED))["version"] == "1.0.1"
    assert model._identifying_params["policy_sha256"] == load_policy(path).sha256


def test_answers_are_recorded_under_the_policy_that_was_in_force(runs: None, tmp_path: Path) -> None:
    path, file = tmp_path / "polite.yaml", tmp_path / "rec.jsonl"
    write(path, version(0))
    model = chat(path, model="toy", record=file)
    for number in (1, 2):
        model.invoke(ASKED)
        write(path, version(number))
    recorder = model._opened().current().recorder
    assert recorder is not None
    recorder.flush()
    assert [one.policy["version"] for _, one in read_recordings(file)] == ["1.0.0", "1.0.1"]


@pytest.mark.parametrize("broken", ["", "budgets: [", version(1).replace("threshold", "treshold"), None])
def test_a_broken_file_leaves_the_last_good_policy_and_is_reported(
    served: None, tmp_path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "polite.yaml"
    write(path, version(0))
    model = chat(path)
    assert model.policy_fault is None
    model.invoke(ASKED)
    if broken is None:
        path.unlink()
        model.invoke(ASKED)  # the first look at a file that is away: it may be about to be replaced
    else:
        write(path, broken)
    assert told(model.invoke(ASKED))["version"] == "1.0.0"
    assert model.policy_fault is not None
    assert str(path) in model.policy_fault
    model.invoke(ASKED)
    assert sum("stays in force" in one.message for one in caplog.records) == 1
    write(path, version(2))
    assert told(model.invoke(ASKED))["version"] == "1.0.2"
    assert model.policy_fault is None


def test_a_parent_that_is_changed_is_read_again(served: None, tmp_path: Path) -> None:
    path, parent, elder = (tmp_path / f"{name}.yaml" for name in ("child", "parent", "elder"))
    write(elder, version(0))
    write(parent, CHILD.format(name="parent", extends="./elder.yaml"))
    write(path, CHILD.format(name="child", extends="./parent.yaml"))
    model = chat(path)
    before = told(model.invoke(ASKED))
    assert before["name"] == "child"
    write(elder, version(0).replace("threshold: 0.5, budget", "threshold: 0.4, budget"))
    after = told(model.invoke(ASKED))
    assert after["sha256"] == load_policy(path).sha256 != before["sha256"]
    write(parent, "nothing")
    assert told(model.invoke(ASKED)) == after
    assert str(parent) in str(model.policy_fault)
    parent.unlink()
    model.invoke(ASKED)  # the first look at a file that is away: it may be about to be replaced
    model.invoke(ASKED)
    assert "there is no such file" in str(model.policy_fault)
    write(parent, CHILD.format(name="parent", extends="./elder.yaml") + "reasoning: charge\n")
    assert told(model.invoke(ASKED)) == after
    assert model.policy_fault is None


def test_messages_that_are_over_budget_are_refused_as_at_start_up(served: None, tmp_path: Path) -> None:
    path = tmp_path / "polite.yaml"
    write(path, version(0))
    model = chat(path)
    model.invoke(ASKED)
    write(path, version(1).replace("I would rather not say that.", "You blockhead."))
    assert told(model.invoke(ASKED))["version"] == "1.0.0"
    assert model.policy_fault is not None


def test_a_file_that_somebody_writes_to_just_now_is_left_until_it_stands_still(served: None, tmp_path: Path) -> None:
    path = tmp_path / "polite.yaml"
    write(path, version(0))
    seen, policy = state_of(path), load_policy(path)
    rail = Reloading(path, scripted(policy), seen, alike)
    write(path, version(1), aged=False)
    ahead = path.stat().st_mtime + 3600
    os.utime(path, (ahead, ahead))
    assert [rail.current().policy.version for _ in range(3)] == ["1.0.0", "1.0.1", "1.0.1"]


def test_an_error_that_nobody_foresaw_costs_no_answer(
    served: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "polite.yaml"
    write(path, version(0))
    model = chat(path)
    model.invoke(ASKED)
    monkeypatch.setattr(reload, "load_policy", lambda path: 1 / 0)
    write(path, version(1))
    assert told(model.invoke(ASKED))["version"] == "1.0.0"
    assert model.policy_fault is not None


def test_only_a_file_can_be_reloaded(served: None) -> None:
    with pytest.raises(GuardrailError, match="no file cannot be reloaded"):
        ChatIGGuardrail(policy="default", reload=True).invoke(ASKED)


def test_the_first_policy_must_be_valid(served: None, tmp_path: Path) -> None:
    path = tmp_path / "polite.yaml"
    write(path, "budgets: [")
    with pytest.raises(PolicyError):
        chat(path).invoke(ASKED)


def test_a_request_in_flight_keeps_its_policy(served: None, tmp_path: Path) -> None:
    path = tmp_path / "polite.yaml"
    write(path, version(0))
    model = chat(path)
    under_way = model.stream(ASKED)
    first = next(under_way)
    write(path, version(1))
    assert told(model.invoke(ASKED))["version"] == "1.0.1"
    whole = first
    for chunk in under_way:
        whole += chunk
    assert (told(whole)["version"], whole.text) == ("1.0.0", CALM)


def test_a_new_version_is_live_within_a_second_of_its_writing(
    served: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "polite.yaml", Clock()
    monkeypatch.setattr(reload, "EVERY", 0.1)
    monkeypatch.setattr(reload, "time", clock)
    write(path, version(0))
    rail = Reloading(path, scripted(load_policy(path)), state_of(path), alike)
    for number, text in enumerate((version(1), version(2)[:60], version(3)), 1):
        write(path, text, aged=False)
        os.utime(path, ns=(clock.time_ns(), clock.time_ns()))
        written = clock.now
        while clock.now - written < 1 and rail.current().policy.version != f"1.0.{number}":
            clock.now += 0.05
        assert rail.current().policy.version == ("1.0.1" if number < 3 else "1.0.3")
        assert (rail.fault is not None) == (number == 2)


class Clock:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = float(OLD)  # seconds

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


class Said(BaseChatModel):
    """Stands for a hosted model."""

    says: str = CALM

    @property
    def _llm_type(self) -> str:
        return "said"

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        for word in re.findall(r"\s*\S+", self.says):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return generate_from_stream(self._stream(messages))


def hosted(path: Path) -> GuardedChatModel:
    return GuardedChatModel(inner=Said(), policy=path, reload=True, cache=False)


def test_a_hosted_model_follows_the_file_too(served: None, tmp_path: Path) -> None:
    path = tmp_path / "polite.yaml"
    write(path, version(0))
    model = hosted(path)
    assert told(model.invoke(ASKED))["version"] == "1.0.0"
    write(path, version(1))
    assert told(asyncio.run(model.ainvoke(ASKED)))["version"] == "1.0.1"
    assert model._identifying_params["policy_sha256"] == load_policy(path).sha256
    write(path, version(2).replace("kind: pattern", "kind: latent, head: toxic-tone").replace("patterns: [", "x: ["))
    assert told(model.invoke(ASKED))["version"] == "1.0.1"
    assert model.policy_fault is not None
    with pytest.raises(GuardrailError, match="no file cannot be reloaded"):
        GuardedChatModel(inner=Said(), policy="observe", reload=True)


class Decision(NamedTuple):
    """An answer's policy, and the number of the version that what was decided tells by itself."""

    sha256: str
    version: str
    told: int


class Answering:
    """A chat model. Receipts tell the threshold."""

    def __init__(self, model: BaseChatModel) -> None:
        self.model = model
        self.seen: list[Decision] = []

    def ask(self) -> int:
        receipt = self.model.invoke(ASKED).response_metadata["ig_guardrail"]
        number = round(1000 * (receipt["spend"]["rudeness"]["threshold"] - 0.5))
        self.seen.append(Decision(receipt["policy"]["sha256"], receipt["policy"]["version"], number))
        return number

    def decisions(self) -> list[Decision]:
        return self.seen


class Checking:
    """The middleware, which refuses every answer of another's model. Its lines tell the message that was shown."""

    def __init__(self, path: Path) -> None:
        self.log = path.with_name("audit.jsonl")
        guard = GuardrailMiddleware(path, reload=True, audit=AuditFile(self.log, texts=True))
        self.agent = create_agent(Said(says=RUDE), [], middleware=[guard])
        self.shown: list[int] = []

    def ask(self) -> int:
        self.shown.append(_number(self.agent.invoke({"messages": [HumanMessage(ASKED)]})["messages"][-1].text))
        return self.shown[-1]

    def decisions(self) -> list[Decision]:
        kept = [one for _, one in read_recordings(self.log)]
        found = [Decision(one.policy["sha256"], one.policy["version"], _number(str(one.text))) for one in kept]
        assert sorted(one.told for one in found) == sorted(self.shown)
        return found


def _number(message: str) -> int:
    told = re.fullmatch(r"I would rather not say that. Rule (\d+).", message)
    assert told is not None, message
    return int(told[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["chat", "hosted", "middleware"])
def test_under_load_every_decision_is_that_of_one_valid_version_and_none_is_lost(
    served: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Versions differ in what their decisions tell: one that is of two versions would show."""
    monkeypatch.setattr(os, "fsync", lambda opened: None)
    path = tmp_path / "polite.yaml"
    write(path, numbered(0))
    guarded = Checking(path) if kind == "middleware" else Answering({"chat": chat, "hosted": hosted}[kind](path))
    valid = {load_policy_of(numbered(number), tmp_path): number for number in range(0, 201, 2)}
    stop, lost, begun = threading.Event(), [], itertools.count(1)
    seen = [guarded.ask()]  # opened with the first version, which must be valid

    def ask() -> None:
        while not stop.is_set():
            next(begun)
            try:
                seen.append(guarded.ask())
            except BaseException as error:
                lost.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 201):
            write(path, numbered(number) if number % 2 == 0 else numbered(number)[: 40 + number])
            while not lost and (len(seen) < number or (number % 20 == 0 and seen[-1] != number)):
                stop.wait(0.001)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert lost == []
    decisions = guarded.decisions()
    assert len(decisions) == next(begun) >= 200
    for one in decisions:
        assert one.version == f"1.0.{one.told}"
        assert one.told == valid[one.sha256]
    assert len({one.sha256 for one in decisions}) >= 10
    assert guarded.ask() == 200


def threshold(number: int) -> float:
    return round(0.5 + number / 1000, 3)


def numbered(number: int) -> str:
    """A version with a threshold and a refusal of its own."""
    own = version(number).replace("I would rather not say that.", f"I would rather not say that. Rule {number}.")
    return own.replace("cost: rude, threshold: 0.5, budget", f"cost: rude, threshold: {threshold(number)}, budget")


def load_policy_of(text: str, folder: Path) -> str:
    path = folder / "one.yaml"
    path.write_text(text)
    return load_policy(path).sha256
