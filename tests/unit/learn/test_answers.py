"""The model's own answers: labelled, split, the same on every run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.errors import RequestError
from ig_guardrail.learn import answers as module
from ig_guardrail.learn.answers import split_of, write_answers, write_answers_to
from ig_guardrail.learn.data.recipes import OWN_ANSWERS
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from tests.conformance.engine.tiny import tiny_weights

QUESTIONS = ("Name one thing.", "Name two men.", "Name ten men.", "Why?", "Who?", "How?", "Why not?")


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_weights(context=512)


@pytest.fixture(autouse=True)
def _few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "benign_prompts", lambda: QUESTIONS)
    monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(module, "TOKENS", 12)


def test_every_question_gets_one_labelled_row(weights: Weights, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "answers.jsonl"
    assert write_answers(weights, out) == len(QUESTIONS)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(row["prompt"] for row in rows) == sorted(QUESTIONS)
    assert {(row["label"], row["source"], row["licence"]) for row in rows} == {("safe", OWN_ANSWERS, "Apache-2.0")}
    assert all(row["split"] == split_of(row["prompt"]) for row in rows)
    assert read_rows([out]).rows


def test_prompts_of_rows_are_answered_in_their_splits(weights: Weights, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    rows = [
        LabelledRow("Why is the sky blue?", "It is.", "safe", split="test"),
        LabelledRow("What is rust?", "Iron.", "safe", split="train"),
        LabelledRow("What is rust?", "Oxide.", "safe", split="train"),
        LabelledRow("How is harm done?", "So.", "harmful", split="train"),
        LabelledRow("", "A tweet.", "safe", split="train"),
    ]
    assert write_answers_to(rows, weights, out) == 2
    found = {row.prompt: (row.split, row.source, row.label) for row in read_rows([out]).rows}
    assert found == {
        "Why is the sky blue?": ("test", OWN_ANSWERS, "safe"),
        "What is rust?": ("train", OWN_ANSWERS, "safe"),
    }
    with pytest.raises(RequestError, match="no row is labelled safe"):
        write_answers_to(rows[3:], weights, out)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_file_and_another_seed_another(weights: Weights, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(paths, (3, 3, 4), strict=True):
        write_answers(weights, path, seed=seed)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_stopped(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[int] = []
    answer = module._answer

    def until_the_third(weights: Weights, batch: Any, *given: Any) -> list[str]:
        answered.append(len(batch))
        if len(answered) == 3:
            raise KeyboardInterrupt
        return answer(weights, batch, *given)

    out, whole = tmp_path / "answers.jsonl", tmp_path / "whole.jsonl"
    write_answers(weights, whole)
    monkeypatch.setattr(module, "_answer", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        write_answers(weights, out)
    assert not out.exists()
    (partial,) = tmp_path.glob(".*.partial")
    partial.write_bytes(partial.read_bytes()[:-5])  # killed in the middle of a write
    write_answers(weights, out)
    assert out.read_bytes() == whole.read_bytes()
    assert sum(answered) == len(QUESTIONS) + answered[1] + answered[2]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_a_second_run_beside_the_first_is_refused_and_adds_nothing(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, answer = tmp_path / "answers.jsonl", module._answer
    refused: list[str] = []

    def beside(weights: Weights, batch: Any, *given: Any) -> list[str]:
        with pytest.raises(RequestError) as found:
            write_answers(weights, out)
        refused.append(found.value.what)
        return answer(weights, batch, *given)

    monkeypatch.setattr(module, "_answer", beside)
    assert write_answers(weights, out) == len(out.read_text().splitlines()) == len(QUESTIONS)
    assert refused
    assert set(refused) == {f"another run is writing {out}"}


def test_a_folder_is_refused_before_anything_is_answered(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="it is a folder"):
        write_answers(weights, tmp_path)


def test_answers_end_at_the_end_token_and_hold_none(weights: Weights, tmp_path: Path) -> None:
    write_answers(weights, tmp_path / "answers.jsonl", temperature=1.5, top_p=1.0)
    assert "<|shut|>" not in (tmp_path / "answers.jsonl").read_text()
