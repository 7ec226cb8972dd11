"""The messages of a chat completion, as LangChain's. Nothing in them is passed over: what cannot be read is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from ig_guardrail.integrations.langchain.messages.blocks import THOUGHT
from ig_guardrail.integrations.langchain.messages.conversation import thought_of, words_in
from ig_guardrail.integrations.openai_server.answering import UNSAID
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.wires.fields import unread
from ig_guardrail.integrations.openai_server.wires.reading import read_json

READ = frozenset({"role", "content", "refusal", "tool_calls", "tool_call_id", THOUGHT})

MessageReader: TypeAlias = Callable[[Mapping[str, Any], str], BaseMessage]


def read_messages(given: object) -> tuple[BaseMessage, ...]:
    """The messages of a body. Raises Refused, naming the place, for what is no conversation."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise unfit("'messages' is missing, or is no list of messages", "messages")
    return tuple(read_message(message, f"messages[{index}]") for index, message in enumerate(given))


def passed_over(given: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The fields of messages, and of their parts of text, that change nothing here: `messages.name`."""
    found = {name for message in given for name, value in message.items() if value and name not in READ}
    parts = [part for message in given if isinstance(message.get("content"), list) for part in message["content"]]
    within = {name for part in parts if part.get("type") == "text" for name in part if name not in ("type", "text")}
    calls = [call for message in given for call in message.get("tool_calls") or ()]
    called = {name for call in calls for name in unread(call, ("id", "type", "function", "index"), "tool_calls")}
    called |= {
        name for call in calls for name in unread(call["function"], ("name", "arguments"), "tool_calls.function")
    }
    beneath = sorted(called | {f"content.{name}" for name in within})
    return tuple(f"messages.{name}" for name in (*sorted(found), *beneath))


def read_message(message: object, where: str) -> BaseMessage:
    """One message, in words. where: its place in the body.

    Raises Refused, or RequestError for images and the like, naming the place, for what is none.
    """
    if not isinstance(message, Mapping):
        raise unfit("a message is no object", where)
    role = message.get("role")
    if not isinstance(role, str) or role not in READERS:
        raise unfit(f"its role is {role!r:.40}; there are {', '.join(READERS)}", f"{where}.role")
    return in_words(READERS[role](message, where), f"{where}.content")


def in_words(message: BaseMessage, where: str) -> BaseMessage:
    """A message whose content is text. where: the place of its parts. Raises RequestError for what is not text."""
    if isinstance(message.content, str):
        return message
    thought = thought_of(message) if isinstance(message, AIMessage) else ""
    beside = {THOUGHT: thought} if thought else {}
    return message.model_copy(update={"content": words_in(message, where), "additional_kwargs": beside})


def _system(message: Mapping[str, Any], where: str) -> BaseMessage:
    return SystemMessage(_content(message, where))


def _user(message: Mapping[str, Any], where: str) -> BaseMessage:
    return HumanMessage(_content(message, where))


def _assistant(message: Mapping[str, Any], where: str) -> BaseMessage:
    if message.get("audio") is not None or message.get("function_call") is not None:
        raise unfit("audio and function_call are not read; calls stand in tool_calls", where, "unsupported_parameter")
    made = message.get("tool_calls") or []
    if not isinstance(made, list):
        raise unfit("it is no list of calls", f"{where}.tool_calls")
    calls = [_call(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(made)]
    content, (refusal, thought) = message.get("content"), (_text(message, name, where) for name in ("refusal", THOUGHT))
    if content is None and refusal is None and not calls:
        raise unfit("an assistant's message says nothing and calls nothing", f"{where}.content")
    said = _content({"content": "" if content is None else content}, where)
    own = "" if refusal in (None, UNSAID) else refusal.removeprefix("\n\n")
    beside = {THOUGHT: thought} if thought else {}
    return AIMessage(_joined(said, own), tool_calls=calls, additional_kwargs=beside)


def _text(message: Mapping[str, Any], name: str, where: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise unfit("it is no text", f"{where}.{name}")
    return value


def _joined(said: Any, refusal: str) -> Any:
    """Content and refusal of one message, as they were shown: a blank line lies between."""
    if not refusal:
        return said
    if isinstance(said, str):
        return f"{said}\n\n{refusal}" if said else refusal
    return [*said, {"type": "refusal", "refusal": f"\n\n{refusal}" if said else refusal}]


def _tool(message: Mapping[str, Any], where: str) -> BaseMessage:
    named = message.get("tool_call_id")
    if not isinstance(named, str):
        raise unfit("a tool's message says which call it answers", f"{where}.tool_call_id")
    return ToolMessage(_content(message, where), tool_call_id=named)


def _call(call: object, where: str) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or call.get("type", "function") != "function" or not isinstance(function, Mapping):
        raise unfit("a call is an object with a `function`", where)
    return read_call(function.get("name"), function.get("arguments"), call.get("id"), f"{where}.function")


def read_call(name: object, arguments: object, called: object, where: str) -> Any:
    """A call as LangChain has it. called: its id. Raises Refused, naming the place, for what is none."""
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise unfit("name and arguments of a call are texts", where)
    try:
        read = read_json(arguments or "{}")
    except ValueError as error:
        raise unfit(f"it is no JSON object: {error}", f"{where}.arguments") from None
    if not isinstance(read, dict):
        raise unfit("it is no JSON object", f"{where}.arguments")
    return {"type": "tool_call", "name": name, "args": read, "id": str(called or "")}


def _content(message: Mapping[str, Any], where: str) -> Any:
    """Text, or parts that are not looked into yet."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or not all(isinstance(part, Mapping) for part in content):
        raise unfit("it is neither a text nor a list of parts", f"{where}.content")
    return [dict(part) for part in content]


READERS: Mapping[str, MessageReader] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}
