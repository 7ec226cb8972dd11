"""`POST /v1/chat/completions`: its body, its whole answers, and the chunks of its streams.

A refusal is told in both ways that clients know, the field `refusal` and the finish reason `content_filter`, since
there are clients that see but one of them. `refusal_style` suits those that see neither.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args
from uuid import uuid4

from ig_guardrail.integrations.openai_server.answering import Question
from ig_guardrail.integrations.openai_server.events import Call, End, RefusalStyle, ThoughtDelta, Told, Words
from ig_guardrail.integrations.openai_server.faults import Fault, Refused, unfit
from ig_guardrail.integrations.openai_server.wires.chat_messages import passed_over, read_messages
from ig_guardrail.integrations.openai_server.wires.fields import (
    OURS,
    Fields,
    check_kinds,
    effort_options,
    form_names,
    own_options,
    take_names,
    text_of,
    truth_of,
    unread,
)
from ig_guardrail.integrations.openai_server.wires.tools import (
    allowed_tools,
    demand_functions,
    unread_of_tools,
)
from ig_guardrail.types import EFFORTS

CHOICES = "it is 'none', 'auto', 'required', names a `function`, or is of type 'allowed_tools'"
SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "n",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
)
FIELDS = Fields(
    honoured=(
        *("model", "messages", "stream", "stream_options", "reasoning_effort", "modalities", OURS),
        *SAMPLING,
    ),
    ignored=(
        *("metadata", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("safety_identifier", "service_tier", "store", "user", "verbosity"),
    ),
    refused={
        "audio": "answers are text",
        "chat_template_kwargs": "say `reasoning_effort`, which `none` turns off, or `reasoning` in `ig_guardrail`",
        "functions": "offer `tools` instead",
        "function_call": "choose by `tool_choice` instead",
        "web_search_options": "nothing is searched on the web",
        "moderation": "ask `/v1/moderations`; what was charged stands in `ig_guardrail`",
    },
)


@dataclass(frozen=True, slots=True)
class ChatAsked:
    """A body that was read.

    usage    whether a stream ends with a chunk of the tokens used
    style    how a refusal is told; None leaves it to the server
    chosen   whether the choice of tools names the one that is called
    """

    question: Question
    stream: bool
    usage: bool
    style: RefusalStyle | None
    chosen: bool
    ignored: tuple[str, ...]


def read_chat(body: Mapping[str, Any]) -> ChatAsked:
    """What a body asks. Raises Refused, naming the field, for what cannot be served as asked."""
    given, ignored = FIELDS.read(body)
    if given.get("modalities", ["text"]) != ["text"]:
        raise unfit("answers are text", "modalities", "unsupported_parameter")
    stream, options = truth_of(given, "stream"), given.get("stream_options", {})
    if not isinstance(options, Mapping) or set(options) - {"include_usage", "include_obfuscation"}:
        raise unfit("`include_usage` is the option there is", "stream_options")
    if options and not stream:
        raise unfit("it is an option of streams", "stream_options")
    check_kinds(given)
    own, asked = own_options(given, ("refusal_style",)), {name: given[name] for name in SAMPLING if name in given}
    style = own.pop("refusal_style", None)
    if style not in (None, *get_args(RefusalStyle)):
        raise unfit(f"it is one of {', '.join(get_args(RefusalStyle))}", f"{OURS}.refusal_style")
    effort = given.get("reasoning_effort")
    if effort not in (None, "none", *EFFORTS):
        raise unfit(f"it is one of none, {', '.join(EFFORTS)}", "reasoning_effort")
    asked |= effort_options(effort)
    tools = asked.get("tools", [])
    demand_functions(tools)
    _demand_form(asked.get("response_format"))
    if not isinstance(asked.get("logit_bias", {}), Mapping):
        raise unfit("it is no object of numbers by token id", "logit_bias")
    _demand_choice(asked.get("tool_choice"))
    asked |= _chosen(asked)
    messages = read_messages(given.get("messages"))
    named = take_names(own)
    question = Question(text_of(given, "model"), messages, {**asked, **own}, **named)
    passed = [*ignored]
    passed += ["stream_options.include_obfuscation"] if options.get("include_obfuscation") else []
    passed += [*unread_of_tools(tools), *_unread_of_form(given.get("response_format"))]
    passed += _unread_of_choice(given.get("tool_choice"))
    return ChatAsked(
        question,
        stream,
        truth_of(options, "include_usage", at="stream_options."),
        style,
        isinstance(asked.get("tool_choice"), Mapping),
        (*passed, *passed_over(given["messages"])),
    )


def names_for(question: Question) -> dict[str, str]:
    """What this wire calls the options of a question, in errors: as the caller did."""
    options = question.options
    newer = "max_completion_tokens" in options and "max_tokens" not in options
    renamed = {"max_tokens": "max_completion_tokens"} if newer else {}
    return {**form_names(options, "tools", "response_format"), **renamed}


def _demand_form(given: object) -> None:
    """Raises Refused for what asks for no form that there is."""
    if given is None:
        return
    kind = given.get("type") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or kind not in ("text", "json_object", "json_schema"):
        raise unfit("its `type` is 'text', 'json_object' or 'json_schema'", "response_format")
    if kind != "json_schema" and given.get("schema") is not None:
        raise unfit("a schema is asked for by the type 'json_schema'", "response_format.schema")
    inner = given.get("json_schema")
    if kind == "json_schema" and not (isinstance(inner, Mapping) and isinstance(inner.get("schema"), Mapping)):
        raise unfit("it has a `schema`, which is an object", "response_format.json_schema")


def _unread_of_form(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    inner = unread(given.get("json_schema") or {}, ("name", "schema", "strict"), "response_format.json_schema")
    return (*unread(given, ("type", "json_schema"), "response_format"), *inner)


def _demand_choice(given: object) -> None:
    """Raises Refused for what chooses among tools in no way that there is."""
    if given is None or given is True or isinstance(given, str):
        return
    named = given.get("function", {}) if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(named, Mapping):
        raise unfit(CHOICES, "tool_choice")
    if given.get("type") != "allowed_tools" and not isinstance(named.get("name"), str):
        raise unfit(CHOICES, "tool_choice")


def _unread_of_choice(given: Any) -> tuple[str, ...]:
    if not isinstance(given, Mapping):
        return ()
    inner = unread(given.get("allowed_tools") or {}, ("mode", "tools"), "tool_choice.allowed_tools")
    named = unread(given.get("function") or {}, ("name",), "tool_choice.function")
    return (*unread(given, ("type", "function", "allowed_tools"), "tool_choice"), *inner, *named)


def _chosen(asked: Mapping[str, Any]) -> dict[str, Any]:
    """`allowed_tools`, by leaving out those that are not allowed."""
    choice = asked.get("tool_choice")
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return {}
    allowed = choice.get("allowed_tools")
    if not isinstance(allowed, Mapping):
        raise unfit("it has a mode, 'auto' or 'required', and a list of tools", "tool_choice.allowed_tools")
    return allowed_tools(asked.get("tools", ()), allowed, "tool_choice.allowed_tools")


@dataclass(slots=True)
class ChatWriter:
    """Writes the events of one question's answers as chunks, and the whole.

    answers      how many there are
    chosen       whether the choice of tools names the one that is called; then no call is the reason for the end
    fingerprint  of weights and policy
    """

    model: str
    style: RefusalStyle = "filter"
    usage: bool = False
    answers: int = 1
    chosen: bool = False
    fingerprint: str = ""
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    _begun: set[int] = field(default_factory=set)
    _ends: dict[int, End] = field(default_factory=dict)

    def chunks(self, told: Told) -> Iterator[dict[str, Any]]:
        """The chunks of one event. Raises Refused where a refusal is told by a status and nothing was written."""
        choice, event = told.choice, told.event
        if isinstance(event, End):
            self._demand(event, written=choice in self._begun)
        if choice not in self._begun:
            self._begun.add(choice)
            yield self._chunk(choice, {"role": "assistant", "content": "", "refusal": None})
        if not isinstance(event, End):
            yield self._chunk(choice, _delta(event), logprobs=() if isinstance(event, ThoughtDelta) else event.logprobs)
            return
        self._ends[choice] = event
        if event.refusal and self.style == "text":
            yield self._chunk(choice, {"content": event.said})
        elif event.refusal:
            yield self._chunk(choice, {"refusal": event.said or event.refusal})
        last = self._chunk(choice, {}, self._finish(event), event.logprobs)
        yield {**last, OURS: event.receipt}

    def conclusion(self) -> Iterator[dict[str, Any]]:
        """What follows all choices."""
        if self.usage:
            yield {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_of(self._ends)}

    def whole(self, told: Sequence[Told]) -> dict[str, Any]:
        """All answers in one body. Raises Refused where a refusal is told by a status."""
        by_choice: dict[int, list[Any]] = {}
        for one in told:
            by_choice.setdefault(one.choice, []).append(one.event)
        self._ends = {choice: events[-1] for choice, events in by_choice.items()}
        for events in by_choice.values():
            self._demand(events[-1], written=len(events) > 1)
        choices = [self._choice(choice, events) for choice, events in sorted(by_choice.items())]
        receipts = [self._ends[choice].receipt for choice in sorted(self._ends)]
        body = {**self._head("chat.completion"), "choices": choices, "usage": usage_of(self._ends)}
        return {**body, OURS: receipts[0] if len(receipts) == 1 else {"choices": receipts}}

    def _demand(self, end: End, written: bool) -> None:
        """Raises Refused where a status tells of a refusal, and nothing else was written."""
        if end.outcome == "refused" and self.style == "http400" and self.answers == 1 and not written:
            raise Refused(Fault(400, "invalid_request_error", "content_filter", end.refusal, "messages"))

    def _choice(self, choice: int, events: Sequence[Any]) -> dict[str, Any]:
        end: End = events[-1]
        words = "".join(event.text for event in events if isinstance(event, Words))
        thought = "".join(event.text for event in events if isinstance(event, ThoughtDelta))
        calls = [_call(event) for event in events if isinstance(event, Call)]
        refusal = end.said or end.refusal
        if self.style == "text":
            words, refusal = words + end.said, ""
        message = {
            "role": "assistant",
            "content": words or None if calls or end.refusal else words,
            "refusal": refusal or None,
            "annotations": [],
            **({"tool_calls": calls} if calls else {}),
            **({"reasoning_content": thought} if thought else {}),
        }
        told = [one for event in events if not isinstance(event, ThoughtDelta) for one in event.logprobs]
        return {"index": choice, "message": message, "logprobs": _logprobs(told), "finish_reason": self._finish(end)}

    def _finish(self, end: End) -> str:
        if end.finish == "content_filter":
            return "stop" if self.style == "openai" else "content_filter"
        if end.cut:
            return "length"
        return "stop" if end.finish == "tool_calls" and self.chosen else end.finish

    def _chunk(
        self, choice: int, delta: Mapping[str, Any], finish: str | None = None, logprobs: Sequence[Any] = ()
    ) -> dict[str, Any]:
        told = {"index": choice, "delta": dict(delta), "logprobs": _logprobs(logprobs), "finish_reason": finish}
        later = {"usage": None} if self.usage else {}
        return {**self._head("chat.completion.chunk"), "choices": [told], **later}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def usage_of(ends: Mapping[int, End]) -> dict[str, Any]:
    """Tokens of all answers to one question; the prompt is read once."""
    told = [end.usage for end in ends.values()]
    read = max((one["input_tokens"] for one in told), default=0)
    written = sum(one["output_tokens"] for one in told)
    cached = max((end.cached for end in ends.values()), default=0)
    thought = sum(end.thought for end in ends.values())
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _delta(event: ThoughtDelta | Words | Call) -> dict[str, Any]:
    if isinstance(event, ThoughtDelta):
        return {"reasoning_content": event.text}
    if isinstance(event, Words):
        return {"content": event.text}
    return {"tool_calls": [{"index": event.index, **_call(event)}]}


def _call(event: Call) -> dict[str, Any]:
    return {"id": event.id, "type": "function", "function": {"name": event.name, "arguments": event.arguments}}


def _logprobs(told: Sequence[Any]) -> dict[str, Any] | None:
    return {"content": list(told), "refusal": None} if told else None
