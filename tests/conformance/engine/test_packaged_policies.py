"""The packaged policies beside any model: they start, guard, and say what served in place of their heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from tests.conformance.engine.tiny import ARCHITECTURES, tiny_weights
from tests.unit.costs.test_packaged import INSULT

pytestmark = pytest.mark.usefixtures("own_store")


@pytest.fixture
def folder(tmp_path: Path, architecture: str) -> str:
    """A tiny random model, saved as any local one would be."""
    weights = tiny_weights(context=512, architecture=architecture)
    with quiet():
        weights.model.save_pretrained(tmp_path)
        weights.tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["default", "strict"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_they_start_and_guard_beside_any_architecture(folder: str, policy: str) -> None:
    model = ChatIGGuardrail(model=folder, policy=policy, device="cpu", seed=3, max_tokens=16)
    calm: Any = model.invoke("Tell me about rivers.").response_metadata["ig_guardrail"]
    assert (calm["verdict"]["guarded"], set(calm["spend"])) == (True, {"harmful-help", "toxic-tone"})
    assert {name: entry.rpartition("-")[0] for name, entry in calm["substitutes"].items()} == {
        "help": "help",
        "tone": "tone",
    }
    begun: Any = model.invoke([HumanMessage("Go on."), AIMessage(INSULT)])
    assert begun.response_metadata["finish_reason"] == "content_filter"
    assert INSULT not in begun.text
