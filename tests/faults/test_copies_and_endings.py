"""Guarded models are copied, pickled and told apart; how another host ended an answer is told in our words."""

from __future__ import annotations

import copy
import pickle
import threading
from enum import Enum
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import StrOutputParser

from ig_guardrail import (
    AnswerRefused,
    ChatIGGuardrail,
    GuardedChatModel,
    GuardInput,
    GuardrailMiddleware,
    GuardRunnable,
)
from ig_guardrail.errors import GenerationFailed, GuardrailError, RequestError
from ig_guardrail.ledger import MemoryLedger
from tests.golden.conversations import CALM, CONVERSATIONS, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.teller import Teller, teller

REFUSAL = "I would rather not say that."
SHARED = compiled(POLITE.replace("budget: 0.0, every: 4", "budget: 0.6, every: 4, scope: conversation"))


def guarded(*answers: Any, **settings: Any) -> GuardedChatModel:
    return GuardedChatModel(inner=teller(*answers), **{"policy": compiled(), **settings})


@pytest.mark.parametrize("settings", [{}, {"language": "de", "longest": 6, "timeout": 3.0}])
def test_a_guarded_model_is_pickled_with_its_settings(settings: dict[str, Any]) -> None:
    again = pickle.loads(pickle.dumps(guarded(CALM, **settings)))  # noqa: S301  # our own bytes
    assert {name: getattr(again, name) for name in settings} == settings
    assert CALM.startswith(again.invoke("why?").text)
    assert pickle.loads(pickle.dumps(guarded(RUDE))).invoke("hi").text == REFUSAL  # noqa: S301


def test_a_pickled_model_that_has_been_used_begins_with_a_ledger_of_its_own() -> None:
    model = guarded(RUDE.replace("today", "now"), policy=SHARED, conversation="a")
    model.invoke("hi")
    assert pickle.loads(pickle.dumps(model)).invoke("hi").text  # noqa: S301


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda model: model.model_copy(deep=True)])
def test_copies_share_an_open_guardrail(again: Any) -> None:
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}), stop=["looks"])
    copied = again(model)
    assert copied.guardrail is model.guardrail
    assert copied.invoke("why?").text == "The sky "
    chained = again(model.bind(max_tokens=2))
    assert chained.invoke("why?").text == "The sky"


def test_an_open_guardrail_is_not_pickled() -> None:
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}))
    with pytest.raises(RequestError, match=r"cannot be pickled\n.*\n  fix: make the chat model by name"):
        pickle.dumps(model | StrOutputParser())


def kinds(of: type[GuardrailError] = GuardrailError) -> list[type[GuardrailError]]:
    return [of, *(kind for direct in of.__subclasses__() for kind in kinds(direct))]


@pytest.mark.parametrize("kind", kinds())
def test_an_error_is_whole_in_another_process(kind: type[GuardrailError]) -> None:
    error = kind.__new__(kind, "it broke")
    error.__dict__.update(what="it broke", where="there", why="because", fix="mend it")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is kind
    assert str(again) == "there: it broke\n  why: because\n  fix: mend it"


def test_a_failed_request_is_told_in_another_process_with_its_receipt() -> None:
    failing = CONVERSATIONS["failed"]
    with pytest.raises(GenerationFailed) as failed:
        list(failing.guardrail().stream(failing.ask()))
    again = pickle.loads(pickle.dumps(failed.value))  # noqa: S301
    assert (str(again), again.receipt) == (str(failed.value), failed.value.receipt)


class Locked(Teller):
    """Holds what cannot be copied, as clients of hosts do."""

    client: Any = None


def test_copies_share_the_other_model_and_what_was_spent() -> None:
    inner = Locked(answers=teller(CALM).answers, log=teller().log, client=threading.Lock())
    ledger = MemoryLedger()
    model = GuardedChatModel(inner=inner, policy=SHARED, ledger=ledger, conversation="a")
    for other in (copy.deepcopy(model), copy.copy(model), model.model_copy(deep=True)):
        assert other.inner is inner
        assert other.ledger is ledger
        assert other._opened is model._opened
        assert other.invoke("why?").text == CALM


def test_a_copy_may_have_other_settings() -> None:
    model = guarded(RUDE)
    other = copy.deepcopy(model)
    other.language = "de"
    assert (other.invoke("hi").text, model.invoke("hi").text) == ("Das möchte ich nicht sagen.", REFUSAL)


