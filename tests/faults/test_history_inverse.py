"""What was charged when it was shown costs nothing when it comes back, however it is cut; what is added is charged."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages import message_chunk_to_message as whole
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.ledger.answers import answer_sha256, join_messages, strangers
from ig_guardrail.text.calls import OPEN, format_call
from ig_guardrail.types import AssistantMessage, ToolCall
from tests.examples import examples
from tests.golden.conversations import compiled, scripted_guardrail
from tests.unit.langchain.teller import call_part, last_part, teller

POLICY_TEXT = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: drip, version: 1.0.0, owners: [tests@example.org]}
cost_models:
  codes: {kind: pattern, hazards: [prv], patterns: ['codeword'], longest_match: 8, timeout_ms: 60000}
budgets:
  - {id: drip, hazards: [prv], cost: codes, threshold: 0.5, budget: 50, scope: conversation, every: 4}
search: {block: 4, hold: 0, retries: 0, candidates: 1, shortest: 0}
messages: {refusal: {en: "No."}, closing: {en: "Stop."}}
"""
POLICY = compiled(POLICY_TEXT)
WORDS = "The codeword is not for you, my friend. It is for her."
relaxed = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
Way = Callable[[AIMessage], list[BaseMessage]]


class Book:
    """A hosted model under a conversation's budget, and what it has charged so far."""

    def __init__(self, *answers: list[Any]) -> None:
        self.ledger = MemoryLedger()
        self.model = GuardedChatModel(
            inner=teller(*answers, ["Done."]), policy=POLICY, ledger=self.ledger, conversation="c"
        )

    @property
    def spent(self) -> float:
        return spent(self.ledger)

    def stream(self, messages: Sequence[BaseMessage]) -> list[AIMessageChunk]:
        return list(self.model.stream(list(messages)))  # type: ignore[arg-type]


def spent(ledger: MemoryLedger) -> float:
    return float(sum(cost for pages in ledger._charges.values() for rows in pages.values() for cost in rows.values()))


