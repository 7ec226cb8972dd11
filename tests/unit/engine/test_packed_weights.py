"""What is written of a GGUF file's weights is what `transformers` makes of them, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file
from transformers.modeling_gguf_pytorch_utils import (
    GGUF_TO_TRANSFORMERS_MAPPING,
    TENSOR_PROCESSORS,
    TensorProcessor,
    load_gguf_checkpoint,
)

from ig_guardrail.engine.loading.gguf import unpacked
from ig_guardrail.engine.loading.unpacking.header import read_once
from ig_guardrail.engine.loading.unpacking.weights import PackedWeights
from tests.conformance.engine.tiny import tiny_weights
from tests.conformance.engine.tiny_gguf import write_tiny

NAMES = {"gemma3_text": "gemma3"}
KINDS = (Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_1, Kind.Q5_0)


def write_packed(path: Path, model: Any) -> Path:
    """A model's random weights as a GGUF file, in several kinds of numbers. No vocabulary is in it."""
    config = model.config.to_dict()
    architecture = NAMES.get(config["model_type"], config["model_type"])
    writer = gguf.GGUFWriter(path, architecture)
    for key, name in GGUF_TO_TRANSFORMERS_MAPPING["config"].get(architecture, {}).items():
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            writer.add_uint32(f"{architecture}.{key}", value)
    writer.add_uint32(f"{architecture}.vocab_size", config["vocab_size"])
    writer.add_array("some.words", ["a", "", "\u00e4" * 300])
    writer.add_array("some.numbers", [1, 2, 3])
    arch = next(one for one, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    known = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    for place, (name, values) in enumerate(model.state_dict().items()):
        stem, _, suffix = name.rpartition(".")
        kind = KINDS[place % len(KINDS)] if values.ndim > 1 and values.shape[1] % 32 == 0 else Kind.F32
        packed = gguf.quantize(values.float().numpy(), kind)
        writer.add_tensor(f"{known.get_name(stem)}.{suffix}", packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3"])
def test_what_is_written_is_what_transformers_loads(tmp_path: Path, architecture: str, dtype: torch.dtype) -> None:
    model = tiny_weights(architecture=architecture).model
    file = write_packed(tmp_path / "model.gguf", model)
    with read_once(file) as reader:
        weights = PackedWeights(reader, model)
        assert weights.can_be_written()
        loaded = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=model, torch_dtype=dtype)["tensors"]
    weights.write(tmp_path / "model.safetensors", dtype, watched=False)
    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == loaded.keys()
    assert all(written[name].dtype == dtype and torch.equal(written[name], loaded[name]) for name in written)


def test_a_large_tensor_is_unpacked_in_pieces_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_weights().model
    file = write_packed(tmp_path / "model.gguf", model)
    written = []
    for piece in (1, 1 << 20):
        monkeypatch.setattr("ig_guardrail.engine.loading.unpacking.weights._PIECE", piece)
        with read_once(file) as reader:
            PackedWeights(reader, model).write(tmp_path / "model.safetensors", torch.float16, watched=False)
        written.append((tmp_path / "model.safetensors").read_bytes())
    assert written[0] == written[1]


def test_what_is_put_together_of_several_tensors_is_left_to_transformers() -> None:
    kinds = {TENSOR_PROCESSORS.get(name, TensorProcessor).__name__ for name in ("qwen3moe", "gpt_oss", "lfm2", "mamba")}
    from ig_guardrail.engine.loading.unpacking import weights as gguf_weights

    assert not kinds & set(gguf_weights._ONE_TO_ONE)


def test_a_file_that_transformers_puts_together_becomes_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, made = write_tiny(tmp_path / "model.gguf", packed=True), []
    for written in (True, False):
        monkeypatch.setattr(PackedWeights, "can_be_written", lambda _, written=written: written)
        monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / str(written)))
        made.append(unpacked(file, "bfloat16")[0])
    one, other = ({place.name: place for place in folder.iterdir()} for folder in made)
    ours, theirs = (load_file(names.pop("model.safetensors")) for names in (one, other))
    assert ours.keys() == theirs.keys()
    assert all(ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name]) for name in ours)
    del one["manifest.json"], other["manifest.json"]
    assert {name: place.read_bytes() for name, place in one.items()} == {
        name: place.read_bytes() for name, place in other.items()
    }


def test_a_tensor_of_another_shape_is_refused(tmp_path: Path) -> None:
    file = write_packed(tmp_path / "model.gguf", tiny_weights().model)
    other = tiny_weights(intermediate_size=128).model
    with read_once(file) as reader:
        weights = PackedWeights(reader, other)
    with pytest.raises(ValueError, match="and the model has"):
        weights.write(tmp_path / "model.safetensors", torch.float32, watched=False)


def test_arrays_in_a_header_are_read_as_the_usual_reader_reads_them(tmp_path: Path) -> None:
    file = write_packed(tmp_path / "model.gguf", tiny_weights().model)
    usual = gguf.GGUFReader(file)
    with read_once(file) as reader:
        pass
    assert reader.fields.keys() == usual.fields.keys()
    for name, field in usual.fields.items():
        assert reader.fields[name].contents() == field.contents()
        assert reader.fields[name].types == field.types
    assert [tensor.name for tensor in reader.tensors] == [tensor.name for tensor in usual.tensors]
    assert all(np.array_equal(one.data, other.data) for one, other in zip(reader.tensors, usual.tensors, strict=True))


@pytest.mark.parametrize("words", [["a" * 400, "b" * 400], list(range(400))])
def test_a_header_that_is_cut_off_is_told(tmp_path: Path, words: list[Any]) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("some.words", words)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match="its header goes on to"), read_once(path):
        pass
