"""The committed prompts, and how prompt files are read."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate.prompts import PromptRow, read_prompts

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
FINAL = ("prompts-risky.jsonl", "prompts-benign.jsonl")
TUNING = ("prompts-tuning-risky.jsonl", "prompts-tuning-benign.jsonl")


def test_the_demo_has_seven_risky_and_five_benign_prompts() -> None:
    rows = read_prompts(files("ig_guardrail.evaluate") / "demo_prompts.jsonl")
    assert Counter(row.group for row in rows) == {"risky": 7, "benign": 5}


@pytest.mark.parametrize(("name", "count"), [(FINAL[0], 80), (FINAL[1], 44), (TUNING[0], 40), (TUNING[1], 40)])
def test_each_file_holds_as_many_prompts_as_the_documents_say(name: str, count: int) -> None:
    assert len(read_prompts(BENCHMARKS / name)) == count


def test_no_final_prompt_resembles_a_prompt_that_settings_were_chosen_on() -> None:
    final = [words(row.prompt) for name in FINAL for row in read_prompts(BENCHMARKS / name)]
    tuning = [words(row.prompt) for name in TUNING for row in read_prompts(BENCHMARKS / name)]
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


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text.lower()))
