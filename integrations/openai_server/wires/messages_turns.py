"""The turns of Anthropic's Messages, as LangChain's. What cannot be read is refused; what is passed over is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from ig_guardrail.integrations.langchain.messages.blocks import THOUGHT
from ig_guardrail.integrations.langchain.messages.content import ContentReader
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.wires.fields import unread

BESIDE = frozenset({"tool_use", "thinking", "redacted_thinking"})  # of an assistant's turn, what is no text of it
BLOCK: Mapping[str, tuple[str, ...]] = {  # by kind, what of a block is read, besides its type
    "text": ("text",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id", "content"),
}
PASSED = ("cache_control", "citations", "is_error")  # of blocks of all kinds, what changes nothing here


def read_turns(system: object, messages: object) -> tuple[tuple[BaseMessage, ...], tuple[str, ...]]:
    """The system text and the messages of a body, and the names of what in them is passed over.

    Raises Refused or RequestError, naming the place, for what is no conversation.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise unfit("it is missing, or is no list of messages", "messages")
    passed: set[str] = set()
    turns: list[BaseMessage] = []
    if system is not None:
        turns.append(SystemMessage(_words(_blocks(system, "system", passed), "system")))
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "assistant"):
            raise unfit("a message has a role, user or assistant, and a content", where)
        passed |= set(unread(message, ("role", "content"), "messages"))
        blocks = _blocks(message.get("content"), f"{where}.content", passed)
        read = _user if message["role"] == "user" else _assistant
        turns += read(blocks, f"{where}.content")
    return tuple(turns), tuple(sorted(passed))


def _blocks(content: object, where: str, passed: set[str]) -> list[Mapping[str, Any]]:
    """The blocks of a content; a text is one."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(one, Mapping) for one in content):
        raise unfit("it is neither a text nor a list of blocks", where)
    passed |= {f"{where.split('[')[0]}.{name}" for block in content for name in PASSED if block.get(name)}
    known = [(block, BLOCK.get(str(block.get("type")))) for block in content]
    passed |= {
        name
        for block, read in known
        if read is not None
        for name in unread(block, (*read, *PASSED, "type"), where.split("[")[0])
    }
    passed |= {"messages.redacted_thinking" for block in content if block.get("type") == "redacted_thinking"}
    return content


def _words(
    blocks: Sequence[Mapping[str, Any]], where: str, silent: frozenset[str] = frozenset(), first: int = 0
) -> str:
    """The words of blocks. first: the number of the first of them in their content"""
    return ContentReader(silent).text([dict(block) for block in blocks], where, first=first)


def _user(blocks: Sequence[Mapping[str, Any]], where: str) -> Iterator[BaseMessage]:
    """Results of tools are messages of their own, in their places between the words."""
    words: list[Mapping[str, Any]] = []
    for index, block in enumerate(blocks):
        if block.get("type") != "tool_result":
            words.append(block)
            continue
        if words:
            yield HumanMessage(_words(words, where, first=index - len(words)))
            words = []
        yield _result(block, f"{where}[{index}]")
    if words or not blocks:
        yield HumanMessage(_words(words, where, first=len(blocks) - len(words)))


def _result(block: Mapping[str, Any], where: str) -> BaseMessage:
    called = block.get("tool_use_id")
    if not isinstance(called, str):
        raise unfit("a result says which call it answers", f"{where}.tool_use_id")
    content = _blocks(block.get("content") or "", f"{where}.content", set())
    return ToolMessage(_words(content, f"{where}.content"), tool_call_id=called)


def _assistant(blocks: Sequence[Mapping[str, Any]], where: str) -> Iterator[BaseMessage]:
    calls = [_call(block, f"{where}[{i}]") for i, block in enumerate(blocks) if block.get("type") == "tool_use"]
    thought = "".join(str(block.get("thinking") or "") for block in blocks if block.get("type") == "thinking")
    beside = {THOUGHT: thought} if thought else {}
    yield AIMessage(_words(blocks, where, BESIDE), tool_calls=calls, additional_kwargs=beside)


def _call(block: Mapping[str, Any], where: str) -> Any:
    name, arguments, named = block.get("name"), block.get("input"), block.get("id")
    if not isinstance(name, str) or not isinstance(arguments, dict) or not isinstance(named, str):
        raise unfit("a call has an id, a name and an input, which is an object", where)
    return {"type": "tool_call", "name": name, "args": arguments, "id": named}
