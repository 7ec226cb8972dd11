"""Bad input: one clear message on standard error, exit code 2, no traceback, nothing on standard output."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from tests.golden.conversations import CALM, POLITE, without_substitutes
from tests.unit.cli.conftest import Command, Ran

RunsOn = Callable[[ScriptedEngine], None]


@pytest.fixture
def policy(tmp_path: Path) -> Callable[[str], str]:
    """Writes a policy file and gives its path."""

    def write(text: str) -> str:
        file = tmp_path / "policy.yaml"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


@pytest.fixture
def polite(policy: Callable[[str], str], runs_on: RunsOn) -> str:
    """The path of a valid policy; the model is scripted, with room for 60 tokens."""
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM}), context=60))
    return policy(POLITE)


def refused(ran: Ran, *lines: str) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err
    for line in lines:
        assert line in ran.err


def test_a_model_that_is_not_there(ig: Command, policy: Callable[[str], str]) -> None:
    ran = ig("run", "--prompt", "hi", "--model", "./no/such/model", "--policy", policy(POLITE))
    refused(ran, "error: model './no/such/model': there is no folder './no/such/model'", "  why: ", "  fix: ")


@pytest.mark.parametrize(
    "option", [("--max-tokens", "0"), ("--temperature", "-1"), ("--stop", ""), ("--language", "x")]
)
def test_what_no_model_can_answer_is_refused_before_one_is_loaded(
    option: tuple[str, str], ig: Command, policy: Callable[[str], str]
) -> None:
    ran = ig("run", "--prompt", "hi", "--model", "./no/such/model", "--policy", policy(POLITE), *option)
    refused(ran, f"error: {option[0].strip('-').replace('-', '_')}", "  fix: ")
    assert "no/such/model" not in ran.err


@pytest.mark.parametrize("name", ["qwen.gguf", "./qwen.gguf", "my models/qwen.gguf"])
def test_a_model_file_that_is_not_there(ig: Command, policy: Callable[[str], str], name: str) -> None:
    ran = ig("run", "--prompt", "hi", "--model", name, "--policy", policy(POLITE))
    refused(ran, f"error: model '{name}': there is no file '{name}'", "  fix: check the path")


def test_a_folder_that_is_no_model(ig: Command, policy: Callable[[str], str], tmp_path: Path) -> None:
    ran = ig("run", "--prompt", "hi", "--model", str(tmp_path), "--policy", policy(POLITE))
    refused(ran, f"error: model '{tmp_path}': its folder has no config.json", "  fix: check ")


def test_a_head_that_was_trained_for_another_model(ig: Command, runs_on: RunsOn, policy: Callable[[str], str]) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM})))
    ran = ig("run", "--prompt", "hi", "--policy", policy(without_substitutes("default")))
    refused(ran, "error: cost_models.help: there is no head for weights in float64", "  why: ", "train head")


def test_a_policy_with_faults_shows_them_all(ig: Command, policy: Callable[[str], str]) -> None:
    broken = POLITE.replace("threshold: 0.5, budget", "treshold: 0.5, budget").replace("every: 4", "every: 0")
    ran = ig("run", "--prompt", "hi", "--policy", policy(broken))
    refused(ran, "policy.yaml:8:", "treshold", "did you mean", "every")
    assert ran.err.count("error[P") >= 2


def test_a_policy_without_budgets(ig: Command, policy: Callable[[str], str]) -> None:
    lines = [line for line in POLITE.splitlines() if "id: rudeness" not in line]
    ran = ig("run", "--prompt", "hi", "--policy", policy("\n".join(lines).replace("budgets:", "budgets: []")))
    refused(ran, "error[P", "budgets")


def test_a_policy_that_is_not_there_names_the_nearest(ig: Command) -> None:
    refused(
        ig("run", "--prompt", "hi", "--policy", "strickt"), "policy `strickt` cannot be read", "did you mean `strict`"
    )


def test_a_prompt_longer_than_the_context(ig: Command, polite: str) -> None:
    ran = ig("run", "--prompt", "word " * 100, "--policy", polite)
    refused(ran, "error: ", "context", "60", "  fix: ")


def test_no_room_for_an_answer(ig: Command, polite: str) -> None:
    ran = ig("run", "--prompt", "hi", "--policy", polite, "--max-tokens", "0")
    refused(ran, "error: max_tokens is 0", "  fix: give at least 1")


def test_a_strategy_that_does_not_exist(ig: Command, polite: str) -> None:
    ran = ig("run", "--prompt", "hi", "--policy", polite, "--strategy", "beem")
    refused(
        ran,
        "error: strategy: there is no strategy 'beem'",
        "  fix: did you mean 'beam'? `ig-guardrail strategies` lists all",
    )


def test_unguarded_decoding_under_a_policy_that_forbids_it(
    ig: Command, policy: Callable[[str], str], runs_on: RunsOn
) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM})))
    forbidding = policy(POLITE.replace("allow_unguarded: true", "allow_unguarded: false"))
    ran = ig("run", "--prompt", "hi", "--policy", forbidding, "--strategy", "none")
    refused(ran, "error: strategy none: policy 'polite' does not allow unguarded decoding", "  why: ", "  fix: ")


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt(ig: Command, prompt: str) -> None:
    refused(ig("run", "--prompt", prompt), "error: --prompt: the prompt is empty", "  fix: give a text")


def test_nothing_on_standard_input(ig: Command) -> None:
    refused(ig("run", "--prompt", "-"), "error: --prompt: the prompt is empty")


def test_a_prompt_that_is_not_text(ig: Command) -> None:
    ran = ig("run", "--prompt", "-", stdin=b"caf\xe9")
    refused(ran, "error: prompt: the prompt is not UTF-8 (byte 3)", "  fix: convert it to UTF-8")


def test_a_system_text_that_is_not_text(ig: Command, polite: str) -> None:
    ran = ig("run", "--prompt", "hi", "--policy", polite, "--system", "caf\udce9")
    refused(ran, "error: messages and stop strings: a text is not Unicode", "  fix: decode the text")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "give `--prompt TEXT` (`-` reads standard input), or `--prompts FILE --out FILE`"),
        (("run", "--prompt", "hi", "--seed", "-1"), "--seed"),
        (("run", "--prompt", "hi", "--temprature", "1"), "No such option: --temprature"),
        (("policy", "check"), "Missing argument"),
        (("polcy",), "No such command 'polcy'"),
    ],
)
def test_a_command_line_that_cannot_be_read(ig: Command, arguments: tuple[str, ...], message: str) -> None:
    refused(ig(*arguments), message)


@pytest.mark.slow
def test_the_installed_command_behaves_the_same_in_a_process_of_its_own() -> None:
    code = "from ig_guardrail.cli.main import run; run()"
    arguments = ["run", "--prompt", "hi", "--policy", "./no/policy.yaml"]
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    refused(Ran(ran.returncode, ran.stdout, ran.stderr), "policy `./no/policy.yaml` cannot be read")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("policy", "new", ""), "error: NAME: it names no new folder"),
        (("policy", "new", "."), "error: NAME: it names no new folder"),
        (("run", "--prompt", "hi", "--audit", ""), "error: audit: the path of the audit log names no file"),
        (("serve", "--port", "0", "--policy", ""), "policy `` cannot be read"),
    ],
)
def test_names_that_are_empty(ig: Command, polite: str, arguments: tuple[str, ...], message: str) -> None:
    chosen = ("--policy", polite) if arguments[0] == "run" else ()
    refused(ig(*arguments, *chosen), message)
