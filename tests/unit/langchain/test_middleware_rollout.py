"""What the middleware decides has a line in the audit log, and follows its policy's file and its arm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage

from ig_guardrail import ChatIGGuardrail
from ig_guardrail.audit.files import LogFiles
from ig_guardrail.audit.log import AuditLog
from ig_guardrail.audit.verify import verify
from ig_guardrail.errors import AuditError, GuardrailError
from ig_guardrail.integrations.langchain import AnswerRefused
from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
from ig_guardrail.rollout import reload
from ig_guardrail.settings import AuditFile
from ig_guardrail.workbench.traffic.audit_replay import replay_log
from ig_guardrail.workbench.traffic.recordings import read_recordings
from tests.golden.conversations import CALM, POLITE, RUDE, compiled
from tests.unit.langchain.obliging import obliging_guardrail
from tests.unit.langchain.test_middleware import REFUSAL, RULES, Said, agent, ask, calling, fetch, pay, ran
from tests.unit.langchain.test_reload import write

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda opened: None)
    monkeypatch.setattr(reload, "EVERY", 0.0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def kinds(log: Path) -> list[tuple[str, str, str]]:
    """Of each line, what was checked, how it ended, and why."""
    told = [(line["receipt"]["checked"], line["recording"]) for line in lines(log)]
    return [(what, one["outcome"], one["reason"]) for what, one in told]


async def test_calls_answers_and_refused_inputs_have_lines_whose_decisions_come_out_again(log: Path) -> None:
    agent(calling("pay", amount=100), AIMessage("Done."), audit=log).invoke(ask())
    await agent(calling("pay", amount=101), AIMessage(RUDE), audit=log).ainvoke(ask())
    agent(audit=log).invoke(ask("Hello, blockhead."))
    assert kinds(log) == [
        ("call", "completed", ""),
        ("answer", "completed", ""),
        ("call", "refused", "budget 'tools'"),
        ("answer", "refused", "budget 'rudeness'"),
        ("input", "refused", "prompt check of the input"),
    ]
    assert [line["kind"] for line in lines(log)] == ["call", "answer", "call", "answer", "answer"]
    assert lines(log)[0]["receipt"]["tool"] == "pay"
    told = log.read_text()
    assert not any(text in told for text in ("Done.", RUDE, "blockhead", REFUSAL, "amount"))
    found = verify(LogFiles(log))
    assert (found.faults, found.answers, found.calls) == ([], 3, 2)
    assert "3 answers, 2 calls" in found.as_text()
    replayed = replay_log([log])
    assert (replayed.same, replayed.differences, replayed.apart) == (5, (), {})
    assert [one.outcome for _, one in read_recordings(log)] == ["completed", "refused", "refused"]


SHARED = POLITE.replace("budget: 0.0, every: 4", "budget: 0.6, every: 4, scope: conversation").replace(
    "budgets:",
    "budgets:\n  - {id: by-call, hazards: [hte], cost: rude, threshold: 0.5, scope: tool, budget: 0}\n"
    "  - {id: watched, hazards: [hte], cost: rude, threshold: 0.1, mode: shadow}",
)


@pytest.mark.parametrize("rest", ["", "tools: {limits: [{id: pays, tool: pay, calls: 1}]}\n"])
def test_budgets_of_every_scope_are_charged_as_they_were_judged(log: Path, rest: str) -> None:
    guard = GuardrailMiddleware(compiled(SHARED + rest), audit=log)
    for said in (calling("pay", amount=1), calling("fetch", page="blockhead")):
        model = Said(messages=iter([said, AIMessage("Done.")]))
        create_agent(model, [pay, fetch], middleware=[guard]).invoke(ask())
    assert [one for one in kinds(log) if one[0] == "call"] == [
        ("call", "completed", ""),
        ("call", "refused", "budget 'by-call'"),
    ]
    replayed = replay_log([log])
    assert (replayed.same, replayed.differences, replayed.apart) == (4, (), {})


@pytest.mark.parametrize(
    ("place", "change", "told"),
    [
        (0, lambda line: line["recording"]["tracks"][0]["points"][0].__setitem__(2, 1.0), "is overdrawn"),
        (1, lambda line: line["drafts"]["rudeness"][0]["points"][0].__setitem__(2, {"rude": 0.1}), "is within it"),
        (2, lambda line: line["recording"]["prompt"]["scores"].update(rude=0.1), "the prompt scores 0.1"),
    ],
)
def test_a_line_that_says_otherwise_does_not_come_out(
    log: Path, tmp_path: Path, place: int, change: Any, told: str
) -> None:
    agent(AIMessage("Done."), audit=log).invoke(ask())
    agent(AIMessage(RUDE), audit=log).invoke(ask())
    agent(audit=log).invoke(ask("Hello, blockhead."))
    line = lines(log)[place]
    change(line)
    other = AuditLog(AuditFile(tmp_path / "other.jsonl"))
    other.keep_policy(RULES.sha256, RULES.normal_form)
    other.append(
        {name: line[name] for name in ("kind", "recording", "budgets", "drafts", "opening", "left", "receipt")}
    )
    assert any(told in one.what for one in replay_log([tmp_path / "other.jsonl"]).differences)


def test_an_answer_that_its_model_has_logged_has_no_second_line(log: Path) -> None:
    own = ChatIGGuardrail(guardrail=obliging_guardrail({"Go.": CALM}, RULES))
    create_agent(own, [pay], middleware=[GuardrailMiddleware(RULES, audit=log)]).invoke(ask())
    assert not log.exists() or lines(log) == []


def test_texts_are_kept_where_that_is_asked_for(log: Path) -> None:
    agent(calling("fetch", page="home"), AIMessage("Done."), audit=AuditFile(log, texts=True)).invoke(ask())
    assert ['"home"' in lines(log)[0]["recording"]["text"], lines(log)[1]["recording"]["text"]] == [True, "Done."]


def test_a_refusal_that_is_raised_has_its_line_first(log: Path) -> None:
    with pytest.raises(AnswerRefused):
        agent(AIMessage(RUDE), audit=log, on_refusal="raise").invoke(ask())
    assert kinds(log) == [("answer", "refused", "budget 'rudeness'")]


def test_without_a_line_no_tool_runs_and_no_answer_is_delivered(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise AuditError("the disk is full", where="audit", fix="")

    closed, lax = (AuditFile(log, on_error=how) for how in ("closed", "open"))  # type: ignore[arg-type]
    agents = [agent(calling("pay", amount=1), AIMessage("Done."), audit=one) for one in (closed, lax)]
    monkeypatch.setattr(AuditLog, "append", full)
    with pytest.raises(AuditError, match="the disk is full"):
        agents[0].invoke(ask())
    assert ran == []
    assert agents[1].invoke(ask())["messages"][-1].text == "Done."
    assert ran == ["pay 1"]


def test_it_follows_its_policys_file(tmp_path: Path, log: Path) -> None:
    path = tmp_path / "polite.yaml"
    rules = POLITE + "tools: {arguments: [{tool: pay, argument: amount, most: 100}]}\n"
    write(path, rules)
    guard = GuardrailMiddleware(path, reload=True, audit=log)
    said = [calling("pay", amount=100) for _ in range(3)]
    one = create_agent(Said(messages=iter([*said, AIMessage("Done.")])), [pay], middleware=[guard])
    steps = one.stream(ask(), stream_mode="updates")
    results = []
    for step in steps:
        if "tools" in step:
            results.append(step["tools"]["messages"][0].status)
            new = rules.replace("version: 1.0.0", "version: 1.1.0").replace("most: 100", "most: 10")
            write(path, new if len(results) == 1 else "budgets: [")
    assert results == ["success", "error", "error"]
    assert [line["recording"]["policy"]["version"] for line in lines(log)] == ["1.0.0", "1.1.0", "1.1.0", "1.1.0"]
    assert guard.policy_fault is not None
    assert replay_log([log]).same == 4
    with pytest.raises(GuardrailError, match="no file cannot be reloaded"):
        GuardrailMiddleware("default", reload=True)


def test_its_arm_is_that_of_the_conversation_or_the_tenant(tmp_path: Path, log: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    write(old, POLITE)
    write(new, POLITE.replace("version: 1.0.0", "version: 1.1.0"))
    canary = {"policy": new, "share": 1.0}
    for settings in ({"canary": canary}, {"canary": {**canary, "by": "tenant"}, "tenant_key": "owner"}):
        guard = GuardrailMiddleware(old, audit=log, **settings)
        for config in ({}, {"thread_id": "a", "owner": "shop"}):
            one = create_agent(Said(messages=iter([AIMessage("Done.")])), [], middleware=[guard])
            one.invoke(ask(), {"configurable": config})
    assert [one.arm for _, one in read_recordings(log)] == ["stable", "canary"] * 2
    assert [line["who"]["tenant"] is None for line in lines(log)] == [True, True, True, False]
