"""Half characters that hosts stream: halves that meet are whole, and one that stays alone is named."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail import GenerationFailed, GuardedChatModel
from ig_guardrail.integrations.langchain.inner.pieces import Characters
from tests.golden.conversations import compiled
from tests.unit.langchain.teller import call_part, last_part, teller

TEXT = st.text(st.sampled_from("a é€😀\ud83d\ude00\udc00"), max_size=10)


def in_halves(text: str) -> str:
    """A text in which every character beyond U+FFFF is two halves."""
    data = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(data[i] | data[i + 1] << 8) for i in range(0, len(data), 2))


@given(TEXT, st.lists(st.integers(0, 20), max_size=5), st.booleans())
def test_whole_characters_do_not_depend_on_chunks(text: str, places: list[int], halved: bool) -> None:
    text = in_halves(text) if halved else text
    edges = sorted({0, len(text), *(place for place in places if place < len(text))})

    def read() -> str:
        reader = Characters()
        return "".join(reader.read(text[a:b]) for a, b in pairwise(edges)) + reader.end()

    try:
        expected = in_halves(text).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeError:
        with pytest.raises(UnicodeError):
            read()
    else:
        assert read() == expected


@pytest.mark.parametrize(
    ("chunks", "said"),
    [(["one ", "\ud83d", "\ude00 two"], "one 😀 two"), (["one \ud83d\ude00"], "one 😀")],
)
def test_what_a_host_streams_in_halves_is_shown_whole(chunks: list[str], said: str) -> None:
    assert GuardedChatModel(inner=teller(chunks), policy=compiled()).invoke("x").content == said


CALL = [call_part("save", '{"text": "a\\ud83d b"}', "1"), last_part()]


@pytest.mark.parametrize("chunks", [["one \ud83d", " two"], ["one \ude00"], ["two \ud83d"], CALL])
def test_half_a_character_that_stays_alone_is_named(chunks: list[Any]) -> None:
    with pytest.raises(GenerationFailed, match="the answer holds half a character, which is not text"):
        GuardedChatModel(inner=teller(chunks), policy=compiled()).invoke("x")
