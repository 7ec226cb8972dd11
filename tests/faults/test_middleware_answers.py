"""Around a plain chat model the middleware judges answers too, and what is refused does not stay in the state."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, StructuredOutputError, ToolStrategy
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from ig_guardrail import AnswerRefused, ChatIGGuardrail, GuardedChatModel, GuardrailMiddleware
from tests.golden.conversations import CALM, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.obliging import obliging_guardrail

RULES = compiled(POLITE + 'tools: {deny: ["delete_*", "Secret"]}\n')
REFUSAL, CLOSING = "I would rather not say that.", "I stop here."
BAD = "you blockhead"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Note(BaseModel):
    """A note."""

    text: str


class Secret(Note):
    """A note of a kind that the policy denies."""


@dataclass
class Written:
    """A note."""

    text: str


class Typed(TypedDict):
    """A note."""

    text: str


SCHEMA = {"title": "Plain", "description": "A note.", "type": "object", "properties": {"text": {"type": "string"}}}


@tool
def look(name: str) -> str:
    """Look something up."""
    return name


@tool(response_format="content_and_artifact")
def fetch(name: str) -> tuple[str, str]:
    """Fetch a page."""
    return f"it says {BAD}", f"raw {BAD}"


class Said(GenericFakeChatModel):
    """A hosted model; notes what it was asked."""

    asked: list[str] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(repr(messages))
        return super()._generate(messages, *args, **kwargs)


def said(*answers: Any) -> Said:
    return Said(messages=iter([AIMessage(one) if isinstance(one, str) else one for one in answers]))


def calling(name: str, /, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": "1"}])


def agent(model: Any, tools: Any = (), format: Any = None, policy: Any = RULES, **settings: Any) -> Any:
    return create_agent(
        model,
        list(tools),
        middleware=[GuardrailMiddleware(policy, **settings)],
        response_format=format,
        checkpointer=InMemorySaver(),
    )


def ask(text: Any = "Go.") -> Any:
    return {"messages": [HumanMessage(text)]}


THREAD: Any = {"configurable": {"thread_id": "1"}}

DENIED: dict[str, AIMessage] = {
    "words": AIMessage(BAD),
    "blocks": AIMessage([{"type": "text", "text": "fine "}, {"type": "text", "text": BAD}]),
    "words across blocks": AIMessage([{"type": "text", "text": "a block"}, {"type": "text", "text": "head"}]),
    "thoughts": AIMessage([{"type": "reasoning", "reasoning": BAD}, {"type": "text", "text": "fine"}]),
    "thoughts beside": AIMessage("fine", additional_kwargs={"reasoning_content": BAD}),
    "a summary of thoughts beside": AIMessage(
        "fine", additional_kwargs={"reasoning": {"id": "r", "summary": [{"type": "summary_text", "text": BAD}]}}
    ),
    "what a block quotes": AIMessage(
        [{"type": "text", "text": "fine", "annotations": [{"type": "citation", "title": "A page", "cited_text": BAD}]}]
    ),
    "what a block within a result quotes": AIMessage(
        [
            {
                "type": "tool_result",
                "content": [{"type": "text", "text": "fine", "citations": [{"cited_text": BAD, "document_index": 0}]}],
            }
        ]
    ),
    "a transcript": AIMessage("", additional_kwargs={"audio": {"id": "a", "transcript": BAD}}),
    "a sound beside": AIMessage("", additional_kwargs={"audio": {"id": "a", "data": "AA==", "transcript": "fine"}}),
    "a call of a function": AIMessage(
        "", additional_kwargs={"function_call": {"name": "f", "arguments": json.dumps({"text": BAD})}}
    ),
    "a result from a server": AIMessage(
        [{"type": "server_tool_result", "tool_call_id": "1", "status": "success", "output": [BAD]}]
    ),
    "a picture": AIMessage([{"type": "image", "base64": "AA==", "mime_type": "image/png"}]),
    "a call that nobody runs": calling("Unknown", text=BAD),
    "a broken call": AIMessage(
        "", invalid_tool_calls=[{"type": "invalid_tool_call", "id": "1", "name": "look", "args": BAD, "error": None}]
    ),
    "words before a call": AIMessage(BAD, tool_calls=[{"name": "look", "args": {"name": "a"}, "id": "1"}]),
}


@pytest.mark.parametrize("name", DENIED)
@pytest.mark.parametrize("awaited", [False, True])
async def test_an_answer_that_the_policy_denies_is_replaced(name: str, awaited: bool) -> None:
    one = agent(said(DENIED[name], "never asked"), [look])
    out = await one.ainvoke(ask(), THREAD) if awaited else one.invoke(ask(), THREAD)
    messages = out["messages"]
    assert [message.text for message in messages] == ["Go.", REFUSAL]
    assert messages[-1].response_metadata["finish_reason"] == "content_filter"
    assert messages[-1].response_metadata["ig_guardrail"]["verdict"]["reason"]
    assert "blockhead" not in repr([state.values for state in one.get_state_history(THREAD)])


@pytest.mark.parametrize("name", DENIED)
@pytest.mark.parametrize("awaited", [False, True])
async def test_or_an_error_is_raised_and_a_later_turn_works(name: str, awaited: bool) -> None:
    one = agent(said(DENIED[name], "fine"), [look], on_refusal="raise")
    with pytest.raises(AnswerRefused) as refused:
        await one.ainvoke(ask(), THREAD) if awaited else one.invoke(ask(), THREAD)
    assert "blockhead" not in str(refused.value)
    assert one.invoke(ask("And now?"), THREAD)["messages"][-1].text == "fine"
    assert "blockhead" not in repr([state.values for state in one.get_state_history(THREAD)])


def test_what_an_input_quotes_is_read_wherever_another_model_reads_it() -> None:
    asked = [
        HumanMessage([{"type": "text", "text": "Well?", "annotations": [{"type": "citation", "cited_text": BAD}]}])
    ]
    assert agent(said("never asked")).invoke({"messages": asked}, THREAD)["messages"][-1].text == REFUSAL
    assert GuardedChatModel(inner=said("never asked"), policy=RULES).invoke(asked).text == REFUSAL


def test_a_sound_passes_where_the_host_means_it_and_its_transcript_is_judged() -> None:
    for words, shown in (("fine", ""), (BAD, REFUSAL)):
        spoken = AIMessage("", additional_kwargs={"audio": {"id": "a", "data": "AA==", "transcript": words}})
        assert agent(said(spoken), unjudged_blocks=["audio"]).invoke(ask(), THREAD)["messages"][-1].text == shown


def test_a_harmless_answer_stays_as_it_is() -> None:
    quoted = [{"type": "citation", "url": "https://page.example/", "cited_text": "short waves", "start_index": 1}]
    blocks: list[Any] = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "text", "text": CALM, "annotations": quoted},
    ]
    answer = AIMessage(blocks, id="a", response_metadata={"x": 1})
    assert agent(said(answer)).invoke(ask(), THREAD)["messages"][-1] == answer


def test_a_picture_passes_where_the_host_says_so() -> None:
    one = agent(said(DENIED["a picture"]), unjudged_blocks=["image"])
    asked = HumanMessage([{"type": "text", "text": "look"}, {"type": "image", "url": "https://a.example/a.png"}])
    assert one.invoke({"messages": [asked]}, THREAD)["messages"][-1].content == DENIED["a picture"].content


FORMATS = {
    "tool, pydantic": (ToolStrategy(Note), "Note"),
    "tool, dataclass": (ToolStrategy(Written), "Written"),
    "tool, typed": (ToolStrategy(Typed), "Typed"),
    "tool, json": (ToolStrategy(SCHEMA), "Plain"),
    "provider": (ProviderStrategy(Note), None),
    "provider, json": (ProviderStrategy(SCHEMA), None),
}


def value(name: str | None, text: str) -> AIMessage:
    return calling(name, text=text) if name else AIMessage(Note(text=text).model_dump_json())


@pytest.mark.parametrize("form", FORMATS)
async def test_structured_responses_are_judged(form: str) -> None:
    strategy, name = FORMATS[form]
    out = agent(said(value(name, "fine")), format=strategy).invoke(ask(), THREAD)
    assert "fine" in repr(out["structured_response"])
    one = agent(said(value(name, BAD)), format=strategy)
    for out in (one.invoke(ask(), THREAD), await agent(said(value(name, BAD)), format=strategy).ainvoke(ask(), THREAD)):
        assert out.get("structured_response") is None
        assert out["messages"][-1].text == REFUSAL
    assert "blockhead" not in repr([state.values for state in one.get_state_history(THREAD)])
    with pytest.raises(AnswerRefused):
        agent(said(value(name, BAD)), format=strategy, on_refusal="raise").invoke(ask(), THREAD)


@pytest.mark.parametrize("text", [BAD, f"{CALM} {BAD}"])
@pytest.mark.parametrize("tools", [[], [look]])
@pytest.mark.parametrize("awaited", [False, True])
async def test_a_value_that_a_guarded_model_refuses_is_a_refusal(text: str, tools: list[Any], awaited: bool) -> None:
    written = json.dumps({"text": text})
    local = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): written}), seed=7)
    hosted = GuardedChatModel(inner=said(*[AIMessage(written)] * 4), policy=compiled())  # each is asked twice
    for model in (local, hosted):
        one = agent(model, tools, format=ProviderStrategy(Note), policy=compiled())
        out = await one.ainvoke(ask(), THREAD) if awaited else one.invoke(ask(), THREAD)
        last = out["messages"][-1]
        assert out.get("structured_response") is None
        assert last.text.endswith(last.response_metadata["ig_guardrail"]["message"])
        assert last.text.endswith((REFUSAL, CLOSING))
        assert "blockhead" not in last.text
        raising = agent(model, tools, format=ProviderStrategy(Note), policy=compiled(), on_refusal="raise")
        with pytest.raises(AnswerRefused):
            await raising.ainvoke(ask(), THREAD) if awaited else raising.invoke(ask(), THREAD)


def test_a_structured_response_by_a_denied_name_is_a_denied_call() -> None:
    out = agent(said(calling("Secret", text="fine")), format=ToolStrategy(Secret)).invoke(ask(), THREAD)
    assert (out.get("structured_response"), out["messages"][-1].text) == (None, REFUSAL)


@pytest.mark.parametrize("handled", [True, False])
def test_a_value_that_does_not_fit_its_schema_is_judged_too(handled: bool) -> None:
    bad = calling("Note", wrong=BAD)
    one = agent(said(bad, "never asked"), format=ToolStrategy(Note, handle_errors=handled))
    assert one.invoke(ask(), THREAD)["messages"][-1].text == REFUSAL
    assert "blockhead" not in repr([state.values for state in one.get_state_history(THREAD)])
    broken = agent(said(AIMessage(f"no JSON, {BAD}")), format=ProviderStrategy(Note))
    assert broken.invoke(ask(), THREAD)["messages"][-1].text == REFUSAL


def test_a_harmless_value_that_does_not_fit_is_the_agents_affair() -> None:
    with pytest.raises(StructuredOutputError):
        agent(said(calling("Note", wrong="x")), format=ToolStrategy(Note, handle_errors=False)).invoke(ask(), THREAD)
    out = agent(said(calling("Note", wrong="x"), calling("Note", text="fine")), format=ToolStrategy(Note))
    assert out.invoke(ask(), THREAD)["structured_response"] == Note(text="fine")


def test_calls_of_tools_still_go_back_to_the_model_with_an_error() -> None:
    *_, result, answer = agent(said(calling("look", name=BAD), "Well."), [look]).invoke(ask(), THREAD)["messages"]
    assert isinstance(result, ToolMessage)
    assert (result.status, answer.text) == ("error", "Well.")


@pytest.mark.parametrize("on_refusal", ["end", "raise"])
@pytest.mark.parametrize("awaited", [False, True])
async def test_a_refused_input_leaves_the_state(on_refusal: str, awaited: bool) -> None:
    model = said("Hello.", "Fine.", "Bye.")
    one = agent(model, on_refusal=on_refusal)
    told = []
    bad = HumanMessage(BAD, name="blockhead", additional_kwargs={"also": BAD}, response_metadata={"and": BAD})
    for text in ("hi", bad, "how are you?", "bye"):
        asked = {"messages": [HumanMessage(text) if isinstance(text, str) else text]}
        try:
            out = await one.ainvoke(asked, THREAD) if awaited else one.invoke(asked, THREAD)
            told.append(out["messages"][-1].text)
        except AnswerRefused as error:
            assert "prompt check of the input" in str(error)  # noqa: PT017
            told.append("raised")
    assert told == ["Hello.", REFUSAL if on_refusal == "end" else "raised", "Fine.", "Bye."]
    assert "blockhead" not in repr(one.get_state(THREAD).values) + "".join(model.asked)


@pytest.mark.parametrize("on_refusal", ["end", "raise"])
def test_a_refused_tool_result_leaves_the_state_with_its_artifact(on_refusal: str) -> None:
    model = said(calling("fetch", name="a"), "Fine.")
    one = agent(model, [fetch], on_refusal=on_refusal)
    try:
        assert one.invoke(ask(), THREAD)["messages"][-1].text == REFUSAL
    except AnswerRefused as error:
        assert "a tool's result" in str(error)  # noqa: PT017
    assert one.invoke(ask("And now?"), THREAD)["messages"][-1].text == "Fine."
    assert "blockhead" not in repr(one.get_state(THREAD).values) + "".join(model.asked)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text-plain", "text": BAD, "mime_type": "text/plain"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": BAD}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": BAD}]},
        {"type": "image", "url": "https://a.example/a.png"},
    ],
    ids=lambda block: block["type"],
)
def test_an_input_that_is_refused_or_cannot_be_read_never_reaches_the_model(block: Any) -> None:
    model = said("Fine.")
    one = agent(model)
    answer = one.invoke(ask([{"type": "text", "text": "see:"}, block]), THREAD)["messages"][-1]
    assert (answer.text, model.asked) == (REFUSAL, [])
    reason = answer.response_metadata["ig_guardrail"]["verdict"]["reason"]
    assert ("'image', which is not text" in reason) == (block["type"] == "image")
    assert one.invoke(ask("And now?"), THREAD)["messages"][-1].text == "Fine."


def test_a_policy_that_checks_no_input_leaves_pictures_to_the_model() -> None:
    open_to_all = compiled(POLITE.replace("on_exceed: refuse}", "on_exceed: search}"))
    asked = ask([{"type": "image", "url": "https://a.example/a.png"}])
    assert agent(said("A cat."), policy=open_to_all).invoke(asked, THREAD)["messages"][-1].text == "A cat."


def test_an_answer_that_was_judged_under_the_same_policy_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.integrations.langchain.checking.text_checks import TextChecks

    monkeypatch.setattr(TextChecks, "judged", lambda *_: pytest.fail("judged again"))
    own = ChatIGGuardrail(guardrail=obliging_guardrail({"Go.": CALM}, RULES))
    assert agent(own).invoke(ask(), THREAD)["messages"][-1].text == CALM


@pytest.mark.parametrize("settings", [{"strategy": "none"}, {}])
def test_an_answer_of_ours_under_another_policy_or_none_is_judged(settings: dict[str, Any]) -> None:
    lax = compiled(POLITE.replace("budget: 0.0", "budget: 1.0"))
    own = ChatIGGuardrail(guardrail=obliging_guardrail({"Go.": RUDE}, lax), **settings)
    assert own.invoke("Go.").text == RUDE
    assert agent(own).invoke(ask(), THREAD)["messages"][-1].text == REFUSAL
