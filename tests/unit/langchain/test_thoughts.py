"""Thoughts of models that think first: shown as reasoning blocks, hidden, turned off, judged, limited, given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.tools import tool

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.errors import RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.text.calls import format_call
from tests.golden.conversations import CALM, POLITE, compiled

FREE = ThoughtFormat("<think>", "</think>", key="reasoning_content", off={"enable_thinking": False}, on={})
OPENED = ThoughtFormat("<think>", "</think>", ends="opened", on={})
MIND = "The user asks about the sky, so waves of light matter here, I think."
EFFORTS = replace(FREE, efforts={word: {"reasoning_effort": word} for word in ("low", "high")})
RUDE_MIND = "What a blockhead this user is, but I will be nice to him anyway today."


def written(mind: str, answer: str, shape: ThoughtFormat = FREE) -> str:
    begun = "" if shape.ends == "opened" else "<think>\n"
    return f"{begun}{mind}\n</think>\n\n{answer}"


def rail(
    told: str | Mapping[tuple[int, int], str | Sequence[str]], shape: ThoughtFormat | None = FREE, policy: str = POLITE
) -> Guardrail:
    answers = {(0, 0): told} if isinstance(told, str) else told
    return guard(ScriptedEngine(Continuations(answers, thoughts=shape)), compiled(policy), ledger=MemoryLedger())


def chat(*told: Any, **settings: Any) -> ChatIGGuardrail:
    guardrail = told[0] if isinstance(told[0], Guardrail) else rail(*told)
    return ChatIGGuardrail(guardrail=guardrail, **{"seed": 5, "max_tokens": 64, **settings})


def thought(message: BaseMessage) -> str:
    return "".join(str(block["reasoning"]) for block in message.content_blocks if block["type"] == "reasoning")


def receipt(message: BaseMessage) -> Any:
    return message.response_metadata["ig_guardrail"]


@pytest.mark.parametrize("shape", [FREE, OPENED])
async def test_a_thought_is_a_block_of_its_own_in_all_ways_to_call(shape: ThoughtFormat) -> None:
    model = chat(written(MIND, CALM, shape), shape)
    chunks = list(model.stream("Why?"))
    later = [chunk async for chunk in model.astream("Why?")]
    whole: Any = sum(chunks[1:], chunks[0])
    for message in (model.invoke("Why?"), await model.ainvoke("Why?"), whole, sum(later[1:], later[0])):
        assert (thought(message), str(message.text)) == (MIND, CALM)
        assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
        assert message.additional_kwargs == {"reasoning_content": MIND}
        assert isinstance(message, AIMessage)
        assert message.usage_metadata is not None
        used = message.usage_metadata
        counted = len(written(MIND, "", shape).split())
        assert used["output_token_details"] == {"reasoning": counted}
        assert used["output_tokens"] == receipt(message)["tokens"]["released"] == counted + len(CALM.split())
        assert receipt(message)["reasoning"] == MIND
        assert receipt(message)["text"] == CALM
    thoughts = [i for i, chunk in enumerate(chunks) if thought(chunk)]
    words = [i for i, chunk in enumerate(chunks) if chunk.text]
    assert len(thoughts) > 1
    assert len(words) > 1
    assert max(thoughts) < min(words)
    v1 = chat(written(MIND, CALM, shape), shape, output_version="v1").invoke("Why?")
    assert (thought(v1), v1.text, v1.content) == (MIND, CALM, v1.content_blocks)


def test_protocol_events_carry_thoughts_once() -> None:
    events = list(chat(written(MIND, CALM)).stream_events("Why?", version="v3"))
    deltas = [event["delta"] for event in events if event["event"] == "content-block-delta"]
    assert "".join(one.get("reasoning", "") for one in deltas) == MIND
    assert "".join(one.get("text", "") for one in deltas) == CALM


def test_an_answer_without_a_thought_is_as_ever() -> None:
    message = chat(CALM).invoke("Why?")
    assert message.content == CALM
    assert message.additional_kwargs == {}
    assert message.usage_metadata is not None
    assert "output_token_details" not in message.usage_metadata


@pytest.mark.parametrize("shape", [FREE, OPENED])
def test_a_hidden_thought_is_not_shown_and_still_charged(shape: ThoughtFormat) -> None:
    hidden = chat(written(MIND, CALM, shape), shape, reasoning="hide").invoke("Why?")
    shown = chat(written(MIND, CALM, shape), shape).invoke("Why?", reasoning="show")
    assert (hidden.content, hidden.additional_kwargs, thought(shown)) == (CALM, {}, MIND)
    assert receipt(hidden)["charges"] == receipt(shown)["charges"]
    assert receipt(hidden)["reasoning"] == ""
    assert hidden.usage_metadata == shown.usage_metadata


@pytest.mark.parametrize("shape", [FREE, OPENED])
@pytest.mark.parametrize("reasoning", ["auto", "hide"])
def test_a_thought_over_budget_is_replaced_like_any_draft(shape: ThoughtFormat, reasoning: str) -> None:
    told = {(0, 0): written(RUDE_MIND, CALM, shape), (1, 0): written(MIND, CALM, shape)}
    message = chat(told, shape, reasoning=reasoning).invoke("Why?")
    assert message.text == CALM
    assert "blockhead" not in str(message)
    assert any(one["candidates"] > 1 for one in receipt(message)["blocks"])
    assert chat({(0, 0): told[0, 0]}, shape, reasoning=reasoning).invoke("Why?").response_metadata["finish_reason"] == (
        "content_filter"
    )


def test_a_policy_may_ignore_hidden_thoughts_and_no_shown_ones() -> None:
    lenient = POLITE + "reasoning: ignore\n"
    hidden = chat(written(RUDE_MIND, CALM), FREE, lenient, reasoning="hide").invoke("Why?")
    assert hidden.content == CALM
    assert "blockhead" not in str(hidden)
    shown = chat(written(RUDE_MIND, CALM), FREE, lenient).invoke("Why?")
    assert shown.response_metadata["finish_reason"] == "content_filter"
    assert "blockhead" not in str(shown)
    behind = chat(written(MIND, "You blockhead, you know it."), FREE, lenient, reasoning="hide").invoke("Why?")
    assert "blockhead" not in str(behind)


def test_a_word_is_found_at_the_border_and_none_is_made_of_both_sides() -> None:
    assert "blockhead" not in str(chat(written("I am done with x", "blockhead, you know it.")).invoke("Why?"))
    apart = chat(written("I say block", "head of the queue, that is you, my dear friend.")).invoke("Why?")
    assert apart.text == "head of the queue, that is you, my dear friend."
    assert thought(apart) == "I say block"


def test_turned_off_by_the_templates_switch_or_not_at_all() -> None:
    assert chat(CALM, reasoning="off").invoke("Why?").content == CALM
    with pytest.raises(RequestError, match="no switch"):
        chat(written(MIND, CALM, OPENED), OPENED, reasoning="off").invoke("Why?")
    with pytest.raises(RequestError, match="'auto', 'show', 'hide', 'off'"):
        chat(CALM, reasoning="never")
    with pytest.raises(RequestError, match="0 or more"):
        chat(CALM).invoke("Why?", max_reasoning_tokens=-1)


@pytest.mark.parametrize("shape", [FREE, OPENED])
@pytest.mark.parametrize("reasoning", ["auto", "hide"])
def test_an_answer_cut_in_its_thought_has_no_text(shape: ThoughtFormat, reasoning: str) -> None:
    message = chat(written(MIND, CALM, shape), shape, max_tokens=8, reasoning=reasoning).invoke("Why?")
    assert message.content == ""
    assert message.response_metadata["finish_reason"] == "length"
    assert MIND.startswith(thought(message))
    assert bool(thought(message)) == (reasoning == "auto")
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_token_details"] == {"reasoning": 8}
    assert message.usage_metadata["output_tokens"] == 8


def test_a_limit_ends_a_thought() -> None:
    beginning = ["<think>", "a", " b", " c", *[" d"] * 7]  # the end marker takes the place of c and all d, in bytes
    for block in (1, 4, 16):
        policy = POLITE.replace("block: 4", f"block: {block}")
        model = chat(rail({(0, 0): [*beginning, "\n\n", "So", " it", " is."]}, FREE, policy), max_reasoning_tokens=2)
        message = model.invoke("Why?")
        assert (thought(message), message.text) == ("a b", "So it is.")
        assert receipt(message)["sampling"]["max_reasoning_tokens"] == 2


def test_an_effort_is_told_where_the_template_takes_it() -> None:
    model = chat(written(MIND, CALM), EFFORTS, reasoning_effort="low")
    assert receipt(model.invoke("Why?"))["sampling"]["reasoning_effort"] == "low"
    hidden = model.invoke("Why?", reasoning="hide", reasoning_effort="high")
    assert (hidden.content, receipt(hidden)["sampling"]["reasoning_effort"]) == (CALM, "high")
    assert "reasoning_effort" not in receipt(chat(CALM).invoke("Why?"))["sampling"]
    for said, shape in ((written(MIND, CALM), FREE), (CALM, None)):
        with pytest.raises(RequestError, match="the model's chat template takes no effort 'low'"):
            chat(rail(said, shape), reasoning_effort="low").invoke("Why?")
    with pytest.raises(RequestError, match="use one of low, high"):
        model.invoke("Why?", reasoning_effort="medium")
    for wrong in ({"reasoning_effort": "most"}, {"reasoning_effort": "none"}, {"reasoning": "off"}):
        with pytest.raises(RequestError, match="reasoning_effort is "):
            model.invoke("Why?", **wrong)


@pytest.mark.parametrize("shape", [FREE, OPENED])
@pytest.mark.parametrize("asked", [{}, {"max_reasoning_tokens": 500}])
def test_a_thought_leaves_room_for_the_form_behind_it(shape: ThoughtFormat, asked: dict[str, int]) -> None:
    begun = [] if shape.ends == "opened" else ["<think>"]
    model = chat(rail({(0, 0): [*begun, *[" so"] * 200]}, shape), max_tokens=120, **asked)
    colour = {"title": "Colour", "type": "object", "properties": {"name": {"enum": ["blue"]}}, "required": ["name"]}
    assert model.with_structured_output(colour).invoke("Why?") == {"name": "blue"}
    (call,) = model.bind_tools([be_done], tool_choice="any", parallel_tool_calls=False).invoke("Why?").tool_calls
    assert call["args"] == {}
    assert thought(model.invoke("Why?")).count("so") > 90  # without a form nothing needs room


@tool
def be_done() -> str:
    """Be done."""
    return "yes"


def test_stop_strings_and_calls_do_not_act_in_a_thought() -> None:
    model = chat(written(MIND, CALM))
    stopped = model.invoke("Why?", stop=["waves of"])
    assert thought(stopped) == MIND
    assert stopped.text == "The sky looks blue because the air scatters short "
    call = format_call("look_up", {"word": "sky"})
    mind = f"I could write this.\n{call}"
    message = chat(written(mind, CALM)).bind_tools([look_up]).invoke("Why?")
    assert thought(message) == mind
    assert message.text == CALM
    assert message.tool_calls == []
    message = chat(written(mind, f"Wait.\n{call}")).bind_tools([look_up]).invoke("Why?")
    assert thought(message) == mind
    assert [one["args"] for one in message.tool_calls] == [{"word": "sky"}]
    assert message.response_metadata["finish_reason"] == "tool_calls"


@tool
def look_up(word: str) -> str:
    """Look up a word."""
    return f"{word}: above"


def test_json_is_asked_of_the_answer_alone() -> None:
    schema = {"title": "Colour", "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    model = chat(written("{ no JSON", '{"name": "blue"}', OPENED), OPENED)
    assert model.with_structured_output(schema).invoke("Why?") == {"name": "blue"}
    rude = chat(written(MIND, '{"name": "\\u0062lockhead"}', OPENED), OPENED)
    told = rude.bind(response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}})
    assert "lockhead" not in told.invoke("Why?").text


def test_log_probabilities_are_told_of_the_answer_alone() -> None:
    for reasoning in ("auto", "hide"):
        message = chat(written(MIND, CALM), logprobs=True, reasoning=reasoning).invoke("Why?")
        assert "".join(one["token"] for one in message.response_metadata["logprobs"]["content"]).lstrip() == CALM


SHARED = POLITE.replace("budget: 0.0, every: 4", "budget: 1.0, every: 4, scope: conversation")


@pytest.mark.parametrize("keep", ["all", "no thought", "blocks"])
def test_what_was_received_costs_nothing_when_it_is_sent_back(keep: str) -> None:
    guardrail = rail(written(MIND, CALM), FREE, SHARED)
    model = chat(guardrail)
    first = model.invoke("Why?", conversation="c")
    back = first if keep == "all" else AIMessage(CALM if keep == "no thought" else first.content_blocks)
    assert spent(model.invoke([HumanMessage("Why?"), back, HumanMessage("Go on.")], conversation="c")) == 0.0
    made_up = AIMessage(CALM, additional_kwargs={"reasoning_content": "What a blockhead."})
    answer = model.invoke([HumanMessage("Why?"), made_up, HumanMessage("Go on.")], conversation="c")
    assert spent(answer) == 0.5


def spent(message: BaseMessage) -> float:
    return float(receipt(message)["spend"]["rudeness"]["spent"])


def test_an_agent_thinks_calls_and_answers() -> None:
    first = written("I should look it up.", f"One moment.\n{format_call('look_up', {'word': 'sky'})}")
    agent: Any = create_agent(Alternating(guardrail=rail(first), other=rail(written(MIND, CALM))), [look_up])
    messages = agent.invoke({"messages": [HumanMessage("Why?")]})["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert [thought(message) for message in messages if message.type == "ai"] == ["I should look it up.", MIND]
    assert messages[2].content == "sky: above"
    assert messages[3].text == CALM


class Alternating(ChatIGGuardrail):
    """Answers by another guardrail once a tool has answered."""

    other: Any

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        after = messages[-1].type == "tool"
        model = ChatIGGuardrail(guardrail=self.other) if after else super()
        return model._stream(messages, *args, **kwargs)

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        after = messages[-1].type == "tool"
        model = ChatIGGuardrail(guardrail=self.other) if after else super()
        return model._generate(messages, *args, **kwargs)


def test_pieces_of_a_stream_add_up() -> None:
    chunks = list(chat(written(MIND, CALM)).stream("Why?"))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert "".join(map(thought, chunks)) == MIND
