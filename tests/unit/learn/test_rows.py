"""Labelled rows: read strictly, skipped only with a count, and a fixed quarter set aside."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.learn.data import rows as module
from ig_guardrail.learn.data.rows import DataError, digest_of, is_reserved, read_rows

GOOD = {"prompt": "How?", "response": "So.", "label": "safe", "source": "mine", "split": "test"}


def file_of(folder: Path, *lines: Any, name: str = "rows.jsonl") -> Path:
    path = folder / name
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_are_read_plain_or_compressed(tmp_path: Path, name: str) -> None:
    (row,) = read_rows([file_of(tmp_path, GOOD, "", name=name)]).rows
    assert (row.prompt, row.response, row.label, row.source, row.split) == ("How?", "So.", "safe", "mine", "test")


def test_missing_fields_have_plain_defaults(tmp_path: Path) -> None:
    (row,) = read_rows([file_of(tmp_path, {"prompt": "p", "label": "harmful"})]).rows
    assert (row.response, row.source, row.licence, row.split) == (None, "unnamed", "not stated", "train")
    assert row.text == "p"


def test_other_labels_and_empty_texts_are_skipped_and_counted(tmp_path: Path) -> None:
    read = read_rows(
        [file_of(tmp_path, GOOD, {**GOOD, "label": None}, {**GOOD, "label": "odd"}, {**GOOD, "response": " "})]
    )
    assert len(read.rows) == 1
    assert read.skipped == {"label None": 1, "label 'odd'": 1, "no text": 1}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"prompt": ', "not JSON"),
        ("[1]", "a JSON list, not an object"),
        ({"prompt": "p"}, "the fields 'prompt' and 'label' are required"),
        ({**GOOD, "response": 3}, "field 'response' is int, not text"),
    ],
)
def test_a_malformed_line_is_refused_with_file_and_line(tmp_path: Path, line: Any, why: str) -> None:
    path = file_of(tmp_path, GOOD, line)
    with pytest.raises(DataError) as raised:
        read_rows([path])
    assert str(raised.value).startswith(f"{path}:2: this line is not a labelled row")
    assert why in str(raised.value)
    assert "write one object a line" in str(raised.value)


def test_a_file_that_is_missing_damaged_or_not_utf8_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "rows.jsonl.gz"
    broken.write_bytes(gzip.compress(b"{}" * 999)[:20])
    other = tmp_path / "latin.jsonl"
    other.write_bytes(b'{"prompt": "\xe9"}')
    for path in (tmp_path / "none.jsonl", broken, other):
        with pytest.raises(DataError, match="the file cannot be read"):
            read_rows([path])


def test_endless_lines_and_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, GOOD, GOOD)
    monkeypatch.setattr(module, "MAX_FILE_CHARACTERS", 100)
    with pytest.raises(DataError, match="the file has over 100 characters"):
        read_rows([path])
    monkeypatch.setattr(module, "MAX_LINE_CHARACTERS", 10)
    with pytest.raises(DataError, match="a line is longer than 10 characters"):
        read_rows([path])


@settings(deadline=None)
@given(st.text(max_size=30))
def test_reserving_does_not_see_case_or_spacing(prompt: str) -> None:
    assert digest_of(f"  {prompt}\n", "") == digest_of(prompt, "")
    assert is_reserved(prompt, "") == (digest_of(prompt, "")[-1] in "0123")


def test_a_row_without_prompt_is_reserved_by_its_response() -> None:
    texts = [f"text {number}" for number in range(400)]
    reserved = [is_reserved("", text) for text in texts]
    assert reserved == [is_reserved(text, "other") for text in texts]
    assert 60 < sum(reserved) < 140
