"""Anthropic's Messages, written: a whole message, and the named events of its stream.

A refusal is a text of the message, and its stop reason is `refusal`; so a client that shows nothing but text shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ig_guardrail.integrations.openai_server.events import Call, End, Event, ThoughtDelta, Told, Words
from ig_guardrail.integrations.openai_server.faults import Fault
from ig_guardrail.integrations.openai_server.sse import frame
from ig_guardrail.integrations.openai_server.wires.fields import OURS
from ig_guardrail.integrations.openai_server.wires.messages import error_body

REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


@dataclass(slots=True)
class MessagesWriter:
    """Writes the events of one answer as a stream of blocks, or as a whole message."""

    model: str
    id: str = field(default_factory=lambda: f"msg_{uuid4().hex}")
    _begun: bool = False
    _kind: str = ""  # of the block that is open
    _blocks: int = 0

    def frames(self, told: Told) -> Iterator[bytes]:
        """The stream's events of one event."""
        event = told.event
        yield from self._begin()
        if isinstance(event, End):
            yield from self._end(event)
        else:
            yield from self._block(event)

    def ping(self) -> bytes:
        """What is sent while text is held; the message begins with it, if need be."""
        return b"".join([*self._begin(), frame({"type": "ping"}, "ping")])

    def whole(self, told: Sequence[Told]) -> dict[str, Any]:
        """The message."""
        end = told[-1].event
        assert isinstance(end, End)
        said = [*(one.event for one in told[:-1]), *_policys(end)]
        message = {**self._message(_content(said)), **_ended(end), "usage": _usage(end)}
        return {**message, OURS: end.receipt}

    def _begin(self) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            begun = {**self._message([]), **_ended(None), "usage": _usage(None)}
            yield frame({"type": "message_start", "message": begun}, "message_start")

    def _block(self, event: ThoughtDelta | Words | Call) -> Iterator[bytes]:
        (block,) = _content([event])
        if block["type"] != self._kind or isinstance(event, Call):
            yield from self._close()
            self._kind = block["type"]
            yield self._frame("content_block_start", content_block=_empty(block))
        for delta in _deltas(block):
            yield self._frame("content_block_delta", delta=delta)

    def _close(self) -> Iterator[bytes]:
        if self._kind:
            yield self._frame("content_block_stop")
            self._kind, self._blocks = "", self._blocks + 1

    def _frame(self, kind: str, **told: Any) -> bytes:
        return frame({"type": kind, "index": self._blocks, **told}, kind)

    def _end(self, end: End) -> Iterator[bytes]:
        for words in _policys(end):
            yield from self._block(words)
        yield from self._close()
        last = {"type": "message_delta", "delta": _ended(end), "usage": _usage(end), OURS: end.receipt}
        yield frame(last, "message_delta")
        yield frame({"type": "message_stop"}, "message_stop")

    def _message(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "container": None,
        }


def told_fault(fault: Fault) -> bytes:
    """A fault in mid-stream."""
    return frame(error_body(fault), "error")


def _policys(end: End) -> list[Words]:
    """What the policy says, as words of the message."""
    said = end.said
    return [Words(said)] if said else []


def _content(said: Sequence[Event]) -> list[dict[str, Any]]:
    """Blocks; pieces of one kind in a row are one."""
    blocks: list[dict[str, Any]] = []
    for event in said:
        if isinstance(event, Call):
            called = {"id": event.id, "name": event.name, "input": json.loads(event.arguments)}
            blocks.append({"type": "tool_use", **called, "caller": {"type": "direct"}})
            continue
        assert not isinstance(event, End)
        kind = "thinking" if isinstance(event, ThoughtDelta) else "text"
        if not blocks or blocks[-1]["type"] != kind:
            blocks.append(
                {"type": kind, kind: "", **({"signature": ""} if kind == "thinking" else {"citations": None})}
            )
        blocks[-1][kind] += event.text
    return blocks


def _empty(block: Mapping[str, Any]) -> dict[str, Any]:
    """A block as it begins in a stream."""
    return {**block, **({"input": {}} if block["type"] == "tool_use" else {block["type"]: ""})}


def _deltas(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    kind = block["type"]
    if kind == "tool_use":
        return [{"type": "input_json_delta", "partial_json": json.dumps(block["input"], ensure_ascii=False)}]
    return [{"type": f"{kind}_delta", kind: block[kind]}]


def _ended(end: End | None) -> dict[str, Any]:
    """Why the message ended; None: it goes on."""
    if end is None:
        return {"stop_reason": None, "stop_sequence": None, "stop_details": None}
    reason = "max_tokens" if end.cut and end.finish != "content_filter" else REASONS[end.finish]
    stopped = end.stop if reason == "end_turn" and end.stop else None
    details = {"type": "refusal", "category": None, "explanation": end.refusal} if reason == "refusal" else None
    return {
        "stop_reason": "stop_sequence" if stopped else reason,
        "stop_sequence": stopped,
        "stop_details": details,
    }


def _usage(end: End | None) -> dict[str, Any]:
    """Tokens, which are told at the end; those of the prompt that were kept from before are counted apart."""
    used = {"input_tokens": 0, "output_tokens": 0} if end is None else end.usage
    cached, thought = (0, 0) if end is None else (end.cached, end.thought)
    return {
        "input_tokens": used["input_tokens"] - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": used["output_tokens"],
        "output_tokens_details": {"thinking_tokens": thought} if thought else None,
        **dict.fromkeys(("cache_creation", "inference_geo", "server_tool_use", "service_tier")),
    }
