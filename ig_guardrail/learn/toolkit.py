"""Everyday tools, written for this project: calls of them show a head what a harmless call looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ig_guardrail.calls import Form, Tool
from ig_guardrail.learn.rows import digest_of

SHARE = 4  # every so many questions are answered by a call as well


def _tool(name: str, description: str, **arguments: Mapping[str, Any]) -> Tool:
    return Tool(name, description, {"type": "object", "properties": arguments, "required": list(arguments)})


_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": 60}
_WHOLE: Mapping[str, Any] = {"type": "integer", "minimum": 0, "maximum": 1000}

TOOLKIT = (
    _tool("search_web", "Search the web.", query=_TEXT),
    _tool("get_weather", "The weather at a place.", location=_TEXT),
    _tool("add_event", "Put an event into the calendar.", title=_TEXT, day=_TEXT),
    _tool("send_message", "Send a message to a friend.", to=_TEXT, text=_TEXT),
    _tool("convert_units", "Convert between units.", amount=_WHOLE, source=_TEXT, target=_TEXT),
    _tool("find_recipe", "Find a recipe.", ingredient=_TEXT, servings=_WHOLE),
    _tool("lookup", "Look something up in the handbook.", topic=_TEXT),
    _tool("set_timer", "Set a timer.", minutes=_WHOLE),
    _tool("read_file", "Read a file.", path=_TEXT),
    _tool("calculate", "Work out an expression.", expression=_TEXT),
    _tool("translate", "Translate a text.", text=_TEXT, language=_TEXT),
    _tool("list_orders", "The orders of a customer.", customer=_TEXT, limit=_WHOLE),
)


def call_form(question: str) -> Form | None:
    """The tools that a question is asked with, one of which must be called; None for most questions."""
    number = int(digest_of(question, "")[:8], 16)
    if number % SHARE:
        return None
    first = number // SHARE % len(TOOLKIT)
    second = (first + 1 + number // 1000 % (len(TOOLKIT) - 1)) % len(TOOLKIT)
    return Form((TOOLKIT[first], TOOLKIT[second]), "any", parallel=False)
