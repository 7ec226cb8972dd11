"""The items of a response's input, as messages. Nothing in them is passed over: what cannot be read is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from ig_guardrail.integrations.langchain.messages.blocks import THOUGHT
from ig_guardrail.integrations.openai_server.answering import UNSAID
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.wires.chat_messages import in_words, read_call, read_message
from ig_guardrail.integrations.openai_server.wires.fields import unread

Item: TypeAlias = Mapping[str, Any]
READ: Mapping[str, frozenset[str]] = {  # what of each kind is read, or names it
    kind: frozenset({"type", "id", "status", *names})
    for kind, names in {
        "message": ("role", "content"),
        "function_call": ("call_id", "name", "arguments"),
        "function_call_output": ("call_id", "output"),
        "reasoning": ("summary", "content"),
        "item_reference": (),
    }.items()
}


PART = ("type", "text", "refusal", "annotations")  # what of a part of text is read
_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def read_items(given: object, known: Callable[[str], Item | None]) -> tuple[BaseMessage, ...]:
    """The messages of an input: a text, or items. An assistant's thought, words and calls in a row are one message.

    known: an item that was stored, by its id
    Raises Refused, naming the place, for what is no input.
    """
    if isinstance(given, str):
        return (HumanMessage(given),)
    if not isinstance(given, Sequence) or not given:
        raise unfit("'input' is missing, or is neither a text nor a list of items", "input")
    runs: list[list[BaseMessage]] = []
    for index, item in enumerate(given):
        read = _read(_found(item, known, f"input[{index}]"), f"input[{index}]")
        if not runs or not _goes_on(runs[-1][-1], read):
            runs.append([])
        runs[-1].append(read)
    return tuple(map(_joined, runs))


def named_items(given: object, known: Callable[[str], Item | None]) -> tuple[Item, ...]:
    """The items of an input that was read, each with its type and an id; a text is a message of the user."""
    if isinstance(given, str):
        given = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    found = [_found(item, known, "input") for item in given] if isinstance(given, Sequence) else []
    return tuple(
        {"id": f"{_PREFIXES[item.get('type', 'message')]}_{uuid4().hex}", "type": "message", **item} for item in found
    )


def references(given: object) -> tuple[str, ...]:
    """The names of stored items that an input gives in place of items, once each."""
    items = given if isinstance(given, Sequence) and not isinstance(given, str) else ()
    named = [one.get("id") for one in items if isinstance(one, Mapping) and one.get("type") == "item_reference"]
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


def page_of(items: Sequence[Item], asked: Mapping[str, str]) -> dict[str, Any]:
    """A page of items: at most `limit` (1 to 100, else 20) behind `after`, the last first unless `order` is asc.

    Raises Refused, naming the parameter, for what is no such page.
    """
    unknown = set(asked) - {"limit", "order", "after", "include"}
    if unknown:
        raise unfit("there are limit, order and after", min(unknown), "unsupported_parameter")
    limit, order = asked.get("limit", "20"), asked.get("order", "desc")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= 100):
        raise unfit("it is a whole number from 1 to 100", "limit")
    if order not in ("asc", "desc"):
        raise unfit("it is 'asc' or 'desc'", "order")
    listed = list(items) if order == "asc" else list(reversed(items))
    if "after" in asked:
        names = [item["id"] for item in listed]
        if asked["after"] not in names:
            raise unfit("there is no such item", "after", "item_not_found")
        listed = listed[names.index(asked["after"]) + 1 :]
    page = listed[: int(limit)]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, **ends, "has_more": len(listed) > len(page)}


def passed_over(given: object) -> tuple[str, ...]:
    """The fields of items that change nothing here, such as `input.phase`; of an input that was read."""
    items = given if isinstance(given, list) else ()
    found = {
        name for one in items for name, value in one.items() if value and name not in READ[one.get("type") or "message"]
    }
    within = {name for one in items for name in _unread_of_parts(one.get("content"))}
    return tuple(f"input.{name}" for name in sorted(found | within))


def _unread_of_parts(content: object) -> tuple[str, ...]:
    """The names of what parts of text have beside it."""
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    texts = [part for part in parts if part.get("type") in ("input_text", "output_text", "text", "refusal")]
    return tuple(name for part in texts for name in unread(part, PART, "content"))


def _found(item: object, known: Callable[[str], Item | None], where: str) -> Item:
    """An item itself, where only its name is given; what is null in it is left out."""
    if not isinstance(item, Mapping):
        raise unfit("an item is no object", where)
    if item.get("type") != "item_reference":
        return {name: value for name, value in item.items() if value is not None}
    name = item.get("id")
    found = known(name) if isinstance(name, str) else None
    if found is None:
        raise unfit(f"there is no item '{name!s:.100}', or no longer", f"{where}.id", "item_not_found")
    return found


def _read(item: Item, where: str) -> BaseMessage:
    kind = item.get("type", "message")
    if kind == "message":
        return read_message(_as_said(item), where)
    if kind == "function_call":
        call = read_call(item.get("name"), item.get("arguments"), item.get("call_id"), where)
        return AIMessage("", tool_calls=[call])
    if kind == "function_call_output":
        called, output = item.get("call_id"), item.get("output")
        if not isinstance(called, str):
            raise unfit("an output says which call it is of", f"{where}.call_id")
        whole = isinstance(output, list) and all(isinstance(part, Mapping) for part in output)
        if not isinstance(output, str) and not whole:
            raise unfit("it is neither a text nor a list of parts", f"{where}.output")
        return in_words(ToolMessage(output, tool_call_id=called), f"{where}.output")
    if kind == "reasoning":
        return AIMessage("", additional_kwargs={THOUGHT: _thought(item, where)})
    raise unfit(f"its type is {kind!r:.40}; there are {', '.join(READ)}", f"{where}.type")


def _as_said(item: Item) -> Item:
    """A message without what stands in place of words that could not be said: no model said it, nor the policy."""
    content = item.get("content")
    if item.get("role") != "assistant" or not isinstance(content, list):
        return item
    return {**item, "content": [one for one in content if not (isinstance(one, dict) and one.get("refusal") == UNSAID)]}


def _thought(item: Item, where: str) -> str:
    """What a model thought: all of it where that is told, else what sums it up."""
    for name in ("content", "summary"):
        parts = item.get(name) or ()
        if not isinstance(parts, Sequence) or not all(
            isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts
        ):
            raise unfit("it is no list of parts with a text", f"{where}.{name}")
        if parts:
            return "\n\n".join(part["text"] for part in parts)
    return ""


def _goes_on(before: BaseMessage, read: BaseMessage) -> bool:
    """Whether two messages are parts of one: words come behind a thought, and calls behind both."""
    if not (isinstance(before, AIMessage) and isinstance(read, AIMessage)):
        return False
    return bool(read.tool_calls) or (bool(read.content) and not before.content and not before.tool_calls)


def _joined(run: Sequence[BaseMessage]) -> BaseMessage:
    """The parts of one message, as one."""
    parts = [one for one in run if isinstance(one, AIMessage)]
    if len(parts) < 2:
        return run[0]
    return AIMessage(
        next((one.content for one in parts if one.content), ""),
        tool_calls=[call for one in parts for call in one.tool_calls],
        additional_kwargs=parts[0].additional_kwargs,
    )
