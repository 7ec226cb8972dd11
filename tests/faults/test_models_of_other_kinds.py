"""Models that this engine does not run say what they are, and where they can be run, before their weights are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.engine.loading.facts import facts_of
from ig_guardrail.errors import ModelError
from tests.conformance.engine.tiny import tiny_tokenizer

pytest.importorskip("torch")

SERVED = "have a server run it, with engine 'openai_compatible'"
SEES = ("gemma3", "gemma4", "gemma3n", "mistral3", "qwen2_5_vl", "qwen3_vl", "llava", "idefics3")
STATES = {"qwen3_5": "qwen3_5_text", "deepseek_v32": None, "falcon_h1": None}


def folder_of(place: Path, kind: str, **text: Any) -> str:
    """A folder that holds a model of a kind, but for its weights."""
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(place)
    sizes = {
        **{"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512},
    }
    said = {"text_config": {**text, **sizes}} if text else sizes
    (place / "config.json").write_text(json.dumps({"model_type": kind, **said}))
    (place / "model.safetensors").write_bytes(b"")
    return str(place)


def refusal(named: str) -> ModelError:
    with pytest.raises(ModelError) as refused:
        facts_of(named)
    return refused.value


@pytest.mark.parametrize("kind", SEES)
def test_a_model_that_also_sees_is_told_as_one(tmp_path: Path, kind: str) -> None:
    text = {"llava": "llama", "idefics3": "llama", "mistral3": "mistral"}.get(kind, f"{kind}_text")
    told = refusal(folder_of(tmp_path, kind, model_type=text))
    assert f"models of type '{kind}' read images or sound as well" in told.what
    assert ".gguf" in told.fix
    assert SERVED in told.fix


@pytest.mark.parametrize("kind", ["t5", "vit", "sam"])
def test_what_goes_on_with_no_text_is_told_as_such(tmp_path: Path, kind: str) -> None:
    told = refusal(folder_of(tmp_path, kind))
    assert f"models of type '{kind}' do not go on with a text" in told.what
    assert "transformers." not in str(told)


@pytest.mark.parametrize("kind", STATES)
def test_a_model_with_a_state_that_is_changed_in_place_can_be_had_from_a_server(tmp_path: Path, kind: str) -> None:
    text = STATES[kind]
    told = refusal(folder_of(tmp_path, kind, **({"model_type": text} if text else {})))
    assert "keep a state of kind" in told.what
    assert SERVED in told.fix
    assert "Qwen," not in told.fix, "of which one is refused here"


@pytest.mark.parametrize("kind", ["gpt2", "falcon", "gpt_neox"])
def test_a_model_with_layers_elsewhere_can_be_had_from_a_server(tmp_path: Path, kind: str) -> None:
    told = refusal(folder_of(tmp_path, kind))
    assert "keeps its decoder layers where this engine does not look" in told.what
    assert SERVED in told.fix
