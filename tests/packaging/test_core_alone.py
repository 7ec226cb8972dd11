"""The core in an environment of its own: what works there without extras, and what is said where one is missing."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from ig_guardrail.extras import EXTRAS, MODULES
from tests.packaging.core import install_core, python

pytestmark = pytest.mark.slow

BROUGHT = sorted({MODULES.get(name, name) for names in EXTRAS.values() for name in names})
COMMAND = "from ig_guardrail.cli.main import run; run()"
GUARDED = """
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from ig_guardrail import GuardedChatModel

    hosted = GenericFakeChatModel(messages=iter(["Tea, you blockhead, is hot.", "Pour water on the leaves."]))
    answer = GuardedChatModel(inner=hosted, policy="polite.yaml").invoke("How do I make tea?")
    print(answer.text)
    print(answer.response_metadata["ig_guardrail"]["verdict"]["outcome"])
"""
POLICY = r"""
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: polite, version: 1.0.0}
cost_models:
  rude: {kind: pattern, hazards: [hte], longest_match: 9, patterns: ['(?i)\bblockhead']}
budgets: [{id: rudeness, hazards: [hte], cost: rude, threshold: 0.5, every: 4}]
search: {block: 4, hold: 12, retries: 2}
messages: {refusal: {en: "I would rather not say that."}, closing: {en: "I stop here."}}
"""


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    install_core(folder, tmp_path_factory.mktemp("sources"))
    (folder / "polite.yaml").write_text(POLICY)
    return folder


def ig(core: Path, *arguments: str) -> tuple[int, str, str]:
    ran = python(core, "-c", COMMAND, *arguments)
    return ran.returncode, ran.stdout, ran.stderr


def test_nothing_that_an_extra_brings_is_there(core: Path) -> None:
    code = f"from importlib.util import find_spec; print([name for name in {BROUGHT} if find_spec(name)])"
    assert python(core, "-c", code).stdout.strip() == "[]"


def test_the_package_is_the_one_that_was_installed(core: Path) -> None:
    ran = python(core, "-c", "import ig_guardrail, ig_guardrail.integrations as i; print(ig_guardrail.__file__, i)")
    assert ran.stdout.count(str(core)) == 2, ran.stderr


def test_policies_are_checked(core: Path) -> None:
    code, out, err = ig(core, "policy", "check", "polite.yaml", "default", "strict")
    assert (code, err) == (0, ""), out
    (core / "wrong.yaml").write_text(POLICY.replace("threshold: 0.5", "threshold: 5"))
    code, out, err = ig(core, "policy", "check", "wrong.yaml")
    assert (code, err) == (1, ""), out


def test_a_hosted_chat_model_is_guarded(core: Path) -> None:
    ran = python(core, "-c", textwrap.dedent(GUARDED))
    assert ran.stdout.splitlines() == ["Pour water on the leaves.", "completed"], ran.stderr


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("embedded", ["run", "--prompt", "Hello"]),
        ("embedded", ["chat"]),
        ("embedded", ["demo"]),
        ("embedded", ["index", "build", "polite.yaml", "--out", "made"]),
        ("embedded", ["train", "answers", "--out", "made.jsonl"]),
        ("local", ["run", "--model", "some/model", "--prompt", "Hello"]),
        ("eval", ["eval", "smoke"]),
    ],
)
def test_a_command_that_needs_more_names_the_extra(core: Path, extra: str, arguments: list[str]) -> None:
    code, _, err = ig(core, *arguments)
    assert code == 2, err
    assert err.startswith("error: ")
    assert err.rstrip().endswith(f"fix: run `pip install 'ig-guardrail[{extra}]'`")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("embedded", "from ig_guardrail import ChatIGGuardrail; ChatIGGuardrail().invoke('Hello')"),
        ("llama", "from ig_guardrail import ChatIGGuardrail; ChatIGGuardrail(engine='llama.cpp').invoke('Hello')"),
        ("agents", "from ig_guardrail import GuardrailMiddleware"),
        ("agents", "from ig_guardrail.integrations.langchain.store_ledger import StoreLedger"),
        ("local", "from ig_guardrail.costs.sequence_classifier import read_labels; read_labels('some/model', 'tone')"),
        ("openai", "from ig_guardrail.costs.remote.endpoint import open_client; open_client('https://a.b', 'k', 1)"),
    ],
)
def test_a_program_that_needs_more_is_told_the_extra_by_one_error(core: Path, extra: str, code: str) -> None:
    tried = f"try:\n    {code}\nexcept Exception as error:\n    print(type(error).__name__, error)"
    ran = python(core, "-c", tried)
    assert ran.stdout.startswith("MissingExtra "), ran.stderr
    assert f"ig-guardrail[{extra}]" in ran.stdout


def test_the_doctor_tells_which_extras_are_missing(core: Path) -> None:
    code, out, _ = ig(core, "doctor")
    assert code == 2
    for extra in EXTRAS:
        assert f"extra {extra}" in out
        assert f"pip install 'ig-guardrail[{extra}]'" in out
