"""`ig-guardrail policy`: for authors of policies, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail import assembly
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.policy import load_policy
from ig_guardrail.policy.reference.json_schema import json_schema
from ig_guardrail.workbench.schemas import cases_schema, waivers_schema
from tests.golden.conversations import POLITE, scripted_guardrail
from tests.unit.cli.conftest import Command

WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "langchain_core", "langchain"):
            raise ImportError(name + " is blocked")
        return None

sys.meta_path.insert(0, Blocked())
from ig_guardrail.cli.main import run
run(sys.argv[1:])
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.yaml"
    file.write_text(POLITE.replace("budget: 0.0", "budget: -1"), encoding="utf-8")
    return file


def test_packaged_policies_are_valid(ig: Command) -> None:
    ran = ig("policy", "check", "default", "strict", "observe")
    assert ran.code == 0
    assert "3 files, 3 valid, 0 errors" in ran.out


def test_faults_are_shown_with_their_place_and_exit_code_1(ig: Command, broken: Path) -> None:
    ran = ig("policy", "check", str(broken))
    assert ran.code == 1
    assert f"--> {broken}:8:" in ran.out
    assert "budgets[0].budget" in ran.out


def test_the_report_for_programs_is_json(ig: Command, broken: Path) -> None:
    ran = ig("policy", "check", str(broken), "default", "--format", "json")
    bad, good = json.loads(ran.out)["files"]
    assert (ran.code, bad["ok"], good["ok"]) == (1, False, True)
    assert bad["faults"][0]["path"] == "budgets[0].budget"


def test_a_file_that_cannot_be_read_has_exit_code_2(ig: Command) -> None:
    assert ig("policy", "check", "./no/such.yaml").code == 2


def test_a_packaged_policy_is_shown_as_it_is_written(ig: Command) -> None:
    ran = ig("policy", "show", "default")
    assert (ran.code, ran.out) == (0, (files("ig_guardrail.policies") / "default.yaml").read_text(encoding="utf-8"))


def test_a_policy_that_is_not_there_cannot_be_shown(ig: Command) -> None:
    ran = ig("policy", "show", "defualt")
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean `default`" in ran.err


TORCHLESS = [
    ("policy", "check", "default"),
    ("policy", "show", "strict"),
    ("policy", "diff", "default", "default"),
    ("policy", "explain", "default"),
    ("--version",),
]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", TORCHLESS)
def test_these_commands_run_where_torch_cannot_be_imported(arguments: tuple[str, ...]) -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_warnings_fail_where_strict_is_asked_for(ig: Command) -> None:
    text = POLITE.encode()
    assert ig("policy", "check", "-", stdin=text).code == 0
    ran = ig("policy", "check", "-", "--strict", stdin=text)
    assert ran.code == 1
    assert "--> <stdin>:14:18" in ran.out


@pytest.mark.parametrize(("form", "sign"), [("sarif", '"version": "2.1.0"'), ("junit", "<testsuites")])
def test_the_report_is_written_for_other_programs(ig: Command, broken: Path, form: str, sign: str) -> None:
    ran = ig("policy", "check", str(broken), "--format", form)
    assert ran.code == 1
    assert sign in ran.out


def test_standard_input_is_not_started(ig: Command) -> None:
    ran = ig("policy", "check", "-", "--deep", stdin=POLITE.encode())
    assert ran.code == 2
    assert "standard input cannot be started" in ran.err


def test_a_start_tries_messages_against_shadow_budgets_too(
    ig: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.yaml"
    strict = "  - {id: words, hazards: [x.insult], cost: words, threshold: 0.1, budget: 0, mode: shadow}\n"
    words = "  words: {kind: lexical, model: words, hazards: [x.insult]}\nbudgets:\n"
    text = POLITE.replace("budgets:\n", words).replace("prompt:", f"{strict}prompt:")
    file.write_text(text.replace("allow_unguarded: true\n", ""), encoding="utf-8")
    monkeypatch.setattr(
        assembly, "open_guardrail", lambda spec: scripted_guardrail({(0, 0): "Yes."}, load_policy(spec.policy))
    )
    ran = ig("policy", "check", str(file), "--deep", "--strict")
    assert ran.code == 1
    assert "warning[P146]: messages.closing.en is over budget 'words' itself, once that is enforced" in ran.out
    assert "is over budget 'words' itself" in ran.out
    file.write_text(POLITE.replace("allow_unguarded: true\n", ""), encoding="utf-8")
    assert ig("policy", "check", str(file), "--deep", "--strict").code == 0


def test_the_schema_is_that_of_the_language(ig: Command) -> None:
    for options in ((), ("--of", "policy")):
        ran = ig("policy", "schema", *options)
        assert (ran.code, ran.out) == (0, json_schema())
    assert ig("policy", "schema", "--of", "cases").out == cases_schema()
    assert ig("policy", "schema", "--of", "waivers").out == waivers_schema()
    assert "'case' is not one of" in ig("policy", "schema", "--of", "case").err


@pytest.mark.parametrize("command", [("diff", "default", "strict"), ("explain", "default"), ("score", "default")])
def test_a_format_that_a_command_does_not_write_is_refused(ig: Command, command: tuple[str, ...]) -> None:
    ran = ig("policy", *command, "--format", "sarif")
    assert (ran.code, ran.out) == (2, "")
    assert "'sarif' is not one of" in ran.err


def test_what_is_written_is_told_to_programs_too(
    ig: Command, tmp_path: Path, runs_on: Callable[[ScriptedEngine], None]
) -> None:
    def told(*command: str) -> Any:
        ran = ig("policy", *command, "--format", "json")
        assert ran.code in (0, 1), ran.err
        return json.loads(ran.out)

    made = told("new", str(tmp_path / "bank"))
    assert [Path(file).name for file in made["wrote"]][:2] == ["policy.yaml", "policy_test.yaml"]
    assert made["check"]["files"][0]["ok"] is True
    assert made["test"]["files"][0]["cases"]
    file = tmp_path / "old.yaml"
    file.write_text(POLITE.replace("budgets:", "budgets:  ") + "# kind: given\n", encoding="utf-8")
    (laid,) = told("fmt", "--check", str(file))["files"]
    assert (laid["file"], laid["changed"], "-budgets:  " in laid["difference"]) == (str(file), True, True)
    assert [one["changed"] for one in told("fmt", str(file))["files"]] == [True]
    assert [one["changed"] for one in told("fmt", "--check", str(file))["files"]] == [False]
    file.write_text(POLITE.replace("kind: pattern", "kind: given"), encoding="utf-8")
    (renamed,) = told("migrate", "--check", str(file))["files"]
    assert renamed["renamed"][0] == {"path": "cost_models.rude.kind", "line": 6, "old": "given", "new": "provided"}
    shown = told("show", "strict")
    assert (shown["sha256"], shown["policy"]["metadata"]["name"]) == (load_policy("strict").sha256, "strict")
    file.write_text(POLITE, encoding="utf-8")
    rows, out = tmp_path / "rows.jsonl", tmp_path / "rec.jsonl"
    rows.write_text('{"text": "Hello."}\n')
    runs_on(ScriptedEngine(Continuations({(0, 0): "Hello."})))
    assert told("record", str(file), "--file", str(rows), "--out", str(out)) == {"recorded": 1, "out": str(out)}


def test_policies_are_compared_by_meaning(ig: Command, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(POLITE.replace("threshold: 0.5, budget", "threshold: 0.25, budget"), encoding="utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text(POLITE, encoding="utf-8")
    same = ig("policy", "diff", str(mine), str(mine))
    assert (same.code, same.out.splitlines()[-1]) == (0, "the same policy: their normal forms are equal")
    alike = ig("policy", "diff", str(mine), str(other))
    assert (alike.code, alike.out.splitlines()[-1]) == (0, "B means the same as A")  # a match is over either threshold
    ran = ig("policy", "diff", str(mine), "default", "--format", "json")
    found = json.loads(ran.out)
    assert (ran.code, found["same"], found["together"]["verdict"]) == (1, False, "not comparable")
    assert ig("policy", "diff", str(mine), str(tmp_path / "no.yaml")).code == 2


@pytest.mark.parametrize(
    ("old", "new", "looser"),
    [
        ("budget: 0.0", "budget: 0.9", "hte, all budgets together"),
        ("budgets:", "allow_unguarded: true\nbudgets:", "allow_unguarded"),
        ("on_exceed: refuse", "on_exceed: observe", "prompt.on_exceed"),
        ("timeout_ms: 60000", "timeout_ms: 60000, on_error: open", "cost_models.rude.on_error"),
        ("longest_match: 9", "longest_match: 12", "hte, all budgets together, prompt check"),
        ("version: 1.0.0", "version: 1.1.0", ""),
    ],
)
def test_a_build_fails_only_where_a_policy_gets_looser(
    ig: Command, tmp_path: Path, old: str, new: str, looser: str
) -> None:
    text = POLITE.replace("allow_unguarded: true\n", "")
    assert old in text
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    before.write_text(text)
    after.write_text(text.replace(old, new))
    ran = ig("policy", "diff", str(before), str(after), "--fail-on", "looser")
    last = ran.out.splitlines()[-1]
    assert (ran.code, last.partition("as strict, in: ")[2]) == (1 if looser else 0, looser)


def test_a_stricter_policy_is_different_and_not_looser(ig: Command, tmp_path: Path) -> None:
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    before.write_text(POLITE.replace("budget: 0.0", "budget: 0.9"))
    after.write_text(POLITE)
    command = ("policy", "diff", str(before), str(after))
    assert (ig(*command).code, ig(*command, "--fail-on", "looser").code) == (1, 0)


def test_the_page_of_a_code_is_printed(ig: Command) -> None:
    ran = ig("policy", "explain", "p109")
    assert ran.code == 0
    assert ran.out.startswith("P109 (warning): a budget that is not overdrawn\n")
    assert json.loads(ig("policy", "explain", "P109", "--format", "json").out)["code"] == "P109"
    assert ig("policy", "explain", "P999").code == 2


def test_a_policy_and_a_receipt_are_explained(ig: Command, tmp_path: Path) -> None:
    assert "can be overdrawn" in ig("policy", "explain", "default").out
    assert json.loads(ig("policy", "explain", "strict", "--format", "json").out)["name"] == "strict"
    recorded = Path(__file__).parents[2] / "golden" / "transcripts" / "refused.jsonl"
    assert "would have overdrawn rudeness" in ig("policy", "explain", str(recorded)).out
    assert ig("policy", "explain", str(tmp_path / "no.yaml")).code == 2
