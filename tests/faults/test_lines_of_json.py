"""Lines of JSON end at a line feed alone: what else some programs take for the end of a line may stand in a text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ig_guardrail.evaluate.comparison.records import add_line, read_lines
from ig_guardrail.workbench.meaning.receipt_files import read_receipts

SIGNS = ["\u2028", "\u2029", "\x85"]  # JSON may leave them as they are


@pytest.mark.parametrize("sign", SIGNS)
def test_an_answer_that_is_kept_is_found_again(sign: str, tmp_path: Path) -> None:
    kept = [{"id": "1", "text": f"One{sign}two."}, {"id": "2", "text": "Three."}]
    for fields in kept:
        add_line(tmp_path / "out.jsonl", fields)
    assert read_lines(tmp_path / "out.jsonl") == kept


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("sign", SIGNS)
def test_receipts_are_found_between_pieces_of_an_answer(sign: str, ends: str, tmp_path: Path) -> None:
    receipt = {"charges": [], "spend": {}, "blocks": []}
    lines = [{"text": f"One{sign}two."}, {"receipt": receipt}]
    told = "".join(json.dumps(line, ensure_ascii=False) + ends for line in lines)
    (tmp_path / "answer.jsonl").write_bytes(told.encode())
    assert read_receipts(str(tmp_path / "answer.jsonl")) == [receipt]


def test_a_line_that_was_torn_inside_a_character_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    add_line(path, {"id": "1"})
    path.write_bytes(path.read_bytes() + '{"id": "2", "text": "é'.encode()[:-1])
    add_line(path, {"id": "3"})
    assert read_lines(path) == [{"id": "1"}, {"id": "3"}]