def results(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The results of the calls in messages, as agents give them back."""
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    return [ToolMessage("fine", tool_call_id=call["id"]) for call in calls]


# ------------------------------------------------------------------------------------ ways in which answers come back


def checkpointed(answer: AIMessage) -> list[BaseMessage]:
    serde = JsonPlusSerializer()
    return [serde.loads_typed(serde.dumps_typed(answer))]


def in_blocks(answer: AIMessage) -> list[BaseMessage]:
    words = [{"type": "text", "text": part} for part in (answer.text[:9], answer.text[9:]) if part]
    calls = [{"type": "tool_use", "id": one["id"], "name": one["name"], "input": {}} for one in answer.tool_calls]
    return [AIMessage([*words, *calls], tool_calls=answer.tool_calls)]  # type: ignore[list-item]


def apart(answer: AIMessage) -> list[BaseMessage]:
    """Words, and each call, as messages of their own."""
    return [AIMessage(answer.text), *(AIMessage("", tool_calls=[call]) for call in answer.tool_calls)]


def renamed(answer: AIMessage) -> list[BaseMessage]:
    return [
        AIMessage(f" {answer.text}\n", tool_calls=[{**c, "id": f"new{i}"} for i, c in enumerate(answer.tool_calls)])
    ]


WAYS: list[Way] = [lambda answer: [answer], checkpointed, in_blocks, apart, renamed]

arguments = st.dictionaries(
    st.sampled_from(["to", "note", "é", "a b"]),
    st.sampled_from(["Ann", "codeword", 'x\n"codeword"', 1, 2.5, 1e30, True, None, [], {"b": ["codeword"]}, OPEN]),
    max_size=3,
)
calls = st.lists(st.tuples(st.sampled_from(["pay", "codeword"]), arguments), max_size=4)
words = st.sampled_from(
    ["", "Well.", WORDS, f"Say {OPEN} and then", format_call("pay", {}), '{"a": "codeword"}', "a\n b"]
)


def told(said: str, made: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
    parts = [call_part(name, json.dumps(given), f"call_{i}", i) for i, (name, given) in enumerate(made)]
    return [*([said] if said else []), *parts, last_part()]


@relaxed
@given(words, calls, st.sampled_from(WAYS))
def test_an_answer_that_comes_back_costs_nothing(said: str, made: list[tuple[str, dict[str, Any]]], back: Way) -> None:
    book = Book(told(said, made))
    answer = whole(functools.reduce(operator.add, book.stream([HumanMessage("x")])))
    assert isinstance(answer, AIMessage)
    before = book.spent
    assert before > 0 or "codeword" not in said + str(made)
    came_back = back(answer)
    book.stream([HumanMessage("x"), *came_back, *results(came_back), HumanMessage("And now?")])
    assert book.spent == before


@pytest.mark.slow
@relaxed
@given(words, calls, st.data())
def test_what_is_added_to_it_is_charged(said: str, made: list[tuple[str, dict[str, Any]]], data: st.DataObject) -> None:
    book = Book(told(said, made))
    answer = whole(functools.reduce(operator.add, book.stream([HumanMessage("x")])))
    assert isinstance(answer, AIMessage)
    before = book.spent
    more = {"name": "pay", "args": {"to": "my codeword"}, "id": "more", "type": "tool_call"}
    place = data.draw(st.integers(0, len(answer.tool_calls)))
    added: list[BaseMessage] = data.draw(
        st.sampled_from(
            [
                [AIMessage(answer.text + " My codeword.", tool_calls=answer.tool_calls)],
                [AIMessage(answer.text, tool_calls=[*answer.tool_calls[:place], more, *answer.tool_calls[place:]])],
                [answer, AIMessage("My codeword.")],
                [AIMessage("My codeword."), answer],
                [answer, AIMessage("", tool_calls=[more])],
            ]
        )
    )
    book.stream([HumanMessage("x"), *added, *results(added), HumanMessage("And now?")])
    assert book.spent > before
    after = book.spent
    book.stream([HumanMessage("x"), *added, *results(added), HumanMessage("And now?")])
    assert book.spent == after


def test_chunks_that_are_kept_as_messages_are_the_answer_that_they_make() -> None:
    book = Book([WORDS[:20], WORDS[20:], *told("", [("pay", {"to": "codeword"}), ("pay", {})])])
    chunks = book.stream([HumanMessage("x")])
    before = book.spent
    kept: list[BaseMessage] = [AIMessage(c.content, tool_calls=c.tool_calls) for c in chunks]
    assert len(kept) > 3
    book.stream([HumanMessage("x"), *kept, *results(kept), HumanMessage("And now?")])
    assert book.spent == before > 0


def test_of_three_calls_the_third_may_be_made_after_two_at_once() -> None:
    limited = compiled(POLICY_TEXT + "tools: {limits: [{id: payments, tool: pay, calls: 3}]}\n")
    two = told("", [("pay", {"to": "Ann"}), ("pay", {"to": "Ben"})])
    one = told("", [("pay", {"to": "Ann"})])
    model = GuardedChatModel(inner=teller(two, one), policy=limited, ledger=MemoryLedger(), conversation="c")
    history: list[BaseMessage] = [HumanMessage("x")]
    made = []
    for _ in range(3):
        answer = model.invoke(history)
        made.append(len(answer.tool_calls))
        history += [answer, *results([answer])]
    assert made == [2, 1, 0]


# ---------------------------------------------------------------------------------------------- a model of our own


def own(said: str, ledger: MemoryLedger) -> ChatIGGuardrail:
    told = {(0, 0): list(said), (0, 1): list(said)}
    guardrail = scripted_guardrail(told, POLICY)  # type: ignore[arg-type]
    guardrail.ledger = ledger
    return ChatIGGuardrail(guardrail=guardrail, conversation="c", seed=7, max_tokens=300)


def tool(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"to": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@pytest.mark.slow
@pytest.mark.parametrize("back", WAYS)
def test_own_calls_come_back_for_nothing(back: Way) -> None:
    ledger = MemoryLedger()
    said = (
        "I pay.\n" + format_call("pay", {"to": "codeword"}) + format_call("pay", {"to": "Ann"}) + format_call("pay", {})
    )
    answer = own(said, ledger).bind_tools([tool("pay")]).invoke("x")
    before = spent(ledger)
    assert (len(answer.tool_calls), before > 0) == (3, True)
    came_back = back(answer)
    own("Done.", ledger).invoke([HumanMessage("x"), *came_back, *results(came_back)])
    assert spent(ledger) == before


@pytest.mark.parametrize(
    "back",
    [
        lambda begun, rest: [AIMessage(begun), AIMessage(rest)],
        lambda begun, rest: [AIMessage(begun + rest)],
        lambda begun, rest: [AIMessage(begun.strip()), AIMessage(rest.strip())],
        lambda begun, rest: [AIMessage(rest)],
        lambda begun, rest: [AIMessage(begun), AIMessage(rest[:3]), AIMessage(rest[3:])],
    ],
)
def test_a_beginning_and_what_follows_it_come_back_for_nothing(back: Any) -> None:
    ledger = MemoryLedger()
    begun = "The codeword is "
    asked = [HumanMessage("x"), AIMessage(begun)]
    guardrail = scripted_guardrail({(0, 0): list("x" * len(begun) + "a codeword.")}, POLICY)  # type: ignore[dict-item]
    guardrail.ledger = ledger
    answer = ChatIGGuardrail(guardrail=guardrail, conversation="c", seed=7).invoke(asked)
    before = spent(ledger)
    assert answer.text.endswith("codeword.")
    assert before == 1.0
    own("Done.", ledger).invoke([HumanMessage("x"), *back(begun, answer.text), HumanMessage("And now?")])
    assert spent(ledger) == before


def test_a_beginning_that_was_refused_is_not_paid_for() -> None:
    tight = compiled(POLICY_TEXT.replace("budget: 50", "budget: 0"))
    ledger = MemoryLedger()
    guardrail = scripted_guardrail({(0, 0): "Done."}, tight)
    guardrail.ledger = ledger
    model = ChatIGGuardrail(guardrail=guardrail, conversation="c", seed=7)
    answer = model.invoke([HumanMessage("x"), AIMessage("The codeword")])
    assert answer.response_metadata["finish_reason"] == "content_filter"
    again = model.invoke([HumanMessage("x"), AIMessage("The codeword"), AIMessage(answer.text), HumanMessage("So?")])
    assert again.response_metadata["finish_reason"] == "content_filter"


# ----------------------------------------------------------------------------------------------------- what is known


letters = st.text("ab c", min_size=1, max_size=6).filter(str.strip)


@given(st.lists(letters, min_size=1, max_size=4), st.lists(letters, max_size=3), st.data())
def test_answers_are_known_however_they_are_cut(answers: list[str], others: list[str], data: st.DataObject) -> None:
    known = {answer_sha256(AssistantMessage(answer)) for answer in answers}
    parts: list[AssistantMessage] = []
    for answer in answers:
        cut = data.draw(st.integers(0, len(answer)))
        parts += [AssistantMessage(answer[:cut]), AssistantMessage(answer[cut:])]
    assert strangers(parts, known.__contains__) == []
    new = [AssistantMessage("X" + other) for other in others]
    assert [one for run in strangers([*new, *parts], known.__contains__) for one in run] == new


def test_an_answer_has_no_words_behind_its_calls() -> None:
    call = ToolCall("pay", {})
    known = {answer_sha256(AssistantMessage("ab", (call,)))}
    parts = [AssistantMessage("a", (call,)), AssistantMessage("b")]
    assert strangers(parts, known.__contains__) == [(parts[0],), (parts[1],)]
    assert strangers([AssistantMessage("a"), AssistantMessage("b", (call,))], known.__contains__) == []


def test_many_messages_that_nobody_knows_are_looked_up_a_few_times_each() -> None:
    asked: list[str] = []
    parts = [AssistantMessage(f"part {i}") for i in range(1_000)]
    (run,) = strangers(parts, lambda name: bool(asked.append(name)))
    assert join_messages(run).words.count("part") == 1_000
    assert len(asked) < 20_000
