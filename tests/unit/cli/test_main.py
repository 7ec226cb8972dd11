"""The command as a whole, and the commands that hand over to other rooms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from rich.console import Console

import ig_guardrail
from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.own_heads import Lessons
from ig_guardrail.spec import GuardrailSpec
from tests.unit.cli.conftest import Command
from tests.unit.policy.texts import VALID


def test_version(ig: Command) -> None:
    ran = ig("--version")
    assert (ran.code, ran.out) == (0, f"ig-guardrail {ig_guardrail.__version__}\n")


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "code"), [(("--version",), 0), (("eval", "absent.yaml"), 2)])
def test_the_package_is_the_command(ig: Command, arguments: tuple[str, ...], code: int) -> None:
    ran = subprocess.run([sys.executable, "-m", "ig_guardrail", *arguments], capture_output=True, text=True, timeout=60)
    same = ig(*arguments)
    assert (ran.returncode, ran.stdout, ran.stderr) == (same.code, same.out, same.err)
    assert ran.returncode == code


@pytest.mark.parametrize("command", ["run", "chat", "demo", "doctor", "policy", "train", "index"])
def test_help_lists_every_command_and_each_explains_itself(ig: Command, command: str) -> None:
    assert command in ig("--help").out
    ran = ig(command, "--help")
    assert ran.code == 0
    assert f"Usage: ig-guardrail {command}" in ran.out


def test_an_interrupt_anywhere_exits_130(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail import policy

    def interrupted(paths: object, **how: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(policy, "check_files", interrupted)
    assert ig("policy", "check", "default").code == 130


FOREIGN = VALID.replace('"I will stop here."', '"Ich h\u00f6re auf \u2764."').replace(
    "budget: 0.05", "budgt: 0.05 # \u2764"
)


def alone(*arguments: str, out: int | IO[bytes] = subprocess.PIPE, **environment: str) -> Any:
    """The command in a process of its own, its output as bytes."""
    command = [sys.executable, "-m", "ig_guardrail", *arguments]
    told = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    return subprocess.run(command, stdout=out, stderr=subprocess.PIPE, timeout=120, env={**told, **environment})


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_closed_streams_lead_nowhere(closed: tuple[int, ...]) -> None:
    closing = "".join(f" {number}>&-" for number in closed)
    told = f'"{sys.executable}" -m ig_guardrail policy check default --format json{closing}'
    ran = subprocess.run(["sh", "-c", told], capture_output=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert (b'"ok": true' in ran.stdout) == (1 not in closed)


@pytest.mark.parametrize(
    ("environment", "heart"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"\\u2764"),
        ({"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "\u2764".encode()),
    ],
)
def test_whatever_characters_there_are_can_be_written_anywhere(
    environment: dict[str, str], heart: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(FOREIGN, encoding="utf-8")
    ran = alone("policy", "check", str(path), **environment)
    assert (ran.returncode, ran.stderr) == (1, b"")
    assert heart in ran.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
@pytest.mark.parametrize("arguments", [("--version",), ("policy", "show", "default")])
def test_a_full_disk_is_told_in_words(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = alone(*arguments, out=full)
    assert ran.returncode == 2
    said = ran.stderr.decode().splitlines()
    assert said == ["error: No space left on device", "  fix: free some space, or write to another place"]


def test_a_reader_that_has_seen_enough_ends_the_command_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        ran = alone("policy", "show", "default", out=closed)
    assert (ran.returncode, ran.stderr) == (1, b"")


def test_demo_hands_over_a_console_and_returns_its_code(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.evaluate.demo import run as demo

    def run_demo(console: Console, spec: GuardrailSpec, every: bool) -> int:
        console.print(f"side by side: {spec.model}, {every}")
        return 3

    monkeypatch.setattr(demo, "run_demo", run_demo)
    ran = ig("demo", "--model", "mine")
    assert (ran.code, ran.out) == (3, "side by side: mine, False\n")


def test_train_head_hands_over_weights_and_files(ig: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ig_guardrail.engine.loading import models
    from ig_guardrail.learn import heads as train

    given: list[Any] = []

    def train_head(*arguments: Any) -> Any:
        given.extend(arguments)
        return SimpleNamespace(folder=arguments[2] / "bfloat16")

    monkeypatch.setattr(models, "load_weights", lambda *names: names)
    monkeypatch.setattr(train, "train_head", train_head)
    out, cache = tmp_path / "head", tmp_path / "cache"
    ran = ig("train", "head", "--data", "a.jsonl", "--data", "b.jsonl", "--out", str(out), "--cache", str(cache))
    assert (ran.code, ran.out) == (0, f"wrote {out}/bfloat16\n")
    assert given == [("embedded", "cpu", "bfloat16"), [Path("a.jsonl"), Path("b.jsonl")], out, "any", cache]


def test_train_answers_hands_over_weights_and_sampling(
    ig: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ig_guardrail.engine.loading import models
    from ig_guardrail.learn import answers

    given: list[Any] = []

    def write_answers(*arguments: Any) -> int:
        given.extend(arguments)
        return 6

    monkeypatch.setattr(models, "load_weights", lambda *names: names)
    monkeypatch.setattr(answers, "write_answers", write_answers)
    out = tmp_path / "answers.jsonl"
    ran = ig("train", "answers", "--out", str(out), "--seed", "3", "--dtype", "float32")
    assert (ran.code, ran.out) == (0, f"wrote 6 rows to {out}\n")
    assert given == [("embedded", "cpu", "float32"), out, 0.7, 0.95, 3]


def test_an_error_of_any_room_is_one_message(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.evaluate.demo import run as demo

    def failing(console: Console, spec: GuardrailSpec, every: bool) -> int:
        raise GuardrailError("it is broken", where="here", why="it fell", fix="glue it")

    monkeypatch.setattr(demo, "run_demo", failing)
    ran = ig("demo")
    assert (ran.code, ran.err) == (2, "error: here: it is broken\n  why: it fell\n  fix: glue it\n")


def test_index_build_and_show_say_what_there_is(ig: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ig_guardrail.learn import index as building
    from tests.unit.costs.provenance.corpora import indexed

    made = indexed(*([number, 1] for number in range(12)))
    monkeypatch.setattr(building, "load_tokenizer", lambda model: None)
    monkeypatch.setattr(building, "index_texts", lambda *rest: made)
    (tmp_path / "a.txt").write_text("x")
    out = tmp_path / "mine"
    ran = ig("index", "build", str(tmp_path / "a.txt"), "--out", str(out))
    assert (ran.code, ran.out) == (0, f"wrote {out}: 24 tokens of 12 documents\n")
    ran = ig("index", "show", str(out))
    assert ran.code == 0
    assert ran.out.startswith("24 tokens of 12 documents, as 'toy' reads them\n")
    assert ran.out.endswith("  d9\n  and 2 more\n")
    assert ig("index", "show", str(tmp_path)).code == 2


def test_adopt_hands_over_data_and_teachers(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.cli.commands import adopt as command
    from ig_guardrail.engine.loading import models
    from ig_guardrail.learn import adopt as adopting

    given: list[Any] = []

    def adopt(weights: Any, policy: Any, rate: float, **rest: Any) -> Any:
        given.append((weights[0], policy.name, rate, rest["lessons"]))
        return SimpleNamespace(heads=())

    monkeypatch.setattr(models, "load_weights", lambda *names: names)
    monkeypatch.setattr(adopting, "adopt", adopt)
    monkeypatch.setattr(command, "show", lambda report, rate: None)
    assert ig("adopt", "mine").code == 0
    ran = ig("adopt", "mine", "--rate", "0.1", "--teacher", "otherwise", "--teacher", "help-text", "--data", "a.jsonl")
    assert "No head was trained" in ran.out
    lessons = Lessons((Path("a.jsonl"),), ("otherwise", "help-text"))
    assert given == [("mine", "default", 0.05, None), ("mine", "default", 0.1, lessons)]
