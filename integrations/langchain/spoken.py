"""What others say, as text that a guardrail can judge, and what of it may be shown as LangChain's messages again.

Words are judged as they come. Tool calls are judged as text in the notation of `calls`, behind the words and with the
ids they came with; they are shown whole. Thoughts are left out, so nobody is shown them unjudged. What is not text
fails the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from ig_guardrail.calls import written
from ig_guardrail.errors import EngineError
from ig_guardrail.integrations.langchain.messages import CALLS, words_of

Said: TypeAlias = str | BaseMessage

_MIRRORED = CALLS | {"tool_call_chunk", "function_call", "input_json_delta"}  # blocks of what `tool_call_chunks` say
_ENDINGS: Mapping[str, str] = {  # of other models' answers, by the names they give them
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
}


class Answer:
    """One answer of somebody else's: `read` makes text of it, `shown` messages of what the guardrail lets out.

    in_messages  whether it came as messages, not as plain strings
    finish       "length" or "content_filter" where whoever wrote it ended it so, else "stop"
    usage        tokens, if they were told
    """

    def __init__(self) -> None:
        self.in_messages = False
        self.finish = "stop"
        self.usage: UsageMetadata | None = None
        self._parts = AIMessageChunk(content="")
        self._calls: list[ToolCallChunk] = []
        self._words = 0
        self._released = 0

    def read(self, said: Said) -> str:
        """The words of a piece. Raises EngineError for what is not text."""
        if isinstance(said, str):
            words = said
        elif isinstance(said, BaseMessage):
            blocks = [said.content] if isinstance(said.content, str) else said.content
            words = "".join(map(_words_of, blocks))
            self._note(said)
        else:
            raise _not_text(type(said).__name__)
        self._words += len(words)
        return words

    def end(self) -> str:
        """The calls, as text, when everything was read. Raises EngineError for one that cannot be read."""
        texts = []
        for index, part in enumerate(self._parts.tool_call_chunks):
            whole = self._arguments(part)
            if whole is None:  # cut off: it was not made, and no other is behind it
                break
            name = part["name"] or ""
            self._calls.append(tool_call_chunk(name=name, args=_json(whole), id=part["id"], index=index))
            texts.append(written(name, whole, part["id"]))
        return "".join(texts)

    def shown(self, text: str) -> tuple[str, list[ToolCallChunk]]:
        """The words of text that is let out next, and the calls if they are in it, which is whole."""
        left = max(0, self._words - self._released)
        self._released += len(text)
        return text[:left], self._calls if len(text) > left else []

    @property
    def called(self) -> bool:
        """Whether calls were shown."""
        return bool(self._calls) and self._released > self._words

    def _note(self, message: BaseMessage) -> None:
        """Calls, usage and finish reason of a message."""
        self.in_messages = True
        reasons = (message.response_metadata.get(key) for key in ("finish_reason", "stop_reason", "done_reason"))
        reason = next((reason for reason in reasons if isinstance(reason, str)), "")
        self.finish = _ENDINGS.get(reason.lower(), self.finish)
        if not isinstance(message, AIMessage):
            return
        if message.usage_metadata is not None:
            self.usage = add_usage(self.usage, message.usage_metadata)
        if isinstance(message, AIMessageChunk):
            self._parts += AIMessageChunk(content="", tool_call_chunks=message.tool_call_chunks)
            return
        for call in message.invalid_tool_calls:
            raise _unreadable(call["name"])
        for index, made in enumerate(message.tool_calls):
            part = tool_call_chunk(name=made["name"], args=_json(made["args"]), id=made["id"], index=index)
            self._parts += AIMessageChunk(content="", tool_call_chunks=[part])

    def _arguments(self, part: ToolCallChunk) -> dict[str, Any] | None:
        """The arguments of a call; None if the answer was cut off in them, which LangChain's parser would complete."""
        cut_off = self.finish == "length"
        try:
            arguments = json.loads(part["args"] or ("" if cut_off else "{}"))
        except ValueError:
            arguments = None
        if isinstance(arguments, dict) and part["name"]:
            return arguments
        if cut_off:
            return None
        raise _unreadable(part["name"])


def _words_of(block: str | dict[Any, Any]) -> str:
    if isinstance(block, str):
        return block
    words = words_of(block, _MIRRORED)
    if words is None:
        raise _not_text(f"a content block of type '{block.get('type')}'")
    return words


def _json(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, default=str)


def _not_text(what: str) -> EngineError:
    return EngineError(
        f"the answer holds {what}, which is not text",
        where="answer",
        why="the policy's cost models read text, and what was not judged may not be shown",
        fix="ask the model for text and tool calls only",
    )


def _unreadable(name: str | None) -> EngineError:
    return EngineError(
        f"the answer holds a call of '{name}' whose arguments are no JSON object",
        where="answer",
        why="a call that cannot be read cannot be judged",
        fix="ask again",
    )
