"""A value whose text has come to the bound that `max_tokens` sets is whole JSON, and it is told that it may be cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ig_guardrail.text.calls import format_call
from tests.faults.test_cut_values import chat
from tests.unit.langchain.test_tools import folded

ROOM = 128  # tokens: 256 characters, or 32 words, of a text without a limit
NOTE: dict[str, Any] = {
    "title": "Note",
    "description": "A note.",
    "type": "object",
    "properties": {"owner": {"type": "string", "maxLength": 9}, "text": {"type": "string"}},
    "required": ["owner", "text"],
}


def limited(most: int) -> dict[str, Any]:
    """The same with a limit of the schema's own."""
    return {**NOTE, "properties": {**NOTE["properties"], "text": {"type": "string", "maxLength": most}}}


def written(words: int, method: str = "json_schema") -> list[str]:
    """The answer that says a note of so many words, each a token, and every other character one."""
    value = {"owner": "Mira", "text": "@"}
    text = format_call("Note", value) if method == "function_calling" else json.dumps(value)
    before, behind = text.split("@")
    return [*before, *["eight by"] * words, *behind]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize(("words", "told"), [(0, False), (31, False), (32, True), (33, True), (50, True)])
def test_what_was_ended_is_told_beside_the_value(method: Any, words: int, told: bool) -> None:
    where = ["/calls/0/arguments/text" if method == "function_calling" else "/text"]
    chain = chat(written(words, method), max_tokens=ROOM).with_structured_output(NOTE, method=method, include_raw=True)
    for found in (chain.invoke("Write."), folded(list(chain.stream("Write.")))):
        metadata = found["raw"].response_metadata
        assert found["parsed"] == {"owner": "Mira", "text": "eight by" * min(words, 32)}
        assert metadata.get("bounded", []) == (where if told else [])
        assert metadata["ig_guardrail"]["bounded"] == metadata.get("bounded", [])


def test_a_limit_of_the_schema_is_none_of_ours() -> None:
    chain = chat(written(40), max_tokens=ROOM).with_structured_output(limited(256), include_raw=True)
    found = chain.invoke("Write.")
    assert found["parsed"]["text"] == "eight by" * 32
    assert "bounded" not in found["raw"].response_metadata


@pytest.mark.parametrize(("schema", "room"), [(NOTE, 2 * ROOM), (limited(400), ROOM)])
def test_more_room_or_a_limit_lets_it_say_more(schema: Any, room: int) -> None:
    chain = chat(written(40), max_tokens=room).with_structured_output(schema, include_raw=True)
    found = chain.invoke("Write.")
    assert found["parsed"]["text"] == "eight by" * 40
    assert "bounded" not in found["raw"].response_metadata


def test_words_have_no_bound() -> None:
    assert "bounded" not in chat(["eight by"] * 40, max_tokens=ROOM).invoke("Write.").response_metadata
