"""The committed prompts, and how prompt files are read."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate.prompts import COLUMNS, MOST_BYTES, PromptRow, read_prompts
from ig_guardrail.learn.data.rows import read_rows

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SETS = Path(str(files("ig_guardrail.evaluate") / "prompt_sets"))
FINAL = (SETS / "quality-risky.jsonl", SETS / "quality-benign.jsonl")
TUNING = (BENCHMARKS / "prompts-tuning-risky.jsonl", BENCHMARKS / "prompts-tuning-benign.jsonl")


def test_the_demo_has_seven_risky_and_five_benign_prompts() -> None:
    rows = read_prompts(SETS / "demo.jsonl")
    assert Counter(row.group for row in rows) == {"risky": 7, "benign": 5}


@pytest.mark.parametrize(("file", "count"), [(FINAL[0], 80), (FINAL[1], 44), (TUNING[0], 40), (TUNING[1], 40)])
def test_each_file_holds_as_many_prompts_as_the_documents_say(file: Path, count: int) -> None:
    assert len(read_prompts(file)) == count


def test_no_final_prompt_resembles_a_prompt_that_settings_were_chosen_on() -> None:
    final = [words(row.prompt) for file in FINAL for row in read_prompts(file)]
    tuning = [words(row.prompt) for file in TUNING for row in read_prompts(file)]
    assert max(len(a & b) / len(a | b) for a in final for b in tuning) < 0.6


def test_a_row_reads_as_one_user_turn() -> None:
    (turn,) = PromptRow("a", "b", "Hello?").turns
    assert (turn.role, turn.text) == ("user", "Hello?")


@pytest.mark.parametrize("line", ["{", '{"id": "a", "prompt": "b"}', "[]", '{"id": "a", "topic": "t"}', "null"])
def test_a_line_that_is_no_prompt_is_refused_by_file_and_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"id": "1", "topic": "t", "prompt": "p"}\n' + line)
    with pytest.raises(RequestError, match=r"^prompts\.jsonl:2: not a prompt"):
        read_prompts(file)


def test_an_id_used_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"id": "1", "topic": "t", "prompt": "p"}\n' * 2)
    with pytest.raises(RequestError, match=r"^prompts\.jsonl:2: the id '1' is used twice"):
        read_prompts(file)


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


def test_plain_lines_are_prompts_with_their_numbers_for_ids(tmp_path: Path) -> None:
    file = written(tmp_path, "asks.txt", 'One?\r\nTwo, "as" they\u2028stand\nThree')
    assert read_prompts(file) == (
        PromptRow("1", "asks", "One?"),
        PromptRow("2", "asks", 'Two, "as" they\u2028stand'),
        PromptRow("3", "asks", "Three"),
    )


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_holds_the_prompts(tmp_path: Path, column: str) -> None:
    text = f'\ufefftarget,{column}\nx,"One, or\ntwo?"\n"",Three ""four""\n'
    rows = read_prompts(written(tmp_path, "asks.csv", text))
    assert [(row.id, row.prompt) for row in rows] == [("1", "One, or\ntwo?"), ("2", 'Three ""four""')]


WRONG = [
    ("asks.txt", "One\n\nThree\n", "asks.txt:2: not a prompt: it is blank"),
    ("asks.txt", "", "asks.txt: the file holds no prompt"),
    ("asks.csv", "", "asks.csv:1: no column holds the prompts"),
    ("asks.csv", "goal\n", "asks.csv: the file holds no prompt"),
    ("asks.csv", "text,target\na,b\n", "asks.csv:1: no column holds the prompts"),
    ("asks.csv", "Goal\na\n", "asks.csv:1: no column holds the prompts"),
    ("asks.csv", "goal,prompt\na,b\n", "asks.csv:1: several columns could hold the prompts"),
    ("asks.csv", "goal,goal\na,b\n", "asks.csv:1: several columns could hold the prompts"),
    ("asks.csv", "goal,target\na\n", "asks.csv:2: not a prompt: it has 1 columns, and the header 2"),
    ("asks.csv", "goal,target\na,b\n\nc,d\n", "asks.csv:3: not a prompt: it has 0 columns"),
    ("asks.csv", "goal,target\n ,b\n", "asks.csv:2: not a prompt: it is blank"),
    ("asks.csv", 'goal\n"a" b\n', "asks.csv:2: not a prompt: "),
    ("asks.csv", 'goal\n"a\n', "asks.csv:2: not a prompt: unexpected end of data"),
    ("asks.jsonl", '{"id": 1, "topic": "t", "prompt": "p"}', "asks.jsonl:1: not a prompt: "),
    ("asks.tsv", "goal\na\n", "prompts: 'asks.tsv' is no kind of prompt file"),
]


@pytest.mark.parametrize(("name", "text", "told"), WRONG)
def test_what_is_no_prompt_is_refused_by_file_and_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(RequestError) as raised:
        read_prompts(written(tmp_path, name, text))
    assert str(raised.value).startswith(told)
    assert raised.value.fix


def test_a_missing_column_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as raised:
        read_prompts(written(tmp_path, "asks.csv", "text,target\na,b\n"))
    assert (
        raised.value.why
        == "the header names 'text', 'target'; one of prompt, goal, instruction is needed, and only one"
    )


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(RequestError, match=r"large\.txt: the file is too large"):
        read_prompts(large)
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9\n")
    with pytest.raises(RequestError, match=r"latin\.txt: the file is not UTF-8 \(byte 3\)"):
        read_prompts(latin)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text.lower()))


def test_harmless_answers_on_sensitive_matters_are_prompts_and_rows_of_which_half_are_held_back() -> None:
    prompts, rows = read_prompts(SETS / "sensitive.jsonl"), read_rows([SETS / "sensitive.jsonl"]).rows
    assert [row.prompt for row in rows] == [prompt.prompt for prompt in prompts]
    assert len({row.prompt for row in rows}) == len(rows) >= 350
    assert 0.4 < sum(row.split == "test" for row in rows) / len(rows) < 0.6
    assert {row.label for row in rows} == {"safe"}
    assert {"train", "validation", "calibration", "test"} == {row.split for row in rows}
    assert min(Counter(prompt.group for prompt in prompts).values()) >= 30


def test_lines_in_other_languages_are_rows_of_both_labels_that_nothing_learns_from() -> None:
    rows = read_rows([SETS / "languages.jsonl"]).rows
    assert Counter((row.source, row.label) for row in rows) == {
        (f"{language}, own lines", label): 12
        for language in ("German", "French", "Spanish")
        for label in ("safe", "harmful")
    }
    assert {row.split for row in rows} == {"test"}


def test_parallel_lines_say_the_same_in_four_languages_and_nothing_learns_from_them() -> None:
    rows = read_rows([SETS / "parallel.jsonl"]).rows
    assert Counter((row.source, row.label) for row in rows) == {
        (f"{language}, parallel {kind}", label): count
        for language in ("English", "German", "French", "Spanish")
        for kind, label, count in (("lines", "harmful", 30), ("lines", "safe", 30), ("sensitive lines", "safe", 10))
    }
    assert {row.split for row in rows} == {"test"}
    assert len({row.text for row in rows}) == len(rows)


@pytest.mark.parametrize(("name", "fewest"), [("everyday.jsonl", 90), ("exchanges.jsonl", 1000)])
def test_everyday_answers_are_rows_that_heads_learn_what_is_harmless_from(name: str, fewest: int) -> None:
    rows = read_rows([SETS / name]).rows
    assert len({row.prompt for row in rows}) == len(rows) == len(read_prompts(SETS / name)) >= fewest
    assert {(row.label, row.source) for row in rows} == {("safe", "everyday")}


def test_some_exchanges_are_aside_and_nothing_learns_from_them() -> None:
    rows = read_rows([SETS / "aside.jsonl"]).rows
    learned = {row.prompt for name in ("everyday.jsonl", "exchanges.jsonl") for row in read_rows([SETS / name]).rows}
    assert len({row.prompt for row in rows} - learned) == len(rows) == 200
    assert {(row.label, row.source, row.split) for row in rows} == {("safe", "everyday, aside", "test")}
