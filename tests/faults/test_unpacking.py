"""What a GGUF file cannot be used for is told before its weights, which take minutes, are unpacked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Never

import gguf
import numpy as np
import pytest
import transformers

from ig_guardrail.engine.loading.facts import facts_of
from ig_guardrail.engine.loading.gguf import packed_sha256
from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.store import file_sha256, quiet
from ig_guardrail.engine.loading.weights import vocabulary_of
from ig_guardrail.errors import ModelError
from tests.conformance.engine.tiny import tiny_weights
from tests.conformance.engine.tiny_gguf import write_tiny

UNREAD = gguf.GGMLQuantizationType.Q8_K  # of values in passing, never of weights


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: Any, **__: Any) -> Never:
        raise OSError("the weights are unpacked")

    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "store"))
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", unpack)


class Odd(gguf.GGUFWriter):
    """Writes the tiny model otherwise than it is told: `kind` of vocabulary, `template`, numbers of its embedding.

    more     fields of the architecture
    beside   names of tensors, and what they hold
    without  names of tensors that are left out
    ends     tokens that the file names, by kind
    renamed  tokens that are called otherwise
    """

    def __init__(
        self,
        path: Path,
        architecture: str = "llama",
        kind: str = "gpt2",
        template: str | None = None,
        quantised: Any = None,
        more: Mapping[str, Any] | None = None,
        beside: Mapping[str, Any] | None = None,
        without: Collection[str] = (),
        parts: int = 1,
        ends: Mapping[str, str] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(path, architecture)
        self._renamed, self._names = renamed or {}, list[str]()
        self._ends = ends or {"eos": "<|shut|>"}
        self._kind, self._template, self._quantised, self._without = kind, template, quantised, without
        self.add_uint16("split.count", parts)
        for key, value in (more or {}).items():
            name = f"{architecture}.{key}"
            adds = {str: self.add_string, float: self.add_float32, int: self.add_uint32}
            adds[type(value)](name, value)
        for name, values in (beside or {}).items():
            super().add_tensor(name, np.array(values, dtype=np.float32))

    def add_tokenizer_model(self, model: str) -> None:
        super().add_tokenizer_model(self._kind)

    def add_token_list(self, tokens: Any) -> None:
        self._names = [self._renamed.get(token, token) for token in tokens]
        super().add_token_list(self._names)

    def add_eos_token_id(self, id: int) -> None:
        for kind, token in self._ends.items():
            self.add_uint32(f"tokenizer.ggml.{kind}_token_id", self._names.index(token))

    def add_chat_template(self, value: Any) -> None:
        if self._template != "":
            super().add_chat_template(self._template or value)

    def add_tensor(self, name: str, tensor: Any, *args: Any, **keys: Any) -> None:
        if name == "token_embd.weight" and self._quantised is not None:
            size = gguf.GGML_QUANT_SIZES[self._quantised][1]
            tensor, keys = np.zeros((1, size), dtype=np.uint8), {"raw_dtype": self._quantised}
        if name not in self._without:
            super().add_tensor(name, tensor, *args, **keys)


def packed(folder: Path, **odd: Any) -> Path:
    """The tiny model with something odd about it."""
    path = folder / "model.gguf"
    return write_tiny(path, writer=Odd(path, **odd))


SCALED = {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"template": ""}, "the model has no chat template"),
    ({"architecture": "abacus"}, "abacus"),
    ({"kind": "abacus"}, "stating tokenizer 'abacus'"),
    ({"quantised": UNREAD}, "Q8_K is not yet implemented"),
    ({"template": "{% if %}"}, "chat template takes no conversation at all: Expected an expression"),
    ({"parts": 3}, "it is one of the 3 parts of a file"),
    ({"without": ["blk.1.ffn_up.weight"]}, r"it lacks 1 of the model's tensors, such as 'blk\.1\.ffn_up'"),
    ({"beside": {"blk.0.attn_q.bias": [0.0] * 64}}, r"no place for 1 of its tensors, such as 'blk\.0\.attn_q\.bias'"),
    ({"more": {"rope.scaling.type": "longrope"}}, "it reads positions by 'longrope'"),
    ({"beside": {"rope_freqs.weight": range(1, 9)}}, "it reads positions by factors of its own"),
    ({"architecture": "falcon"}, "keeps its decoder layers where this engine does not look"),
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


@pytest.mark.parametrize(
    ("odd", "positions"),
    [
        ({}, {"rope_type": "default"}),
        ({"more": {"rope.scaling.type": "none"}}, {"rope_type": "default"}),
        ({"more": SCALED}, {"rope_type": "linear", "factor": 4.0}),
        (
            {"more": SCALED | {"rope.scaling.type": "yarn", "rope.scaling.original_context_length": 40}},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 40},
        ),
        ({"beside": {"rope_freqs.weight": [1.0] * 8}}, {"rope_type": "default"}),
        (
            {"beside": {"rope_freqs.weight": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 7.73089, 32.0]}},
            {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        ),
    ],
)
def test_positions_are_read_as_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any], positions: dict[str, Any]
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "store"))
    found = load_weights(str(packed(tmp_path, **odd)), "cpu", "float32").model.config.rope_parameters
    assert {key: found[key] for key in positions} == pytest.approx(positions)


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


def test_the_hash_of_a_split_file_is_over_all_its_parts(tmp_path: Path) -> None:
    first, second = (tmp_path / f"a[b]-0000{part}-of-00002.gguf" for part in (1, 2))
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    known = packed_sha256(first)
    second.write_bytes(b"TWO")
    assert packed_sha256(first) != known
    first.rename(tmp_path / "whole.gguf")
    assert packed_sha256(tmp_path / "whole.gguf") == file_sha256(tmp_path / "whole.gguf")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"no such file" * 9)
    with pytest.raises(ModelError, match="cannot be unpacked: GGUF magic invalid"):
        load_weights(str(tmp_path / "model.gguf"), "cpu", "bfloat16")


def test_a_folder_without_a_template_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    weights = tiny_weights()
    weights.tokenizer.chat_template = None
    with quiet():
        weights.model.save_pretrained(tmp_path)
        weights.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="the model has no chat template"):
        load_weights(str(tmp_path), "cpu", "bfloat16")


@pytest.mark.parametrize(
    ("odd", "ends"),
    [
        ({}, {"<|shut|>"}),
        ({"ends": {"eos": "<|note|>"}}, {"<|note|>", "<|shut|>"}),  # its template closes a turn by another
        ({"ends": {"eos": "<|shut|>", "eot": "<|note|>", "eom": "a"}}, {"<|shut|>", "<|note|>", "a"}),
        ({"renamed": {"<|note|>": "<|endoftext|>"}}, {"<|shut|>", "<|endoftext|>"}),
    ],
)
def test_every_token_that_ends_an_answer_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any], ends: set[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "store"))
    file = packed(tmp_path, **odd)
    weights = load_weights(str(file), "cpu", "float32")
    found = vocabulary_of(weights).end
    assert {str(weights.tokenizer.convert_ids_to_tokens(token)) for token in found} == ends
    assert set(facts_of(str(file)).ends) == ends
