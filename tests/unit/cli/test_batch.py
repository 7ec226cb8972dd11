"""`ig-guardrail run --prompts`: every prompt of a file has its answer, each is kept at once, none is asked twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.cli.batch_rows import read_rows
from ig_guardrail.errors import RequestError
from ig_guardrail.guardrail import Guardrail
from tests.golden.conversations import CALM, RUDE, scripted_guardrail
from tests.unit.cli.conftest import Command

Says = Callable[[Guardrail], Guardrail]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_every_prompt_of_a_file_has_its_answer_and_what_stood_beside_it(
    ig: Command, says: Says, tmp_path: Path
) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    asked = written(
        tmp_path / "p.jsonl",
        {"id": "a", "prompt": "Why is the sky blue?", "owner": "support"},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "And red?"}]},
    )
    ran = ig("run", "--prompts", str(asked), "--out", str(tmp_path / "out.jsonl"), "--seed", "7")
    assert (ran.code, ran.out) == (0, "")
    assert "2 answers: 2 completed; written to" in ran.err
    by_id = {line["id"]: line for line in lines(tmp_path / "out.jsonl")}
    assert {name: (line["outcome"], line["text"]) for name, line in by_id.items()} == {
        "a": ("completed", CALM),
        "2": ("completed", CALM),
    }
    assert by_id["a"]["other"] == {"owner": "support"}
    assert by_id["a"]["receipt"]["sampling"]["seed"] == 7


def test_a_batch_goes_on_where_it_was_stopped(ig: Command, says: Says, tmp_path: Path) -> None:
    says(scripted_guardrail({(0, 0): RUDE}))
    asked, out = tmp_path / "p.txt", tmp_path / "out.jsonl"
    asked.write_text("one\n\ntwo\n")
    command = ("run", "--prompts", str(asked), "--out", str(out), "--seed", "7")
    assert ig(*command).code == 0
    first = lines(out)
    assert [line["outcome"] for line in first] == ["refused", "refused"]
    out.write_text(json.dumps(first[0]) + '\n{"torn')
    ran = ig(*command)
    assert "2 answers: 2 refused; 1 were there before" in ran.err
    assert sorted(line["id"] for line in lines_that_are_whole(out)) == ["1", "3"]
    before = out.read_text()
    assert ig(*command).code == 0
    assert out.read_text() == before


def lines_that_are_whole(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def test_answers_of_other_options_are_never_mixed_with_these(ig: Command, says: Says, tmp_path: Path) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    asked, out = written(tmp_path / "p.jsonl", {"prompt": "x"}), tmp_path / "out.jsonl"
    assert ig("run", "--prompts", str(asked), "--out", str(out), "--seed", "7").code == 0
    before = out.read_text()
    ran = ig("run", "--prompts", str(asked), "--out", str(out), "--seed", "8")
    assert ran.code == 2
    assert "answers that were made otherwise" in ran.err
    assert out.read_text() == before


def test_a_row_that_fails_fails_alone_and_is_asked_again(ig: Command, says: Says, tmp_path: Path) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    asked, out = (
        written(tmp_path / "p.jsonl", {"prompt": "fine"}, {"prompt": "long " * 100_000}),
        tmp_path / "out.jsonl",
    )
    ran = ig("run", "--prompts", str(asked), "--out", str(out))
    assert ran.code == 2
    by_id = {line["id"]: line for line in lines(out)}
    assert (by_id["1"]["outcome"], by_id["2"]["outcome"]) == ("completed", "failed")
    assert "prompt" in by_id["2"]["error"]
    assert "1 were there before" in ig("run", "--prompts", str(asked), "--out", str(out)).err


def test_a_batch_of_conversations_goes_on_only_with_what_they_have_spent(
    ig: Command, says: Says, tmp_path: Path
) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    asked = written(tmp_path / "p.jsonl", {"prompt": "x", "conversation": "c"}, {"prompt": "y", "conversation": "c"})
    command = ("run", "--prompts", str(asked), "--out", str(tmp_path / "out.jsonl"))
    assert ig(*command).code == 0
    ran = ig(*command)
    assert ran.code == 2
    assert "--ledger FILE" in ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "there is no prompt"),
        (("--prompt", "x", "--prompts", "y", "--out", "z"), "there is a prompt, and a file of them"),
        (("--prompts", "y"), "answers to a file need a place"),
        (("--prompt", "x", "--out", "z"), "one answer has no file"),
        (("--prompts", "nowhere.jsonl", "--out", "z"), "it cannot be read"),
    ],
)
def test_what_does_not_go_together_is_refused(ig: Command, arguments: tuple[str, ...], told: str) -> None:
    ran = ig("run", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no prompt"),
        ('{"prompt": ""}', "p.jsonl:1: not a prompt"),
        ('{"prompt": "x"}\n{"question": "y"}', "p.jsonl:2: not a prompt"),
        ('{"prompt": "x", "id": "a"}\n{"prompt": "y", "id": "a"}', "p.jsonl:2: the id 'a' is used twice"),
        ('{"messages": []}', "p.jsonl:1: not a prompt"),
        ('{"messages": [{"role": "wizard", "content": "x"}]}', "p.jsonl:1: not a prompt"),
        ('{"prompt": "x", "conversation": 3}', "is not text"),
        ("[" * 100_000, "p.jsonl:1: not a prompt"),
    ],
)
def test_a_line_that_is_no_prompt_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    with pytest.raises(RequestError) as raised:
        read_rows(path)
    assert told in str(raised.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(RequestError, match="not UTF-8"):
        read_rows(path)
