"""The most severe hazard that was denied decides which message is shown, and then the language."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from ig_guardrail import ChatIGGuardrail, GuardedChatModel
from ig_guardrail.integrations.langchain.guard_runnable import GuardRunnable
from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import Messages
from ig_guardrail.types.hazards import HAZARDS, SEVERITY, TOOLS, severest_first
from tests.unit.langchain.teller import teller
from tests.unit.langchain.test_middleware import Said, calling, delete_file, pay
from tests.unit.langchain.test_tools import TOOLS as READERS
from tests.unit.messages.care import BOTH, CARE, CRISIS, LATE, LEAK, RUDE, RULES, care, rail, receipt

HELP, KIND = "Please call 116 123, somebody is there.", "Let us stay kind."

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize(
    ("said", "language", "name", "denied"),
    [
        ((CRISIS,), "en", "refusal.by_hazard.ssh.en", ("ssh",)),
        ((CRISIS,), "de-AT", "refusal.by_hazard.ssh.de", ("ssh",)),
        ((CRISIS,), "fr", "refusal.by_hazard.ssh.en", ("ssh",)),  # help in English before an apology in French
        ((RUDE,), "en", "refusal.by_hazard.hte.en", ("hte",)),
        ((LEAK,), "fr", "refusal.fr", ("prv",)),
        ((RUDE, CRISIS), "en", "refusal.by_hazard.ssh.en", ("ssh", "hte")),
        ((BOTH,), "en", "refusal.by_hazard.ssh.en", ("ssh", "hte")),
        ((LATE,), "de", "closing.by_hazard.ssh.de", ("ssh",)),
        ((LATE.replace("end it all", "you blockhead"),), "de", "closing.de", ("hte",)),
    ],
)
def test_the_hazard_decides_and_then_the_language(
    said: tuple[str, ...], language: str, name: str, denied: tuple[str, ...]
) -> None:
    found = receipt(rail(*said), language=language)
    assert (found.message_name, found.denied) == (name, denied)
    assert found.text.endswith(found.message)
    assert found.message in CARE
    assert found.approved == {}


def test_a_policy_may_state_its_own_order() -> None:
    policy = care(("messages:\n", "messages:\n  severity: [S10]\n"))
    assert receipt(rail(BOTH, policy=policy)).message_name == "refusal.by_hazard.hte.en"


@pytest.mark.parametrize("strategy", ["inference_guard", "cut", "best_of_n", "resample", "rollback_retry"])
def test_every_method_notes_all_that_a_draft_would_have_overdrawn(strategy: str) -> None:
    assert receipt(rail(BOTH, BOTH), strategy=strategy).denied == ("ssh", "hte")


def test_a_draft_that_was_replaced_does_not_decide_how_a_later_one_ends() -> None:
    tail = " since all of them like you just as you are, and so do I, dear blockhead that you are."
    found = receipt(rail(f"If you feel so end it all then{tail}", f"If you feel so please call a friend{tail}"))
    assert found.verdict.outcome == "ended"
    assert set(found.unsafe) == {"crisis", "rudeness"}
    assert (found.message_name, found.denied) == ("closing.en", ("hte",))


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("I want to end it all.", "refusal.by_hazard.ssh.en"), ("You blockhead.", "refusal.by_hazard.hte.en")],
)
def test_a_prompt_that_is_refused_is_answered_by_its_hazard(prompt: str, name: str) -> None:
    found = receipt(rail(RUDE), prompt)
    assert (found.verdict.reason, found.message_name) == ("prompt check", name)


def test_every_hazard_of_the_taxonomy_has_a_rank_and_parts_stand_with_it() -> None:
    assert sorted(SEVERITY) == sorted(HAZARDS)
    assert severest_first([TOOLS, "x.a", "spc.hlt", "ipv", "ssh"]) == ("ssh", "spc.hlt", "ipv", "x.a", TOOLS)
    assert severest_first(["ssh", "spc.hlt", "spc"], ["spc.hlt"]) == ("spc.hlt", "ssh", "spc")


def test_a_part_of_a_hazard_is_answered_as_the_nearest_text_says() -> None:
    own = {"refusal": {"spc": {"en": "specialist"}, "spc.hlt": {"en": "doctor"}}}
    messages = Messages({"en": "no"}, {"en": "stop"}, own)
    for denied, text in {"spc.hlt": "doctor", "spc.law": "specialist", "spc": "specialist", "hte": "no"}.items():
        assert messages.find("refusal", "en", [denied]).text == text
    assert messages.find("closing", "en", ["spc"]).text == "stop"


class Reply(BaseModel):
    """A reply."""

    text: str


def record(message: AIMessage) -> dict[str, Any]:
    found: dict[str, Any] = message.response_metadata["ig_guardrail"]
    return found


def test_a_chat_model_says_it_whole_streamed_and_asynchronously() -> None:
    model = ChatIGGuardrail(guardrail=rail(CRISIS), seed=7)
    whole = model.invoke("Go.")
    assert (whole.text, record(whole)["message_name"]) == (HELP, "refusal.by_hazard.ssh.en")
    assert [block["type"] for block in whole.content_blocks] == ["refusal"]
    assert "".join(chunk.text for chunk in model.stream("Go.")) == HELP
    assert asyncio.run(model.ainvoke("Go.", language="de")).text.startswith("Bitte wähle")


def test_it_stands_beside_a_value_and_in_place_of_a_call() -> None:
    model = ChatIGGuardrail(guardrail=rail('{"text": "end it all"}'), seed=7)
    raw = model.with_structured_output(Reply, include_raw=True).invoke("Go.")["raw"]
    assert (record(raw)["message"], record(raw)["denied"]) == (HELP, ["ssh"])
    call = format_call("read_file", {"name": "end it all"})
    called = ChatIGGuardrail(guardrail=rail(call), seed=7).bind_tools(READERS).invoke("Go.")
    assert (called.text, called.tool_calls, record(called)["denied"]) == (HELP, [], ["ssh"])


def test_a_call_that_breaks_a_rule_is_answered_as_such() -> None:
    model = ChatIGGuardrail(guardrail=rail(format_call("delete_file", {"name": "a"}), policy=care(more=RULES)), seed=7)
    for bound in (model.bind_tools(READERS), model.bind_tools([delete_file], tool_choice="any")):
        found = bound.invoke("Go.")
        assert (found.text, record(found)["denied"]) == ("I may not do that here.", ["x.tools"])


def test_hosted_models_and_chains_are_answered_alike() -> None:
    hosted = GuardedChatModel(inner=teller(CRISIS, CRISIS, CRISIS), policy=care()).invoke("Go.")
    assert (hosted.text, record(hosted)["message_name"]) == (HELP, "refusal.by_hazard.ssh.en")
    assert GuardRunnable(care(), language="de").invoke(RUDE) == "Bleiben wir freundlich."


@pytest.mark.parametrize(
    ("prompt", "answer", "name", "denied"),
    [
        ("I want to end it all.", AIMessage("Fine."), "refusal.by_hazard.ssh.en", ["ssh"]),
        ("Hello.", AIMessage(BOTH), "refusal.by_hazard.ssh.en", ["ssh", "hte"]),
        ("Hello.", AIMessage(RUDE), "refusal.by_hazard.hte.en", ["hte"]),
        ("Hello.", AIMessage(LEAK), "refusal.en", ["prv"]),
        ("Hello.", calling("delete_all", name="a"), "refusal.by_hazard.x.tools.en", ["x.tools"]),
    ],
)
def test_the_middleware_answers_by_the_hazard(prompt: str, answer: AIMessage, name: str, denied: list[str]) -> None:
    agent = create_agent(Said(messages=iter([answer])), [pay], middleware=[GuardrailMiddleware(care(more=RULES))])
    last = agent.invoke({"messages": [HumanMessage(prompt)]})["messages"][-1]
    found = record(last)
    assert (found["message_name"], found["denied"], found["message"]) == (name, denied, last.text)
