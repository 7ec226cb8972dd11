"""Texts that several threads read at once by one tokenizer: the words of one are no markers for another's sake."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ig_guardrail.types import Message
from tests.formats.shapes import chat

TIMES = 150


@pytest.mark.parametrize("name", ["hermes", "llama"])
def test_words_and_templates_are_read_at_once_as_one_after_the_other(name: str) -> None:
    shaped = chat(name)
    turns = [Message("user", "Hello there, how are you? " * 20)]
    words = " and ".join(entry.content for entry in shaped.tokenizer.added_tokens_decoder.values())
    works: list[Callable[[], Any]] = [lambda: shaped.encode(turns).ids, lambda: shaped.text_ids(words)]
    expected = [work() for work in works]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda work: {work() for _ in range(TIMES)}, works))
    assert found == [{ids} for ids in expected]
