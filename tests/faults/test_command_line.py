"""The command line keeps what policies promise: names for shared budgets, tools, languages, outcomes as exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy import load_policy
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import Messages
from ig_guardrail.types.languages import normal_tag
from tests.golden.conversations import CALM, LATE, POLITE, RUDE, scripted_guardrail
from tests.unit.cli.conftest import Command, Ran
from tests.unit.cli.conftest import ig as ig
from tests.unit.cli.conftest import runs_on as runs_on
from tests.unit.cli.conftest import says as says

Says = Callable[[Guardrail], Guardrail]
RunsOn = Callable[[ScriptedEngine], None]

SHARED = """apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: shared, version: 1.0.0}
cost_models:
  words: {kind: pattern, hazards: [hte], patterns: ['(?i)\\bblockhead'], longest_match: 9}
budgets:
  - {id: rude, hazards: [hte], cost: words, threshold: 0.5, budget: 0.6, scope: %s}
search: {candidates: 2, retries: 1}
messages: {refusal: {en: "No.", de: "Nein."}, closing: {en: "I stop.", de: "Genug."}}
"""
LIMITED = SHARED.replace("scope: %s}", "scope: response}") + "tools: {limits: [{id: pays, tool: pay, calls: 1}]}\n"
PAY = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def policy(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        load_policy(file)
        return str(file)

    return write


def told(text: str) -> ScriptedEngine:
    return ScriptedEngine(Continuations({(0, 0): text}))


def asked(ig: Command, policy: str, *options: str) -> Ran:
    return ig("run", "--prompt", "Why?", "--seed", "7", "--policy", policy, "--model", "scripted", *options)


@pytest.mark.parametrize(("scope", "option"), [("conversation", "--conversation"), ("tenant", "--tenant")])
def test_a_shared_budget_is_spent_by_its_name_from_one_run_to_the_next(
    ig: Command, runs_on: RunsOn, policy: Callable[[str], str], tmp_path: Path, scope: str, option: str
) -> None:
    file = policy(SHARED % scope)
    runs_on(told("You blockhead. " + CALM))
    nobody = asked(ig, file)
    assert (nobody.code, nobody.out) == (2, "")
    assert f"no {scope} is named" in nobody.err
    spent = [asked(ig, file, option, name, "--ledger", str(tmp_path / "l.db")).code for name in ("ann", "ann", "bob")]
    assert spent == [0, 3, 0]


def test_tools_are_read_from_a_file_and_their_limits_kept(
    ig: Command, runs_on: RunsOn, policy: Callable[[str], str], tmp_path: Path
) -> None:
    file, tools = policy(LIMITED), tmp_path / "tools.json"
    tools.write_text(json.dumps([PAY]))
    runs_on(told(format_call("pay", {})))
    common = ("--tools", str(tools), "--conversation", "ann", "--ledger", str(tmp_path / "l.db"))
    first = asked(ig, file, *common)
    assert (first.code, first.out) == (0, format_call("pay", {}) + "\n")
    assert asked(ig, file, *common).code == 3


@pytest.mark.parametrize("content", ["", "{}", "[1]", "tools: [", '"pay"', "[{name: 3}]", "\x00"])
def test_a_file_that_holds_no_tools_is_refused(ig: Command, says: Says, tmp_path: Path, content: str) -> None:
    says(scripted_guardrail({(0, 0): CALM}))
    (tmp_path / "tools.yaml").write_text(content)
    ran = ig("run", "--prompt", "Why?", "--tools", str(tmp_path / "tools.yaml"))
    assert (ran.code, ran.out) == (2, "")
    assert "fix:" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow
def test_a_chat_is_a_conversation_with_tools_and_results(
    ig: Command, runs_on: RunsOn, policy: Callable[[str], str], tmp_path: Path
) -> None:
    file, tools = policy(LIMITED), tmp_path / "tools.yaml"
    tools.write_text("- {type: function, function: {name: pay, parameters: {type: object, properties: {}}}}\n")
    runs_on(told(format_call("pay", {})))
    chat = ("chat", "--policy", file, "--model", "scripted", "--tools", str(tools), "--seed", "7")
    assert ig(*chat, stdin=b"pay\n").code == 0
    assert ig(*chat, stdin=b"pay\n/result paid\n").code == 3  # the second call of one conversation
    assert ig(*chat, stdin=b"pay\n/new\npay\n").code == 0
    assert ig(*chat, "--conversation", "ann", stdin=b"pay\n/new\npay\n").code == 3


@pytest.mark.parametrize(("text", "code"), [(CALM, 0), (RUDE, 3), (LATE, 4)])
def test_a_piped_chat_ends_as_its_last_answer_did(ig: Command, says: Says, text: str, code: int) -> None:
    says(scripted_guardrail({(0, 0): text}))
    assert ig("chat", stdin=b"Why?\n").code == code
    assert ig("chat", stdin=b"Why?\n/quit\nWhy?\n").code == code


def test_a_piped_chat_whose_last_answer_failed_ends_with_2(ig: Command, says: Says) -> None:
    broken = EngineError("the model is gone", where="engine")
    says(scripted_guardrail({(0, 0): CALM}, incidents=Incidents(faults={("extend", 1): broken})))
    assert ig("chat", stdin=b"Why?\n").code == 2
    assert ig("chat", "--max-tokens", "0", stdin=b"Why?\n").code == 2


@pytest.mark.parametrize(
    ("written_as", "tag"),
    [("de", "de"), ("DE", "de"), ("de_DE", "de-DE"), ("De-de", "de-DE"), ("zh-hans-cn", "zh-Hans-CN"), ("yue", "yue")],
)
def test_a_tag_is_read_in_any_usual_spelling(written_as: str, tag: str) -> None:
    assert normal_tag(written_as) == tag


@pytest.mark.parametrize("text", ["", "xx", "german", "d", "de-", "de_DE.UTF-8", "de DE", "12", "\u0434\u0435"])
def test_what_is_no_tag_is_refused(ig: Command, says: Says, text: str) -> None:
    assert normal_tag(text) is None
    says(scripted_guardrail({(0, 0): CALM}))
    ran = ig("run", "--prompt", "Why?", "--language", text)
    assert (ran.code, ran.out) == (2, "")
    assert "which is no language tag" in ran.err


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("de_AT", "de"),
        ("pt-BR", "br"),
        ("pt_br", "br"),
        ("pt-PT", "en"),
        ("zh-Hans-CN", "zh"),
    ],
)
def test_the_nearest_text_is_said(tag: str, said: str) -> None:
    texts = {"en": "en", "de": "de", "pt-BR": "br", "zh-CN": "zh"}
    said_in = Messages(texts, texts).of("refused", tag)
    assert said_in is not None
    assert said_in.text == said
    assert Messages(texts, texts).of("completed", tag) is None


def test_the_middleware_and_the_runnable_refuse_an_unknown_tag() -> None:
    from ig_guardrail.integrations.langchain.guard_runnable import GuardRunnable
    from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
    from tests.golden.conversations import compiled

    for make in (GuardrailMiddleware, GuardRunnable):
        with pytest.raises(RequestError, match="no language tag"):
            make(compiled(POLITE), language="german")


@pytest.mark.real
def test_a_deep_check_starts_what_a_plain_one_calls_valid(ig: Command, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "policies" / "default.yaml").read_text()
    unkind = re.sub("en: Let me stop here.*", "en: That goes beyond what this assistant is made for.", text)
    assert unkind != text
    (tmp_path / "p.yaml").write_text(unkind)
    plain, deep = (
        ig("policy", "check", str(tmp_path / "p.yaml")),
        ig("policy", "check", "--deep", str(tmp_path / "p.yaml")),
    )
    assert plain.code == 0
    assert "messages were tried against words and patterns alone" in plain.out
    assert deep.code == 1
    assert "messages.closing.en is over budget" in deep.out
    assert ig("policy", "check", "--deep", "default").code == 0
