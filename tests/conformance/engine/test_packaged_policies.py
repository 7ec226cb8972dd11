"""The packaged policies beside any model: they start, guard, and say what served in place of their heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from tests.conformance.engine.tiny import ARCHITECTURES, tiny_weights

SERVE = {"text": "encoder", "words": "lexical"}  # what serves, by the end of its name: with the extra `encoder`, without


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "store"))


@pytest.fixture
def folder(tmp_path: Path, architecture: str) -> str:
    """A tiny random model, saved as any local one would be."""
    weights = tiny_weights(context=512, architecture=architecture)
    with quiet():
        weights.model.save_pretrained(tmp_path)
        weights.tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.mark.parametrize("policy", ["default", "strict"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_they_start_and_guard_beside_any_architecture(folder: str, policy: str) -> None:
    model = ChatIGGuardrail(model=folder, policy=policy, device="cpu", seed=3, max_tokens=24)
    receipt: Any = model.invoke("Tell me about rivers.").response_metadata["ig_guardrail"]
    print(receipt["verdict"], receipt["substitutes"], receipt["spend"].keys())
