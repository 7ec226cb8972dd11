"""Which conversation a request belongs to, as far as it tells: its replica has the prompt's states in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import takewhile
from typing import Any

from ig_guardrail.integrations.openai_server.faults import Refused
from ig_guardrail.integrations.openai_server.server import read_object

OPENING = ("system", "instructions")  # what stands before the messages, on wires that have fields for it
TURNS = ("messages", "input")
LENGTH = 16  # hexadecimal digits
_ID = re.compile(f"resp_([0-9a-f]{{{LENGTH}}})[0-9a-f]{{32}}")


def conversation_of(tenant: str | None, body: bytes) -> str:
    """What a request's conversation is known by; "" where its body is none of one.

    The name that the caller gave it; else the response that it goes on from, whose id begins with what its own led by;
    else its beginning, up to the first words of a user, which all of its requests repeat.
    """
    try:
        asked = read_object(body)
    except Refused:
        return ""  # which the replica tells the caller
    ours = asked.get("ig_guardrail")
    named = ours.get("conversation") if isinstance(ours, Mapping) else None
    if named is None and (chain := session_of(asked.get("previous_response_id"))):
        return chain
    turns = next((asked[name] for name in TURNS if name in asked), None)
    if named is None and turns is None:
        return ""
    begun = [named] if named is not None else [_opening(turns), *(asked.get(name) for name in OPENING)]
    return sha256(json.dumps([tenant, begun], sort_keys=True).encode()).hexdigest()[:LENGTH]


def session_of(response: object) -> str:
    """What the request of a response led by, as its id tells; "" where it tells nothing."""
    found = _ID.fullmatch(response) if isinstance(response, str) else None
    return found[1] if found else ""


def _opening(turns: Any) -> Any:
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        return turns
    before = list(takewhile(lambda one: not isinstance(one, Mapping) or one.get("role") != "user", turns))
    return turns[: len(before) + 1]
