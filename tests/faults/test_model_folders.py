"""What a user's folder lacks is told in words, before its weights are read; none of it runs as another model."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ig_guardrail.engine.loading.context_window import window_of
from ig_guardrail.engine.loading.facts import facts_of
from ig_guardrail.engine.loading.models import load_engine, load_tokenizer, load_weights
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.loading.weights import vocabulary_of
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Message
from tests.conformance.engine.tiny import TEMPLATE, tiny_weights

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model, saved as any local model would be."""
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "store"))
    weights = tiny_weights()
    with quiet():
        weights.model.save_pretrained(tmp_path / "tiny")
        weights.tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def says(name: str, **changes: Any) -> Callable[[Path], None]:
    """Change what a file of JSON says."""

    def change(folder: Path) -> None:
        said = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps(said | changes))

    return change


def config(**changes: Any) -> Callable[[Path], None]:
    return says("config.json", **changes)


def tensors(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    """Change the weights."""
    return lambda folder: save_file(change(load_file(folder / WHOLE)), folder / WHOLE, {"format": "pt"})


def without(name: str) -> Callable[[Path], None]:
    return tensors(lambda all: {other: tensor for other, tensor in all.items() if other != name})


def renamed(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / WHOLE).rename(folder / name)

    return change


def content(name: str, data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return change


def cut(folder: Path) -> None:
    (folder / WHOLE).write_bytes((folder / WHOLE).read_bytes()[:5000])


def half_of_two(folder: Path) -> None:
    (folder / WHOLE).rename(folder / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    says(f"{WHOLE}.index.json", weight_map=names)(folder)


def packed(folder: Path) -> None:
    (folder / WHOLE).rename(folder / "model.gguf")


def short(all: Tensors) -> Tensors:
    return {name: tensor[:262].clone() if len(tensor) == 264 else tensor for name, tensor in all.items()}


def small_vocabulary(folder: Path) -> None:
    tensors(short)(folder)
    config(vocab_size=262, eos_token_id=None, pad_token_id=None)(folder)


WHOLE = "model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
ADAPTER = says("adapter_config.json", base_model_name_or_path="someone/base")
CODE = {"auto_map": {"AutoModelForCausalLM": "theirs.Model", "AutoConfig": "theirs.Config"}, "model_type": "theirs"}
REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (cut, r"'model.safetensors' ends after 5,000 of \d+,\d{3} bytes[\s\S]*download the model again"),
    (content(WHOLE, POINTER), r"'model.safetensors' is a pointer of git to a file[\s\S]*git lfs pull"),
    (content(WHOLE, b""), "'model.safetensors' is no safetensors file"),
    (content(WHOLE, b"\x02\0\0\0\0\0\0\0{}"), "'model.safetensors' is no safetensors file"),
    (half_of_two, r"1 of 2 files are missing, such as 'model-00002-of-00002.safetensors'"),
    (renamed("other.safetensors"), r"neither model.safetensors nor model.safetensors.index.json, and 'other"),
    (renamed("pytorch_model.bin"), r"its weights are in 'pytorch_model.bin'[\s\S]*such files are programs"),
    (packed, r"no model.safetensors, and 'model.gguf'[\s\S]*name the file: '.*/tiny/model.gguf'"),
    (ADAPTER, r"it is an adapter of 'someone/base'[\s\S]*merge the two"),
    (content("config.json", b"{"), "'config.json' holds no JSON object"),
    (content("generation_config.json", b'{"eos_tok'), "generation_config.json' is not a valid JSON file"),
    (content("config.json", b"[1]"), "'config.json' holds no JSON object"),
    (content("generation_config.json", b"[1]"), "the model cannot be loaded: 'list' object is not a mapping"),
    (config(max_position_embeddings="many"), r"the model cannot be loaded: Validation error for field 'max_position"),
    (config(max_position_embeddings=1), "does not say that it reads two tokens or more"),
    (config(dtype="float7"), "the model cannot be loaded: module 'torch' has no attribute 'float7'"),
    (config(**CODE), r"the model is made of code of its own[\s\S]*'openai_compatible'"),
    (config(quantization_config={"quant_method": "exl2"}), r"quantised by 'exl2'[\s\S]*or a .gguf file"),
    (config(quantization={"bits": 4}), "quantised by 'MLX'"),
    (config(quantization_config={"quant_method": "awq"}), r"requires gptqmodel[\s\S]*or a .gguf file"),
    (tensors(lambda all: {name: one.to(torch.int8) for name, one in all.items()}), "config.json does not tell"),
    (without("lm_head.weight"), r"its weights lack 1 of the model's tensors, such as 'lm_head.weight'"),
    (config(num_hidden_layers=3), r"its weights lack 9 of the model's tensors, such as 'model.layers.2"),
    (config(vocab_size=300), r"do not fit the model: 'lm_head.weight' is \(264, 32\) and not \(300, 32\)"),
    (small_vocabulary, r"writes '<\|shut\|>', which is token 262, and the model knows 262 tokens"),
    (content("chat_template.jinja", b"{% if %}"), "takes no conversation at all: Expected an expression"),
    (content("chat_template.jinja", b"Hello."), "takes no conversation at all: the model's chat template leaves out"),
]


@pytest.mark.parametrize(("change", "match"), REFUSED, ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_what_a_folder_lacks_is_told(folder: Path, change: Callable[[Path], None], match: str) -> None:
    change(folder)
    with pytest.raises(ModelError, match=match) as told:
        load_engine(str(folder), device="cpu", dtype="float32")
    assert told.value.where == f"model '{folder}'"
    assert told.value.fix


def test_tensors_without_a_place_are_told(folder: Path) -> None:
    config(num_hidden_layers=1)(folder)
    with pytest.warns(UserWarning, match="hold 9 tensors that the model has no place for, such as 'model.layers.1"):
        load_weights(str(folder), "cpu", "float32")


@pytest.mark.parametrize("name", ["model.safetensors", "MODEL.GGUF", "blob"])
def test_a_file_that_is_no_packed_model_is_named(folder: Path, name: str) -> None:
    (folder / name).touch()
    with pytest.raises(ModelError, match=r"is a file, and its name does not end in '.gguf'"):
        load_weights(str(folder / name), "cpu", "float32")


def test_a_tokenizer_is_had_without_weights(folder: Path) -> None:
    (folder / WHOLE).unlink()
    assert load_tokenizer(str(folder)).chat_template == TEMPLATE


@pytest.mark.parametrize("named", ["<|shut|>", -1, 99_999, [], [True, None]])
def test_ends_that_are_no_tokens_end_nothing(folder: Path, named: Any) -> None:
    says("generation_config.json", eos_token_id=named)(folder)
    engine = load_engine(str(folder), device="cpu", dtype="float32")
    assert engine._operations.language.end == {262}
    assert engine.encode((Message("user", "hi"),)).ids
    engine.shutdown()


@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
def test_positions_that_yarn_stretches_are_read(folder: Path, key: str) -> None:
    stretched = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 160, "rope_theta": 1e4}
    said = json.loads((folder / "config.json").read_text())
    said.pop("rope_parameters", None)
    (folder / "config.json").write_text(json.dumps(said | {key: stretched}))
    engine = load_engine(str(folder), device="cpu", dtype="float32")
    assert engine.info.context == window_of(str(folder)) == 640
    engine.shutdown()


def test_a_whole_folder_is_read_without_a_word(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_weights(str(folder), "cpu", "float32").model.config.vocab_size == 264


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation"])
def test_how_its_makers_attended_is_not_asked_of_this_machine(folder: Path, key: str) -> None:
    config(**{key: "flash_attention_2"})(folder)
    assert load_weights(str(folder), "cpu", "float32").numerics == "float32"
    assert facts_of(str(folder)).context == 160


@pytest.mark.parametrize("eos", [{}, {"eos_token_id": None}, {"eos_token_id": [99_999]}])
def test_ends_are_told_as_they_are_once_it_is_loaded(folder: Path, eos: dict[str, Any]) -> None:
    """Whatever a config's class would set where the file is silent."""
    (folder / "generation_config.json").unlink()
    said = json.loads((folder / "config.json").read_text())
    del said["eos_token_id"]
    (folder / "config.json").write_text(json.dumps(said | eos))
    assert facts_of(str(folder)).ends == ("<|shut|>",)
    assert vocabulary_of(load_weights(str(folder), "cpu", "float32")).end == {262}
