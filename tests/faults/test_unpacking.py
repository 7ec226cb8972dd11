"""What a GGUF file cannot be used for is told before its weights, which take minutes, are unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Never

import gguf
import numpy as np
import pytest
import transformers

from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.errors import ModelError
from tests.conformance.engine.tiny import tiny_weights

TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
PLAIN = gguf.GGMLQuantizationType.F32
UNREAD = gguf.GGMLQuantizationType.Q8_K  # of values in passing, never of weights


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: Any, **__: Any) -> Never:
        raise OSError("the weights are unpacked")

    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "store"))
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", unpack)


def packed(
    folder: Path, architecture: str = "llama", kind: str = "gpt2", template: str = TEMPLATE, quantised: Any = PLAIN
) -> Path:
    """A file with a vocabulary of the alphabet, and one tensor."""
    path = folder / "model.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([*"abcdefg", "ab", "<|end|>"])
    writer.add_token_types([1] * 8 + [3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(8)
    if template:
        writer.add_chat_template(template)
    size = gguf.GGML_QUANT_SIZES[quantised][1]
    writer.add_tensor("token_embd.weight", np.zeros((1, size), dtype=np.uint8), raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"template": ""}, "the model has no chat template"),
    ({"architecture": "abacus"}, "abacus"),
    ({"kind": "abacus"}, "stating tokenizer 'abacus'"),
    ({"quantised": UNREAD}, "Q8_K is not yet implemented"),
]


@pytest.mark.parametrize(
    ("keys", "match"), REFUSED, ids=lambda value: next(iter(value)) if isinstance(value, dict) else ""
)
def test_it_is_refused_before_its_weights_are_unpacked(tmp_path: Path, keys: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelError, match=match) as told:
        load_weights(str(packed(tmp_path, **keys)), "cpu", "bfloat16")
    assert told.value.where == "model file model.gguf"
    assert not list((tmp_path / "store").glob("*-bfloat16*"))


def test_a_file_that_can_be_used_is_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the weights are unpacked"):
        load_weights(str(packed(tmp_path)), "cpu", "bfloat16")


def test_its_header_is_read_once_whoever_asks_and_the_reader_of_others_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, read = gguf.GGUFReader, list[int]()
    build = usual._build_fields
    monkeypatch.setattr(usual, "_build_fields", lambda self, *at: read.append(1) or build(self, *at))
    with pytest.raises(ModelError, match="the weights are unpacked"):
        load_weights(str(packed(tmp_path)), "cpu", "bfloat16")
    assert len(read) == 1
    assert gguf.GGUFReader is usual


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"no such file" * 9)
    with pytest.raises(ModelError, match="cannot be unpacked: GGUF magic invalid"):
        load_weights(str(tmp_path / "model.gguf"), "cpu", "bfloat16")


def test_a_folder_without_a_template_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    weights = tiny_weights()
    weights.tokenizer.chat_template = None
    with quiet():
        weights.model.config.save_pretrained(tmp_path)
        weights.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="the model has no chat template"):
        load_weights(str(tmp_path), "cpu", "bfloat16")
