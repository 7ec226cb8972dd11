"""What was delivered whole is kept for the next prompt; nothing that was held back is."""

from __future__ import annotations

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.errors import GenerationFailed
from ig_guardrail.types import Node
from tests.faults.test_cut_values import RULES, TEXT, TOOLS, chat
from tests.golden.conversations import CALM, CONVERSATIONS, KIND
from tests.unit.drive.test_thoughts import answered

DELIVERED = {"completed": CALM, "completed-at-length": CALM, "completed-at-stop-string": CALM, "rescued": KIND}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    nodes: list[Node] = []
    monkeypatch.setattr(ScriptedEngine, "keep", lambda self, node: nodes.append(node), raising=False)
    return nodes


@pytest.mark.parametrize("name", [name for name in CONVERSATIONS if name != "unguarded"])
def test_an_answer_is_kept_if_it_was_delivered_whole(name: str, kept: list[Node]) -> None:
    try:
        said = "".join(chunk.text for chunk in CONVERSATIONS[name].guardrail().stream(CONVERSATIONS[name].ask()))
    except GenerationFailed:
        said = ""
    assert [node.text[: node.visible] for node in kept] == ([said] if name in DELIVERED else [])
    assert name not in DELIVERED or DELIVERED[name].startswith(said)


@pytest.mark.parametrize("reasoning", ["show", "hide"])
def test_an_answer_with_a_thought_is_not(reasoning: str, kept: list[Node]) -> None:
    answered("<think> c d </think> c d e f", reasoning, "charge")
    assert not kept


@pytest.mark.parametrize("room", [len(TEXT) - 6, 12])
def test_an_answer_with_half_a_call_is_not(room: int, kept: list[Node]) -> None:
    assert chat(TEXT, RULES, max_tokens=room).bind_tools(TOOLS).invoke("Go.").invalid_tool_calls
    assert not kept
