"""Agents over models of every shape: calls, results, denied calls, histories, as with the notation of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from ig_guardrail.assembly import guard
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.text.calls import format_message
from ig_guardrail.types import AssistantMessage, CallNotation, ToolCall
from tests.conformance.engine.tiny import tiny_weights
from tests.formats.shapes import SHAPES, WITHOUT, chat
from tests.golden.conversations import CALM, POLITE, compiled

RULES = POLITE + 'tools: {deny: ["delete_*"], arguments: [{tool: pay, argument: amount, most: 100}]}\n'
LIMITED = POLITE + "tools: {limits: [{id: payments, tool: pay, calls: 3}]}\n"
PAID, READ = ToolCall("pay", {"amount": 5, "to": "Ann"}), ToolCall("read_file", {"name": "a"})


@tool
def read_file(name: str) -> str:
    """Read a file."""
    return f"{name} is empty"


@tool
def pay(amount: int, to: str) -> str:
    """Pay somebody."""
    return f"{amount} paid to {to}"


@tool
def delete_file(name: str) -> str:
    """Delete a file."""
    raise AssertionError("nothing may be deleted")


TOOLS = [read_file, pay, delete_file]
SAYS: Mapping[str, AssistantMessage] = {
    "Read it.": AssistantMessage("Of course.", (READ,)),
    "Pay and read.": AssistantMessage("", (PAID, READ)),
    "Pay.": AssistantMessage("", (PAID,)),
    "Delete it.": AssistantMessage("", (ToolCall("delete_file", {"name": "a"}),)),
    "Pay a lot.": AssistantMessage("", (ToolCall("pay", {"amount": 500, "to": "Ann"}),)),
    "Be rude to a file.": AssistantMessage("", (ToolCall("read_file", {"name": "you blockhead"}),)),
}


PIECES = dict.fromkeys(
    ['"', ": ", "name", *(text for shape in SHAPES.values() for text in (*shape.special, *shape.added))]
)


def written(said: AssistantMessage, place: TokenPlace) -> str:
    """A message in the notation of the request."""
    text = format_message(said, place.prompt.notation)
    return text if said.words else text[1:]


@dataclass(frozen=True)
class Told:
    """Says to a turn what it is told to say, in the notation of the request; to anything else, calm words."""

    write: Callable[[AssistantMessage, TokenPlace], str] = written
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(PIECES))

    def next_tokens(self, place: TokenPlace) -> Distribution:
        asked = place.prompt.turns[-1]
        said = SAYS.get(asked.text) if asked.role == "user" else None
        text = CALM if said is None else self.write(said, place)
        answer, done = self.vocabulary.ids(text), len(place.prefix)
        on_the_way = done < len(answer) and answer[:done] == place.prefix
        return [(answer[done] if on_the_way else self.vocabulary.end, 1.0)]


def model(shape: str, policy: str = RULES, script: Told | None = None, **settings: Any) -> ChatIGGuardrail:
    engine = ScriptedEngine(script or Told(), tool_format=chat(shape).format)
    rail = guard(engine, compiled(policy), ledger=MemoryLedger())
    return ChatIGGuardrail(guardrail=rail, seed=7, **settings)


def agent(shape: str, **settings: Any) -> Any:
    return create_agent(model(shape, **settings), TOOLS, checkpointer=InMemorySaver())


def ask(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def called(message: Any) -> list[tuple[str, Any]]:
    return [(one["name"], one["args"]) for one in message.tool_calls]


QUICK = ("hermes",)  # the others take their turn where time is given
native_shapes = pytest.mark.parametrize(
    "shape", [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in SHAPES]
)
every_shape = pytest.mark.parametrize(
    "shape", [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in [*SHAPES, *WITHOUT]]
)


@every_shape
def test_an_agent_calls_tools_and_goes_on_from_what_it_kept(shape: str) -> None:
    parallel = shape in WITHOUT or SHAPES[shape].parallel
    running, config = agent(shape), {"configurable": {"thread_id": "t"}}
    _, call, result, answer = running.invoke(ask("Read it."), config)["messages"]
    assert (call.text.strip(), called(call)) == ("Of course.", [("read_file", {"name": "a"})])
    assert (type(result), result.content, answer.content) == (ToolMessage, "a is empty", CALM)
    *_, call, _, answer = running.invoke(ask("Read it."), config)["messages"]
    assert (called(call), answer.content) == ([("read_file", {"name": "a"})], CALM)
    if parallel:
        *_, call, first, second, answer = running.invoke(ask("Pay and read."), config)["messages"]
        assert called(call) == [("pay", {"amount": 5, "to": "Ann"}), ("read_file", {"name": "a"})]
        assert (first.content, second.content, answer.content) == ("5 paid to Ann", "a is empty", CALM)


@every_shape
@pytest.mark.parametrize("asked", ["Delete it.", "Be rude to a file."])
def test_a_call_that_the_policy_denies_is_never_shown(shape: str, asked: str) -> None:
    pieces = [
        one for one, _ in agent(shape).stream(ask(asked), {"configurable": {"thread_id": "t"}}, stream_mode="messages")
    ]
    chunks = [one for one in pieces if isinstance(one, AIMessageChunk)]
    assert not any(chunk.tool_calls or chunk.tool_call_chunks for chunk in chunks)
    assert "".join(chunk.text for chunk in chunks).strip() in ("I would rather not say that.", CALM)


@every_shape
def test_arguments_keep_to_the_rules_at_every_token(shape: str) -> None:
    answer: Any = model(shape).bind_tools(TOOLS).invoke("Pay a lot.")
    assert all(arguments["amount"] <= 100 for _, arguments in called(answer))


@every_shape
def test_streams_show_words_at_once_and_calls_whole(shape: str) -> None:
    chunks = list(model(shape).bind_tools(TOOLS).stream("Read it."))
    assert "".join(chunk.text for chunk in chunks).strip() == "Of course."
    assert [json.loads(one["args"]) for chunk in chunks for one in chunk.tool_call_chunks] == [{"name": "a"}]
    assert chunks[-1].response_metadata["finish_reason"] == "tool_calls"


@every_shape
def test_a_call_that_is_cut_off_is_an_invalid_one(shape: str) -> None:
    text = format_message(SAYS["Read it."], CallNotation(chat(shape).format))
    begun = len(Told().vocabulary.ids(text[: text.index("read_file") + len("read_file") + 3]))
    answer: Any = model(shape, max_tokens=begun).bind_tools(TOOLS).invoke("Read it.")
    assert (called(answer), answer.text.strip()) == ([], "Of course.")
    assert [one["name"] for one in answer.invalid_tool_calls] == ["read_file"]
    assert answer.response_metadata["finish_reason"] == "length"


@every_shape
def test_a_call_that_comes_back_costs_nothing(shape: str) -> None:
    limited = model(shape, LIMITED)
    asked = "Pay and read." if shape in WITHOUT or SHAPES[shape].parallel else "Pay."
    bound, told, config = limited.bind_tools(TOOLS), [HumanMessage(asked)], {"configurable": {"thread_id": "t"}}
    first: Any = bound.invoke(told, config)
    results = [ToolMessage("done", tool_call_id=one["id"]) for one in first.tool_calls]
    second: Any = bound.invoke([*told, first, *results], config)
    assert (called(first)[0], second.text) == (("pay", {"amount": 5, "to": "Ann"}), CALM)
    spent = [one.response_metadata["ig_guardrail"]["spend"]["payments"]["spent"] for one in (first, second)]
    assert spent == [1.0, 1.0]


@native_shapes
@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```"])
def test_bare_objects_are_calls_and_are_judged(shape: str, fence: str) -> None:
    def bare(said: AssistantMessage, place: TokenPlace) -> str:
        (call,) = said.calls
        return fence.format(json.dumps({"name": call.name, "arguments": dict(call.arguments)}))

    script = Told(bare)
    assert called(model(shape, script=script).bind_tools(TOOLS).invoke("Read it.")) == [("read_file", {"name": "a"})]
    for asked in ("Delete it.", "Be rude to a file."):
        answer: Any = model(shape, script=script).bind_tools(TOOLS).invoke(asked)
        assert (called(answer), "blockhead" in answer.text) == ([], False)


@pytest.mark.slow
@native_shapes
def test_any_model_is_made_to_write_its_own_format(shape: str) -> None:
    tokenizer = SHAPES[shape].tokenizer()
    made = tiny_weights(context=2048, vocab_size=len(tokenizer))
    engine = TransformersEngine(Weights("tiny", "0" * 64, made.model, tokenizer))
    chosen = ChatIGGuardrail(guardrail=guard(engine, compiled(POLITE)), seed=3, max_tokens=200)
    bound = chosen.bind_tools([turn, lift], tool_choice="any", parallel_tool_calls=False)
    earlier = AIMessage("", tool_calls=[{"name": "turn", "args": {"to": "left"}, "id": "x"}])
    message: Any = bound.invoke([HumanMessage("Go."), earlier, ToolMessage("done", tool_call_id="x")])
    ((name, arguments),) = called(message)
    {"turn": turn, "lift": lift}[name].invoke(arguments)
    engine.shutdown()


@tool
def turn(to: Literal["left", "right"], slow: bool = False) -> str:
    """Turn."""
    return to


@tool
def lift(by: Literal[1, 5]) -> str:
    """Lift."""
    return str(by)
