"""Golden transcripts: every chunk and every receipt of the scripted conversations, as recorded.

A change of behaviour shows as a diff of these files. `pytest tests/golden --rewrite-golden` records them anew.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.errors import GenerationFailed
from ig_guardrail.stream.receipt import as_dict
from ig_guardrail.types import Receipt
from tests.golden.conversations import CONVERSATIONS, Conversation

FOLDER = Path(__file__).parent / "transcripts"


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_goes_as_recorded(name: str, pytestconfig: pytest.Config) -> None:
    file, lines = FOLDER / f"{name}.jsonl", _transcript(CONVERSATIONS[name])
    if pytestconfig.getoption("--rewrite-golden"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    recorded = file.read_text(encoding="utf-8").splitlines()
    difference = "\n".join(difflib.unified_diff(recorded, lines, f"recorded {file.name}", "now", lineterm="", n=0))
    assert not difference, f"\n{difference}\n\nIf this is as it should be: pytest tests/golden --rewrite-golden"


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_it_goes_the_same_way_on_an_event_loop(name: str) -> None:
    assert await _async_transcript(CONVERSATIONS[name]) == _transcript(CONVERSATIONS[name])


def test_a_receipt_in_plain_values_holds_all_that_its_fields_hold() -> None:
    *_, last = CONVERSATIONS["rescued"].guardrail().stream(CONVERSATIONS["rescued"].ask())
    assert last.receipt is not None
    assert last.receipt.unsafe
    assert last.receipt.charges
    assert as_dict(last.receipt) == asdict(last.receipt)


def test_no_transcript_is_left_over() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(CONVERSATIONS)


def _transcript(conversation: Conversation) -> list[str]:
    guardrail = conversation.guardrail()
    lines: list[str] = []
    try:
        for chunk in guardrail.stream(conversation.ask()):
            lines += _lines(chunk.text, chunk.receipt)
    except GenerationFailed as failure:
        lines.append(_receipt_line(failure.receipt))
    assert guardrail.engine.live_nodes() == 0
    return lines


async def _async_transcript(conversation: Conversation) -> list[str]:
    lines: list[str] = []
    try:
        async for chunk in conversation.guardrail().astream(conversation.ask()):
            lines += _lines(chunk.text, chunk.receipt)
    except GenerationFailed as failure:
        lines.append(_receipt_line(failure.receipt))
    return lines


def _lines(text: str, receipt: Receipt | None) -> list[str]:
    chunk = [_dumped({"chunk": text})] if text else []
    return [*chunk, _receipt_line(receipt)] if receipt is not None else chunk


def _receipt_line(receipt: Receipt) -> str:
    kept = {name: value for name, value in as_dict(receipt).items() if name not in ("seconds", "cost_times", "at")}
    return _dumped({"receipt": kept})


def _dumped(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
