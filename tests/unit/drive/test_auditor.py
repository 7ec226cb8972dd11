"""Every answer has its line in the audit log before its end is delivered; and what becomes of one that has none."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail import ChatIGGuardrail, GuardedChatModel, assembly
from ig_guardrail.audit.files import LogFiles
from ig_guardrail.audit.verify import verify
from ig_guardrail.drive.records import auditor
from ig_guardrail.drive.records.auditor import Auditor
from ig_guardrail.engine.loading import models
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import AuditError, GenerationFailed, RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.guard_runnable import GuardRunnable
from ig_guardrail.settings import AuditFile
from ig_guardrail.stream.receipt import text_sha256
from ig_guardrail.types import Receipt
from ig_guardrail.workbench.traffic.audit_replay import replay_log
from ig_guardrail.workbench.traffic.recordings import are_recordings, read_recordings
from tests.golden.conversations import CALM, CONVERSATIONS, KIND, LATE, POLITE, RUDE, compiled
from tests.unit.langchain.teller import teller

SECRET = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def without_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda opened: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def audited(name: str, file: AuditFile) -> Guardrail:
    rail = CONVERSATIONS[name].guardrail()
    rail.auditor = Auditor(file)
    return rail


def answered(rail: Guardrail, name: str) -> Receipt:
    try:
        *_, last = rail.stream(CONVERSATIONS[name].ask())
    except GenerationFailed as failure:
        return failure.receipt
    assert last.receipt is not None
    return last.receipt


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_every_outcome_has_one_line_without_texts_whose_decision_comes_out_again(name: str, file: Path) -> None:
    receipt = answered(audited(name, AuditFile(file)), name)
    (line,) = lines(file)
    assert line["receipt"]["verdict"]["outcome"] == line["recording"]["outcome"] == receipt.verdict.outcome
    assert line["recording"]["text_sha256"] == text_sha256(receipt.text)
    told = json.dumps(line)
    assert not any(text and text in told for text in (receipt.text, CONVERSATIONS[name].prompt, receipt.message))
    assert verify(LogFiles(file)).faults == []
    found = replay_log([file])
    assert found.differences == ()
    assert (found.same, found.apart) == ((0, {"it was not guarded": 1}) if name == "unguarded" else (1, {}))
    assert are_recordings(file)
    ((_, recording),) = read_recordings(file)
    assert recording.outcome == receipt.verdict.outcome


def test_a_key_names_texts_so_that_they_cannot_be_guessed(file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET)
    key.chmod(0o600)
    receipt = answered(audited("completed", AuditFile(file, key)), "completed")
    told = file.read_text()
    assert text_sha256(receipt.text) not in told
    assert receipt.prompt_sha256 not in told
    assert SECRET not in told
    assert replay_log([file]).same == 1


def test_texts_are_kept_where_that_is_asked_for(file: Path) -> None:
    receipt = answered(audited("completed", AuditFile(file, texts=True)), "completed")
    (line,) = lines(file)
    assert line["receipt"]["text"] == line["recording"]["text"] == receipt.text == CALM


@pytest.mark.parametrize(
    ("key", "change", "told"),
    [
        ("left", lambda line: line["left"].update(rudeness=-0.5), "'rudeness' has"),
        ("score", lambda line: line["recording"]["tracks"][0]["points"][0].__setitem__(2, 1.0), "overdrawn at token 4"),
        ("prompt", lambda line: line["recording"]["prompt"]["scores"].update(rude=1.0), "the prompt scores 1"),
        (
            "draft",
            lambda line: line["drafts"]["rudeness"][0]["points"][0].__setitem__(2, {"rude": 0.1}),
            "is within it",
        ),
        ("whole", lambda line: line.pop("opening"), "it is not whole"),
    ],
)
def test_a_decision_that_does_not_follow_from_its_scores_is_named(
    key: str, change: Callable[[dict[str, Any]], None], told: str, file: Path
) -> None:
    answered(audited("rescued", AuditFile(file)), "rescued")
    (line,) = lines(file)
    change(line)
    file.write_text(json.dumps(line, separators=(",", ":")) + "\n")
    found = replay_log([file])
    assert found.fails
    assert any(told in one.what and one.place == f"{file}:1" for one in found.differences), found


def test_another_policy_is_tried_on_what_was_recorded(file: Path, tmp_path: Path) -> None:
    rail = audited("completed", AuditFile(file))
    answered(rail, "completed")
    strict = tmp_path / "strict.yaml"
    strict.write_text(POLITE.replace("blockhead", "sky"))
    assert replay_log([file], str(strict)).apart == {"cost model 'rude' is another one now": 1}
    same = tmp_path / "same.yaml"
    same.write_text(POLITE)
    assert replay_log([file], str(same)).same == 1
    for kept in (file.parent / "audit.jsonl.policies").iterdir():
        kept.write_text("{}")  # not what its name says
    assert next(iter(replay_log([file]).apart)).endswith("name its file with `--policy`")


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_an_answer_whose_reader_leaves_has_a_line(pieces: int, file: Path) -> None:
    rail = audited("ended", AuditFile(file))
    stream = rail.stream(CONVERSATIONS["ended"].ask())
    shown = "".join(next(stream).text for _ in range(pieces))
    stream.close()
    assert rail.auditor is not None
    rail.auditor.flush()
    if not pieces:
        assert not file.read_text()  # nothing was begun
        return
    (line,) = lines(file)
    assert (line["recording"]["outcome"], line["recording"]["reason"]) == ("cancelled", "the caller left")
    assert line["recording"]["text_sha256"] == text_sha256(shown)
    assert replay_log([file]).same == 1


async def test_a_task_that_is_cancelled_has_a_line(file: Path) -> None:
    rail = audited("completed", AuditFile(file))

    async def read() -> None:
        async with aclosing(rail.astream(CONVERSATIONS["completed"].ask())) as chunks:
            async for _ in chunks:
                await asyncio.Event().wait()

    task = asyncio.create_task(read())
    while rail.engine.live_nodes() == 0:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rail.auditor is not None
    rail.auditor.flush()
    assert [line["recording"]["outcome"] for line in lines(file)] == ["cancelled"]


def test_past_the_deadline_the_line_is_still_waited_for(file: Path) -> None:
    rail = audited("completed", AuditFile(file))
    *_, last = rail.stream(CONVERSATIONS["completed"].ask(), timeout=1e-9)
    assert last.receipt is not None
    assert [line["recording"]["outcome"] for line in lines(file)] == ["cancelled"] == [last.receipt.verdict.outcome]


def broken(file: Path) -> None:
    """No line can be written from now on."""
    file.unlink()
    file.mkdir()


def test_without_a_log_no_answer_is_begun(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    rail = audited("completed", AuditFile(file))
    broken(file)
    with pytest.raises(GenerationFailed, match="the audit log cannot be written") as failed:
        list(rail.stream(CONVERSATIONS["completed"].ask()))
    assert (failed.value.receipt.text, failed.value.receipt.verdict.outcome) == ("", "failed")
    assert any("has no line in the audit log" in one.message for one in caplog.records)


def test_an_answer_whose_line_cannot_be_written_is_not_delivered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rail = audited("completed", AuditFile(file))
    assert rail.auditor is not None

    def full(entry: Any) -> None:
        raise AuditError("no room")

    monkeypatch.setattr(rail.auditor.log, "append", full)
    with pytest.raises(GenerationFailed, match="no room") as failed:
        list(rail.stream(CONVERSATIONS["completed"].ask()))
    assert failed.value.receipt.verdict.outcome == "failed"


def test_open_delivers_and_the_next_line_tells_how_many_are_lost(
    file: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    rail = audited("completed", AuditFile(file, on_error="open"))
    broken(file)
    with caplog.at_level(logging.ERROR):
        assert [answered(rail, "completed").text for _ in range(2)] == [CALM, CALM]
    assert sum("has no line in the audit log" in one.message for one in caplog.records) == 2
    file.rmdir()
    assert answered(rail, "completed").text == CALM
    (line,) = lines(file)
    assert line["lost"] == 2


def test_a_log_that_takes_too_long_counts_as_broken(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rail = audited("completed", AuditFile(file))
    monkeypatch.setattr(auditor, "WRITE_S", 0.0)
    assert rail.auditor is not None
    with rail.auditor.log._chain._turn, pytest.raises(GenerationFailed, match="it takes too long"):
        list(rail.stream(CONVERSATIONS["completed"].ask()))


def test_tokens_are_the_same_whether_they_are_audited_or_not(file: Path) -> None:
    plain = answered(CONVERSATIONS["rescued"].guardrail(), "rescued")
    kept = answered(audited("rescued", AuditFile(file)), "rescued")
    assert (kept.text, kept.charges, kept.blocks, kept.unsafe) == (
        plain.text,
        plain.charges,
        plain.blocks,
        plain.unsafe,
    )


def test_what_a_conversation_had_left_comes_out_again(file: Path) -> None:
    shared = compiled(POLITE.replace("budget: 0.0, every: 4", "budget: 1.2, every: 4, scope: conversation"))
    for text in (RUDE, RUDE, RUDE):
        told = {(lane, attempt): text for lane in range(4) for attempt in range(4)}
        model = ChatIGGuardrail(guardrail=assembly.guard(ScriptedEngine(Continuations(told)), shared), cache=False)
        assert model.guardrail is not None
        model.guardrail.auditor = Auditor(AuditFile(file))
        model.invoke("Why?", conversation="c1")
    assert [line["recording"]["outcome"] for line in lines(file)][-1] == "refused"
    assert [bool(line["opening"]) for line in lines(file)] == [True] * 3
    assert len({line["who"]["conversation"] for line in lines(file)} - {None, "c1"}) == 1
    found = replay_log([file])
    assert (found.same, found.differences) == (3, ())


def test_guards_of_hosted_models_write_lines_too(file: Path) -> None:
    model = GuardedChatModel(inner=teller(RUDE, KIND), policy=compiled(POLITE), audit=file)
    assert model.invoke("Why?").text == KIND
    GuardRunnable(compiled(POLITE), audit=file).invoke(LATE)
    assert [line["recording"]["outcome"] for line in lines(file)] == ["completed", "ended"]
    assert (verify(LogFiles(file)).faults, replay_log([file]).differences) == ([], ())


def test_a_chat_model_writes_lines_where_it_is_told_to(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load_engine", lambda model, **how: CONVERSATIONS["completed"].guardrail().engine)
    policy = tmp_path / "polite.yaml"
    policy.write_text(POLITE, encoding="utf-8")
    chat = ChatIGGuardrail(model="toy", policy=policy, seed=7, audit=AuditFile(file, texts=True))
    assert chat.invoke("Why?").content == CALM
    assert [line["receipt"]["text"] for line in lines(file)] == [CALM]
    with pytest.raises(RequestError, match="both a guardrail and an audit log are given"):
        ChatIGGuardrail(guardrail=CONVERSATIONS["completed"].guardrail(), audit=file)