def test_the_other_guards_are_copied_and_pickled_too() -> None:
    for guard in (GuardRunnable(compiled()), GuardInput(compiled()), GuardrailMiddleware(compiled())):
        for again in (copy.deepcopy(guard), pickle.loads(pickle.dumps(guard))):  # noqa: S301  # our own bytes
            if isinstance(again, GuardRunnable):
                assert again.invoke(RUDE) == REFUSAL
            elif isinstance(again, GuardInput):
                with pytest.raises(AnswerRefused):
                    again.invoke("blockhead")
            else:
                agent = create_agent(teller(RUDE), [], middleware=[again])
                assert agent.invoke({"messages": [("user", "hi")]})["messages"][-1].text == REFUSAL  # type: ignore[list-item]


@pytest.mark.parametrize(
    "model", [guarded(CALM), ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}))], ids=["other", "own"]
)
@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_why_a_model_is_not_written_as_json_is_said(model: Any) -> None:
    for written in (dumps(model), dumps(model | StrOutputParser())):
        assert "is not written as JSON: whoever reads it could be handed another policy" in written
        with pytest.raises(NotImplementedError, match="Make the model where it is used"):
            loads(written, allowed_objects="core")


def test_what_is_written_of_a_model_tells_no_more_than_its_name() -> None:
    written = dumps(guarded(RUDE))
    assert "teller" in written.lower()
    assert "blockhead" not in written


class Reason(Enum):
    MAX_TOKENS = 2
    SAFETY = 3


ENDINGS: list[tuple[dict[str, Any], str]] = [
    *(({"finish_reason": word}, "stop") for word in ("stop", "STOP", "tool_calls", "function_call", "COMPLETE", "eos")),
    *(({"finish_reason": word}, "length") for word in ("length", "MAX_TOKENS", "max_tokens", "model_length")),
    *(({"finish_reason": word}, "length") for word in ("max_output_tokens", "FinishReason.MAX_TOKENS", "token_limit")),
    *(({"finish_reason": word}, "content_filter") for word in ("content_filter", "SAFETY", "PROHIBITED_CONTENT")),
    *(({"finish_reason": word}, "content_filter") for word in ("BLOCKLIST", "RECITATION", "SPII", "MODEL_ARMOR")),
    *(({"stop_reason": word}, "stop") for word in ("end_turn", "stop_sequence", "tool_use")),
    *(({"stop_reason": word}, "length") for word in ("max_tokens", "model_context_window_exceeded")),
    ({"stop_reason": "refusal"}, "content_filter"),
    *(({"stopReason": word}, "content_filter") for word in ("content_filtered", "guardrail_intervened")),
    ({"stopReason": "max_tokens"}, "length"),
    ({"stopReason": "end_turn"}, "stop"),
    ({"done_reason": "stop", "done": True}, "stop"),
    ({"done_reason": "length"}, "length"),
    ({"finish_reason": Reason.MAX_TOKENS}, "length"),
    ({"finish_reason": Reason.SAFETY}, "content_filter"),
    ({"status": "completed"}, "stop"),
    ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
    ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
    ({"status": "incomplete", "incomplete_details": None}, "incomplete"),
    ({"prompt_feedback": {"block_reason": 2}, "finish_reason": ""}, "content_filter"),
    ({"prompt_feedback": {"block_reason": 0}, "finish_reason": "STOP"}, "stop"),
    *(({"finish_reason": word}, word) for word in ("error", "abort", "malformed_function_call", "network_error")),
    ({"finish_reason": "OTHER"}, "other"),
    ({}, "stop"),
    ({"finish_reason": None}, "stop"),
    ({"finish_reason": "FINISH_REASON_UNSPECIFIED"}, "stop"),
]


@pytest.mark.parametrize(("told", "ours"), ENDINGS, ids=[repr(told) for told, _ in ENDINGS])
async def test_how_a_host_ended_is_told(told: dict[str, Any], ours: str) -> None:
    last = AIMessageChunk(content="", response_metadata=told)
    answers = [guarded([CALM, last]).invoke("why?"), await guarded([CALM, last]).ainvoke("why?")]
    assert [(one.text, one.response_metadata["finish_reason"]) for one in answers] == [(CALM, ours)] * 2


def test_an_answer_that_failed_at_its_host_is_not_kept() -> None:
    from langchain_core.caches import InMemoryCache

    last = AIMessageChunk(content="", response_metadata={"finish_reason": "error"})
    model = guarded([CALM, last], cache=InMemoryCache())
    model.invoke("why?")
    model.invoke("why?")
    assert isinstance(model.inner, Teller)
    assert len(model.inner.log.calls) == 2
