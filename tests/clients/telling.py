"""What clients are asked, and how each tells what its user sees. Needs only Python: clients have their own packages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

MODELS: Mapping[str, str] = {  # by what becomes of the answer
    "completed": "scripted:calm",
    "refused": "scripted:rude",
    "ended": "scripted:late",
    "calls": "scripted:obliging",
    "cut call": "scripted:obliging",
    "failed": "scripted:failing",
    "disconnect": "scripted:endless",
}
ASKED = "Why is the sky blue?"
CUT = 4  # tokens, too few for a call
ROOM = {"cut call": CUT, "disconnect": 20_000}
TOOL_NAME = "get_weather"
PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
    "additionalProperties": False,
}


def get_weather(location: str) -> str:
    """The weather in a city."""
    return f"Sunny in {location}."


def room(case: str) -> int:
    """How many tokens a case may take."""
    return ROOM.get(case, 256)


def offers_tool(case: str) -> bool:
    return "call" in case


def observe(client: str, api: str, way: str, ask: Callable[[str], Mapping[str, Any]]) -> None:
    """Tell what a client sees of every case. ask: what is seen of one: `text`, `refusal`, `finish`, `calls`"""
    for case in MODELS:
        if case == "disconnect" and way == "whole":
            continue
        try:
            seen = ask(case)
        except Exception as error:  # whatever a client raises is what its user sees
            seen = {"error": type(error).__name__}
        print(json.dumps({"client": client, "api": api, "way": way, "case": case, **seen}), flush=True)


def url() -> str:
    return sys.argv[1]
