"""JSON that callers wrote: what is none is told with its place, and no number or text comes in that cannot go out."""

from __future__ import annotations

import json

import pytest

from ig_guardrail.integrations.openai_server.server import read_object
from ig_guardrail.integrations.openai_server.wires.chat_messages import read_call
from ig_guardrail.integrations.openai_server.wires.reading import read_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{'a': 1}", "line 1, column 2: Expecting property name enclosed in double quotes"),
        ('{"a": 1,\n "b" 2}', "line 2, column 6: Expecting ':' delimiter"),
        ("", "line 1, column 1: Expecting value"),
        ('{"a": "\\ud800"}', "it holds half of a character"),
        *((f'{{"a": {one}}}', "it holds a number") for one in ("NaN", "-Infinity", "1e400", "-1e400", "1" * 5000)),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_no_json_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + said.replace("(", r"\(")) as error:
        read_json(text)
    assert len(str(error.value)) < 100


def test_what_is_read_can_be_written() -> None:
    text = '{"a": [1, 2.5, 1e300, 1e-400, -0.0, "\\ud83d\\ude00", "\\u0000"], "b": null}'
    assert json.loads(json.dumps(read_json(text), allow_nan=False)) == json.loads(text)


def test_a_mark_of_utf_8_before_a_body_is_no_part_of_it() -> None:
    assert read_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("arguments", ['{"a": NaN}', '{"a": 1e400}', '{"a": "\\ud800"}', "{'a': 1}"])
def test_arguments_of_calls_are_read_alike(arguments: str) -> None:
    with pytest.raises(Exception, match=r"^at\.arguments: it is no JSON object: "):
        read_call("f", arguments, "1", "at")
