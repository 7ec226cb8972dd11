"""Recordings: what is in them for every way an answer can go, and that they never get in an answer's way."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from ig_guardrail.drive.records.recorder import Recorder
from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.settings import RecordingFile, recording_file
from ig_guardrail.stream.receipt import text_sha256
from ig_guardrail.stream.recording import FORMAT, Recording, recording_in
from ig_guardrail.types import Receipt
from ig_guardrail.workbench.traffic.recordings import read_recordings
from tests.golden.conversations import CALM, CONVERSATIONS, POLITE


def answered(name: str, file: RecordingFile) -> Receipt:
    conversation = CONVERSATIONS[name]
    rail = conversation.guardrail()
    rail.recorder = Recorder(file)
    try:
        *_, last = rail.stream(conversation.ask())
        receipt = last.receipt
    except GenerationFailed as failure:
        receipt = failure.receipt
    rail.recorder.flush()
    assert receipt is not None
    return receipt


def recorded(name: str, file: Path) -> Recording:
    answered(name, RecordingFile(file))
    ((_, recording),) = read_recordings(file)
    return recording


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_every_outcome_is_recorded_in_one_line_that_reads_back(name: str, tmp_path: Path) -> None:
    file = tmp_path / "rec.jsonl"
    receipt = answered(name, RecordingFile(file))
    (line,) = file.read_text().splitlines()
    recording = recording_in(json.loads(line))
    assert json.loads(line)["format"] == FORMAT
    assert recording.as_line() == line
    assert (recording.outcome, recording.text_sha256) == (receipt.verdict.outcome, text_sha256(receipt.text))
    assert receipt.text not in line or not receipt.text
    assert recording.language == CONVERSATIONS[name].language


def test_scores_stand_at_every_charge_point_with_the_hash_of_their_cost_model(tmp_path: Path) -> None:
    recording = recorded("completed", tmp_path / "rec.jsonl")
    (track,) = recording.tracks
    assert (track.model, track.hazards, track.granularity, track.every) == ("rude", ("hte",), "block", 4)
    assert track.points == ((4, False, 0.0), (8, False, 0.0), (12, False, 0.0), (16, False, 0.0), (17, True, 0.0))
    assert (recording.tokens, recording.released, recording.ended, recording.searched) == (17, 17, True, False)
    assert recording.prompt is not None
    assert (recording.prompt.cost, recording.prompt.score, recording.prompt.action) == ("rude", 0.0, "none")
    assert len(recording.cost_models["rude"].sha256) == 64


def test_denied_drafts_are_counted_by_budget(tmp_path: Path) -> None:
    recording = recorded("rescued", tmp_path / "rec.jsonl")
    assert recording.outcome == "completed"
    assert recording.searched
    (denied,) = recording.denied.values()
    assert (denied.count, denied.highest, denied.tenths[9]) == (1, 1.0, 1)
    assert list(recording.denied) == ["rudeness"]


def test_a_prompt_that_is_refused_has_a_score_and_no_tokens(tmp_path: Path) -> None:
    recording = recorded("refused-at-the-prompt", tmp_path / "rec.jsonl")
    assert recording.prompt is not None
    assert (recording.prompt.score, recording.prompt.action, recording.tokens) == (1.0, "refuse", 0)


@pytest.mark.parametrize(
    ("texts", "kept", "sha256"), [("none", None, False), ("hash", None, True), ("plain", CALM, True)]
)
def test_texts_are_kept_as_asked(texts: str, kept: str | None, sha256: bool, tmp_path: Path) -> None:
    file = tmp_path / "rec.jsonl"
    answered("completed", RecordingFile(file, texts))  # type: ignore[arg-type]
    ((_, recording),) = read_recordings(file)
    assert (recording.text, recording.text_sha256 is not None) == (kept, sha256)


def test_the_file_is_appended_to_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "rec.jsonl"
    answered("completed", RecordingFile(file))
    answered("ended", RecordingFile(file))
    assert [recording.outcome for _, recording in read_recordings(file)] == ["completed", "ended"]
    assert file.stat().st_mode & 0o077 == 0


def test_a_recording_that_fails_changes_no_answer_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    conversation = CONVERSATIONS["completed"]
    rail = conversation.guardrail()
    rail.recorder = Recorder(RecordingFile(tmp_path / "rec.jsonl"))
    (tmp_path / "rec.jsonl").unlink()
    (tmp_path / "rec.jsonl").mkdir()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            *_, last = rail.stream(conversation.ask())
            assert last.receipt is not None
            assert last.receipt.text == CALM
        rail.recorder.flush()
    assert [one.message.startswith("answers are served and not all recorded") for one in caplog.records] == [True]


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no folder")
    with pytest.raises(RequestError, match="answers cannot be recorded"):
        Recorder(RecordingFile(tmp_path / "taken" / "rec.jsonl"))
    Recorder(RecordingFile(tmp_path / "new" / "folder" / "rec.jsonl"))
    assert (tmp_path / "new" / "folder" / "rec.jsonl").read_text() == ""
    with pytest.raises(RequestError, match="texts is 'some'"):
        recording_file(RecordingFile(tmp_path / "rec.jsonl", "some"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "x/v2"),
        ("outcome", 3),
        ("tokens", -1),
        ("tokens", 10**9),
        ("tracks", [{}]),
        ("policy", None),
        ("cost_models", []),
    ],
)
def test_a_line_that_is_no_recording_is_refused_with_its_place(key: str, value: object, tmp_path: Path) -> None:
    file = tmp_path / "rec.jsonl"
    line = json.loads(recorded("completed", file).as_line())
    file.write_text(json.dumps({**line, key: value}) + "\n")
    with pytest.raises(RequestError) as refused:
        list(read_recordings(file))
    assert refused.value.where == f"{file}:1"


def test_a_chat_model_records_where_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.engine.loading import models
    from ig_guardrail.integrations.langchain.chat_model import ChatIGGuardrail

    monkeypatch.setattr(models, "load_engine", lambda model, **how: CONVERSATIONS["completed"].guardrail().engine)
    policy, file = tmp_path / "polite.yaml", tmp_path / "rec.jsonl"
    policy.write_text(POLITE, encoding="utf-8")
    chat = ChatIGGuardrail(model="toy", policy=policy, seed=7, record=RecordingFile(file, "plain"))
    assert chat.invoke("Why?").content == CALM
    recorder = chat._opened().current().recorder
    assert recorder is not None
    recorder.flush()
    ((_, recording),) = read_recordings(file)
    assert (recording.text, recording.policy["name"]) == (CALM, "polite")
    with pytest.raises(RequestError, match="both a guardrail and a file of recordings are given"):
        ChatIGGuardrail(guardrail=CONVERSATIONS["completed"].guardrail(), record=file)


def test_tokens_are_the_same_whether_they_are_recorded_or_not(tmp_path: Path) -> None:
    plain = CONVERSATIONS["rescued"].guardrail()
    *deltas, last = plain.stream(CONVERSATIONS["rescued"].ask())
    kept = CONVERSATIONS["rescued"].guardrail()
    kept.recorder = Recorder(RecordingFile(tmp_path / "rec.jsonl"))
    *others, same = kept.stream(CONVERSATIONS["rescued"].ask())
    assert ([one.text for one in deltas], last.text) == ([one.text for one in others], same.text)
    assert last.receipt is not None
    assert same.receipt is not None
    assert same.receipt.charges == last.receipt.charges
