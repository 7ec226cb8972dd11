"""Texts that cannot fit are cut into tokens only as far as it takes to know that."""

from __future__ import annotations

import pytest

from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.types import Message, Sampling
from tests.conformance.engine.tiny import tiny_weights


@pytest.mark.parametrize("text", ["the sea " * 200_000, " " * 1_000_000, "a" * 1_000_000])
def test_of_a_text_that_is_too_long_a_beginning_is_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TransformersEngine(tiny_weights(context=100))
    read: list[int] = []
    plain = engine._operations.chat.plain
    encode = type(plain).encode
    monkeypatch.setattr(
        type(plain), "encode", lambda self, said, **how: read.append(len(said)) or encode(self, said, **how)
    )
    root = engine.open(engine.encode([Message("user", "Hi")]), Sampling(max_tokens=60)).result()
    read.clear()
    (node,) = engine.append([(root, text)]).result()
    assert (node.finish, node.position) == ("length", 60)
    assert sum(read) <= 4_000
    (short,) = engine.append([(root, text[:40])]).result()
    assert node.text.startswith(short.text)
    engine.shutdown()
