"""A response, written event by event: the one writer of streams and of whole responses.

outcome     status       output
completed   completed    thought, words, calls
            incomplete   the same, with `max_output_tokens`; a call that was cut off is not shown
refused     completed    a message with a `refusal` part, and nothing else
ended       incomplete   the safe words and a `refusal` part in one message, with `content_filter`
failed      failed       where a stream had begun: events `error` and `response.failed`; else a status of HTTP
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import uuid4

from ig_guardrail.integrations.openai_server.events import Call, End, Event, ThoughtDelta, Words
from ig_guardrail.integrations.openai_server.faults import Fault
from ig_guardrail.integrations.openai_server.wires.fields import OURS

WireObject: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class ResponseWriter:
    """Writes the events of one answer.

    told    fields of the response that say what was asked
    summed  whether thoughts are told as summaries
    """

    model: str
    told: Mapping[str, Any]
    summed: bool = False
    id: str = field(default_factory=lambda: f"resp_{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    output: list[WireObject] = field(default_factory=list)
    _number: int = 0
    _open: bool = False

    def begin(self) -> Iterator[WireObject]:
        """What is told before the first event; nothing where it was told."""
        if not self._number:
            yield self._event("response.created", response=self.response("in_progress"))
            yield self._event("response.in_progress", response=self.response("in_progress"))

    def events(self, event: Event) -> Iterator[WireObject]:
        """What is told of one event; the last of an answer ends the response."""
        yield from self.begin()
        if isinstance(event, ThoughtDelta):
            yield from self._grow("reasoning", "summary_text" if self.summed else "reasoning_text", event.text)
        elif isinstance(event, Words):
            yield from self._grow("message", "output_text", event.text, event.logprobs)
        elif isinstance(event, Call):
            yield from self._call(event)
        else:
            yield from self._end(event)

    def failure(self, fault: Fault, status: str = "failed") -> Iterator[WireObject]:
        """The events of a fault in mid-stream. status: of the response"""
        error = fault.body["error"]
        flat = {"code": fault.code, "message": fault.message, "param": fault.param}  # OpenAI's form, and the standard's
        yield self._event("error", **flat, error=error)
        failed = {**self.response(status), "error": {"code": fault.kind, "message": fault.message}}
        yield self._event("response.failed", response=failed)

    def response(self, status: str, end: End | None = None) -> WireObject:
        """The response as it stands."""
        reason = None if end is None else _cut_short(end)
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": int(time.time()) if status == "completed" else None,
            "status": status,
            "model": self.model,
            "output": list(self.output),
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "usage": None if end is None else _usage(end),
            "background": False,
            "max_tool_calls": None,
            "prompt_cache_key": None,
            "safety_identifier": None,
            "service_tier": "default",
            "truncation": "disabled",
            **self.told,
            **({} if end is None else {OURS: end.receipt}),
        }

    def _end(self, end: End) -> Iterator[WireObject]:
        reason = _cut_short(end)
        spoken = self._open and self.output[-1]["type"] == "message"
        if spoken and end.logprobs:
            self._parts("output_text")[-1]["logprobs"].extend(end.logprobs)
        if end.refusal:
            yield from self._grow("message", "refusal", (spoken and end.said) or end.refusal)
        elif not self.output:
            yield from self._grow("message", "output_text", "")
        yield from self._close("incomplete" if reason else "completed")
        status = "incomplete" if reason else "completed"
        yield self._event(f"response.{status}", response=self.response(status, end))

    def _grow(
        self, kind: str, part: str, text: str, logprobs: Sequence[Mapping[str, Any]] = ()
    ) -> Iterator[WireObject]:
        """More text of a part; what is open of another kind is closed before."""
        if not (self._open and self.output[-1]["type"] == kind):
            yield from self._close("completed")
            yield from self._add(_ITEMS[kind](f"{_PREFIX[kind]}_{uuid4().hex}"))
        parts = self._parts(part)
        if not parts or parts[-1]["type"] != part:
            yield from self._close_part()
            parts.append(_PARTS[part]())
            yield self._of_part(_NAMES[part].added, part=_PARTS[part]())
        parts[-1][_NAMES[part].field] += text
        if text:
            told: WireObject = {"logprobs": list(logprobs)} if part == "output_text" else {}
            parts[-1].get("logprobs", []).extend(logprobs)
            yield self._of_part(f"{_NAMES[part].stem}.delta", delta=text, **told)

    def _call(self, call: Call) -> Iterator[WireObject]:
        yield from self._close("completed")
        item = {"type": "function_call", "id": f"fc_{uuid4().hex}", "call_id": call.id, "name": call.name}
        yield from self._add({**item, "arguments": "", "status": "in_progress"})
        arguments, whole = "response.function_call_arguments", {"arguments": call.arguments, "name": call.name}
        yield self._of_item(f"{arguments}.delta", delta=call.arguments)
        yield self._of_item(f"{arguments}.done", **whole)
        self.output[-1] |= whole
        yield from self._close("completed")

    def _add(self, item: WireObject) -> Iterator[WireObject]:
        self.output.append(item)
        self._open = True
        copied = {key: list(value) if isinstance(value, list) else value for key, value in item.items()}
        yield self._event("response.output_item.added", output_index=len(self.output) - 1, item=copied)

    def _close(self, status: str) -> Iterator[WireObject]:
        if not self._open:
            return
        yield from self._close_part()
        self._open = False
        self.output[-1]["status"] = status
        yield self._event("response.output_item.done", output_index=len(self.output) - 1, item=self.output[-1])

    def _close_part(self) -> Iterator[WireObject]:
        item = self.output[-1]
        parts = [] if item["type"] == "function_call" else item["summary" if self._sums(item) else "content"]
        if not parts:
            return
        part, names = parts[-1], _NAMES[parts[-1]["type"]]
        yield self._of_part(
            f"{names.stem}.done", **{key: part[key] for key in (names.field, "logprobs") if key in part}
        )
        yield self._of_part(names.done, part=dict(part))

    def _sums(self, item: WireObject) -> bool:
        return self.summed and item["type"] == "reasoning"

    def _parts(self, part: str) -> list[WireObject]:
        parts: list[WireObject] = self.output[-1]["summary" if part == "summary_text" else "content"]
        return parts

    def _of_part(self, kind: str, **more: Any) -> WireObject:
        item = self.output[-1]
        index = "summary_index" if self._sums(item) else "content_index"
        return self._of_item(kind, **{index: len(item["summary" if self._sums(item) else "content"]) - 1}, **more)

    def _of_item(self, kind: str, **more: Any) -> WireObject:
        return self._event(kind, item_id=self.output[-1]["id"], output_index=len(self.output) - 1, **more)

    def _event(self, kind: str, **more: Any) -> WireObject:
        self._number += 1
        return {"type": kind, "sequence_number": self._number - 1, **more}


@dataclass(frozen=True, slots=True)
class _Names:
    """Of the events of a part. stem: of those of its text, which stands in `field`"""

    stem: str
    field: str = "text"
    added: str = "response.content_part.added"
    done: str = "response.content_part.done"


_NAMES: Mapping[str, _Names] = {
    "output_text": _Names("response.output_text"),
    "refusal": _Names("response.refusal", "refusal"),
    "reasoning_text": _Names("response.reasoning_text"),
    "summary_text": _Names(
        "response.reasoning_summary_text",
        added="response.reasoning_summary_part.added",
        done="response.reasoning_summary_part.done",
    ),
}
_PREFIX = {"message": "msg", "reasoning": "rs"}
_ITEMS: Mapping[str, Any] = {
    "message": lambda name: {
        "type": "message",
        "id": name,
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    },
    "reasoning": lambda name: {"type": "reasoning", "id": name, "status": "in_progress", "summary": [], "content": []},
}
_PARTS: Mapping[str, Any] = {
    "output_text": lambda: {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "refusal": lambda: {"type": "refusal", "refusal": ""},
    "reasoning_text": lambda: {"type": "reasoning_text", "text": ""},
    "summary_text": lambda: {"type": "summary_text", "text": ""},
}


def _cut_short(end: End) -> str | None:
    """Why an answer is not all that it might have been."""
    if end.outcome == "ended":
        return "content_filter"
    return "max_output_tokens" if end.outcome == "completed" and (end.cut or end.finish == "length") else None


def _usage(end: End) -> WireObject:
    usage = end.usage
    return {
        "input_tokens": usage["input_tokens"],
        "input_tokens_details": {"cached_tokens": end.cached},
        "output_tokens": usage["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": end.thought},
        "total_tokens": usage["total_tokens"],
    }
