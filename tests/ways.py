"""Every way to call a chat model, and what a caller is told by each: one answer, if the contract is kept."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from ig_guardrail.integrations.langchain import ChatIGGuardrail


@dataclass(frozen=True)
class Told:
    """An answer as a caller sees it: its words and refusals in order, why it ended, and how it was counted.

    searched: whether there were several candidates for any of its blocks
    """

    blocks: tuple[tuple[str, str], ...]
    finish_reason: str
    outcome: str
    output_tokens: int
    spend: Mapping[str, Any]
    searched: bool


async def every_way(model: ChatIGGuardrail, prompt: str) -> dict[str, Told]:
    """What is told by each way to call it. The pieces of every stream, joined, must be the content of its message."""
    streamed = list(model.stream(prompt))
    awaited = [chunk async for chunk in model.astream(prompt)]
    events = [event async for event in model.astream_events(prompt, version="v2")]
    traced = [event["data"]["chunk"] for event in events if event["event"] == "on_chat_model_stream"]
    protocol = await model.astream_events(prompt, version="v3")
    return {
        "invoke": _message(model.invoke(prompt)),
        "ainvoke": _message(await model.ainvoke(prompt)),
        "batch": _message(model.batch([prompt])[0]),
        "stream": _joined(streamed),
        "astream": _joined(awaited),
        "v2 events": _joined(traced),
        "v3 events": _protocol(model.stream_events(prompt, version="v3")),
        "async v3 events": _protocol([event async for event in protocol]),
    }


def outcome_of(answers: Mapping[str, Told], prompt: str) -> Told:
    """The one answer that all ways gave."""
    expected = answers["invoke"]
    for way, told in answers.items():
        assert told == expected, f"{way} tells another answer to {prompt!r}"
    return expected


def _message(message: AIMessage) -> Told:
    blocks = tuple((block["type"], str(block.get("text", block.get("refusal")))) for block in message.content_blocks)
    usage = message.usage_metadata
    assert usage is not None
    return _told(blocks, message.response_metadata, usage)


def _joined(chunks: Sequence[AIMessageChunk]) -> Told:
    whole: AIMessageChunk = functools.reduce(operator.add, chunks)
    assert whole.content == "".join(chunk.text for chunk in chunks)
    return _message(whole)


def _protocol(events: Iterable[Any]) -> Told:
    """Words by their deltas, refusals by the block that marks them."""
    pieces: dict[int, tuple[str, str]] = {}
    end: Any = None
    for event in events:
        if event["event"] == "content-block-start":
            block = event["content"]
            pieces[event["index"]] = (block["type"], block.get("text", ""))
        elif event["event"] == "content-block-delta":
            kind, before = pieces[event["index"]]
            pieces[event["index"]] = (kind, before + event["delta"]["text"])
        elif event["event"] == "content-block-finish" and event["content"]["type"] == "non_standard":
            pieces[event["index"]] = ("refusal", event["content"]["value"]["refusal"])
        elif event["event"] == "message-finish":
            end = event
    return _told(_without_echo([pieces[index] for index in sorted(pieces)]), end["metadata"], end["usage"])


def _without_echo(blocks: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Blocks of protocol events as those of a message: there, a refusal is also said as text, behind other words."""
    refusal = next((said for kind, said in blocks if kind == "refusal"), None)
    if refusal is None:
        return tuple(blocks)
    words = "".join(said for kind, said in blocks if kind == "text")
    assert words.endswith(refusal)
    words = words.removesuffix(refusal).removesuffix("\n\n")
    return (*([("text", words)] if words else []), ("refusal", refusal))


def _told(blocks: tuple[tuple[str, str], ...], metadata: Mapping[str, Any], usage: Mapping[str, Any]) -> Told:
    record = metadata["ig_guardrail"]
    return Told(
        blocks=blocks,
        finish_reason=metadata["finish_reason"],
        outcome=record["verdict"]["outcome"],
        output_tokens=usage["output_tokens"],
        spend=record["spend"],
        searched=any(block["candidates"] > 1 for block in record["blocks"]),
    )
