"""Whatever is done to a log afterwards is found, and what a crash or the log itself did is told and no fault."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ig_guardrail.audit.chain import START, AuditKey, Head, write_line
from ig_guardrail.audit.files import LogFiles, read_head
from ig_guardrail.audit.places import logs_of
from ig_guardrail.audit.verify import verify
from ig_guardrail.errors import RequestError

KEY = AuditKey(b"0123456789abcdef0123456789abcdef")
OTHER = AuditKey(b"fedcba9876543210fedcba9876543210")
keys = pytest.mark.parametrize("key", [None, KEY], ids=["anchored", "keyed"])


def log(count: int, key: AuditKey | None, start: Head = START) -> tuple[list[bytes], Head]:
    """The lines of a log, each with its line break, and where it stands."""
    lines, head = [], start
    for place in range(count):
        line, head = write_line({"kind": "answer", "said": f"ü{place}"}, head, key)
        lines.append(f"{line}\n".encode())
    return lines, head


def faults(path: Path, data: bytes, key: AuditKey | None, *anchors: Head) -> list[str]:
    path.write_bytes(data)
    return [str(fault) for fault in verify(LogFiles(path), key, anchors).faults]


@keys
def test_a_whole_log_has_no_fault(key: AuditKey | None, tmp_path: Path) -> None:
    lines, head = log(5, key)
    file = tmp_path / "audit.jsonl"
    assert faults(file, b"".join(lines), key, head) == []
    found = verify(LogFiles(file), key, [Head(0, head.hash), Head(2, write_head(lines[1]))], least=5)
    assert (found.ok, found.first, found.last, found.answers, found.keyed) == (True, 1, head, 5, key is not None)


def write_head(line: bytes) -> str:
    """The hash that a line ends with."""
    return line.decode()[-67:-3]


@keys
def test_every_byte_counts(key: AuditKey | None, tmp_path: Path) -> None:
    lines, head = log(2, key)
    data = b"".join(lines)
    draw = random.Random(7)
    for place in range(0, len(data), 1 if key is None else 5):
        other = draw.choice([byte for byte in b'"{}0az, \n\xff' if byte != data[place]])
        changed = data[:place] + bytes([other]) + data[place + 1 :]
        assert faults(tmp_path / "audit.jsonl", changed, key, head), f"byte {place} became {other}"


@keys
def test_every_cut_is_found_where_a_head_was_kept(key: AuditKey | None, tmp_path: Path) -> None:
    lines, head = log(2, key)
    data = b"".join(lines)
    for length in range(0, len(data), 1 if key is None else 5):
        assert faults(tmp_path / "audit.jsonl", data[:length], key, head), f"cut behind byte {length}"
    assert verify(LogFiles(tmp_path / "audit.jsonl"), key, least=2).faults


def edits(lines: Sequence[bytes], draw: random.Random) -> dict[str, list[bytes]]:
    """Ways to tamper with whole lines."""
    one, two = draw.sample(range(len(lines)), 2)
    kept = list(lines)
    swapped = [*kept]
    swapped[one], swapped[two] = kept[two], kept[one]
    return {
        "deletion": kept[:one] + kept[one + 1 :],
        "swap": swapped,
        "repetition": [*kept[:one], kept[one], *kept[one:]],
        "insertion": [*kept[:one], kept[two].replace(b"said", b"told"), *kept[one:]],
        "blank line": [*kept[:one], b"\n", *kept[one:]],
        "joined lines": [*kept[:one], kept[one][:-1], *kept[one + 1 :]],
        "move": [*(line for line in kept if line != kept[one]), kept[one]] if one < len(kept) - 1 else kept[::-1],
    }


@keys
def test_every_edit_of_whole_lines_is_found(key: AuditKey | None, tmp_path: Path) -> None:
    draw = random.Random(11)
    for _ in range(20):
        lines, head = log(draw.randint(3, 9), key)
        for name, edited in edits(lines, draw).items():
            assert faults(tmp_path / "audit.jsonl", b"".join(edited), key, head), name


def test_lines_that_are_forged_without_the_key_are_found(tmp_path: Path) -> None:
    lines, _ = log(3, KEY)
    file = tmp_path / "audit.jsonl"
    forged, _ = write_line({"kind": "answer", "said": "other"}, Head(2, write_head(lines[1])), OTHER)
    assert any(
        "not written under this key" in one for one in faults(file, b"".join([*lines[:2], f"{forged}\n".encode()]), KEY)
    )
    plain, _ = log(3, None)
    assert len(faults(file, b"".join(plain), KEY)) == 3
    resealed = forged.replace(OTHER.id, KEY.id).encode()
    assert any("it was changed" in one for one in faults(file, b"".join([*lines[:2], resealed + b"\n"]), KEY))


def test_a_log_that_was_made_anew_passes_without_a_key_and_fails_its_anchor(tmp_path: Path) -> None:
    _, head = log(3, None)
    other = [line.replace(b"answer", b"answar") for line in log(3, None)[0]]
    anew, at = [], START
    for place, _ in enumerate(other):
        line, at = write_line({"kind": "answer", "said": f"new {place}"}, at, None)
        anew.append(f"{line}\n".encode())
    file = tmp_path / "audit.jsonl"
    assert faults(file, b"".join(anew), None) == []
    assert ["had another hash" in one for one in faults(file, b"".join(anew), None, head)] == [True]
    assert ["does not pass this hash" in one for one in faults(file, b"".join(anew), None, Head(0, head.hash))] == [
        True
    ]


def test_a_fault_is_told_where_it_is_and_once(tmp_path: Path) -> None:
    lines, head = log(6, KEY)
    file = tmp_path / "audit.jsonl"
    lines[1] = lines[1].replace(b'"said"', b'"sayd"')
    del lines[3]
    assert faults(file, b"".join(lines), KEY, head) == [
        f"{file}:2: it was changed: its hash is not that of what it says",
        f"{file}:4: line 4 is missing before it",
    ]


def test_a_keyed_log_needs_its_key(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(b"".join(log(2, KEY)[0]))
    with pytest.raises(RequestError, match="written under a key"):
        verify(LogFiles(tmp_path / "audit.jsonl"))
    with pytest.raises(RequestError, match="no such log"):
        logs_of([tmp_path / "other.jsonl"])


def test_files_of_one_log_are_one_log(tmp_path: Path) -> None:
    names = [
        "a.jsonl",
        "a.part000001.jsonl",
        "a.part000002.jsonl",
        "b",
        "b.part000001",
        "c.part000007.jsonl",
        "d.202611.jsonl",
    ]
    for name in names:
        (tmp_path / name).touch()
    logs = logs_of(tmp_path / name for name in names)
    assert [[path.name for path in log.all()] for log in logs] == [
        ["a.part000001.jsonl", "a.part000002.jsonl", "a.jsonl"],
        ["b.part000001", "b"],
        ["c.part000007.jsonl"],
        ["d.202611.jsonl"],
    ]


@pytest.mark.parametrize(
    "line",
    [
        lambda: write_line({"kind": "x", "n": "seven"}, START, None)[0],
        lambda: write_line({"kind": "x", "prev": "none"}, START, None)[0],
        lambda: write_line({"kind": "x", "key": 7}, START, None)[0],
        lambda: write_line({"format": "other/v1"}, START, None)[0],
        lambda: "[" * 100_000 + ',"hash":"' + "0" * 64 + '"}',
    ],
)
def test_a_line_of_another_form_is_no_line(line: Callable[[], str], tmp_path: Path) -> None:
    assert ["no line of this log" in one for one in faults(tmp_path / "a.jsonl", f"{line()}\n".encode(), None)] == [
        True
    ]


def test_a_head_that_is_none_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "h").write_text('{"lines": -1, "hash": "0"}')
    with pytest.raises(Exception, match="the head cannot be read"):
        read_head(tmp_path / "h")


def test_an_empty_log_is_not_called_whole(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    said = verify(LogFiles(path)).as_text()
    assert "whole" not in said
    assert said.splitlines()[-1].startswith("empty: whether it ever held a line")
