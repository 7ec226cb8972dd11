"""What was delivered whole is kept for the next prompt; nothing that was held back is."""

from __future__ import annotations

import pytest

from ig_guardrail.errors import GenerationFailed
from ig_guardrail.types import Node
from tests.golden.conversations import CALM, CONVERSATIONS, KIND

DELIVERED = {
    "completed": CALM,
    "completed-at-length": CALM,
    "completed-at-stop-string": CALM,
    "rescued": KIND,
}


@pytest.mark.parametrize("name", [name for name in CONVERSATIONS if name != "unguarded"])
def test_an_answer_is_kept_if_it_was_delivered_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rail, kept = CONVERSATIONS[name].guardrail(), list[Node]()
    monkeypatch.setattr(rail.engine, "keep", kept.append, raising=False)
    try:
        said = "".join(chunk.text for chunk in rail.stream(CONVERSATIONS[name].ask()))
    except GenerationFailed:
        said = ""
    assert len(kept) == (name in DELIVERED)
    for node in kept:
        assert node.text.startswith(said)
        assert DELIVERED[name].startswith(said)
