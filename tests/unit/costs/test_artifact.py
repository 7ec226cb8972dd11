"""Artifacts are read whole, within limits, and only if the tensors are those that the card names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ig_guardrail.costs.heads import artifact
from ig_guardrail.costs.heads.artifact import read_artifact
from ig_guardrail.errors import ModelError
from tests.unit.costs.artifacts import latent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return latent(tmp_path / "head")


def edit(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **changes}))


def test_a_good_artifact_is_read(folder: Path) -> None:
    read = read_artifact(folder, "latent")
    assert read.vector("weight").dtype == np.float64
    assert read.scalar("width") == 1.0


def test_tensors_that_the_card_does_not_name_are_refused(folder: Path) -> None:
    content = bytearray((folder / "head.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "head.safetensors").write_bytes(content)
    with pytest.raises(ModelError) as raised:
        read_artifact(folder, "latent")
    assert "head.safetensors is not the file that its card describes" in str(raised.value)
    assert "its SHA-256 is" in str(raised.value)


@pytest.mark.parametrize("name", ["card.json", "head.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError) as raised:
        read_artifact(folder, "latent")
    assert f"{name} cannot be read" in str(raised.value)
    assert "an artifact is a folder with card.json and head.safetensors" in str(raised.value)


def test_files_beyond_the_limit_are_refused_unparsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "MAX_TENSORS_BYTES", 16)
    with pytest.raises(ModelError, match=r"head\.safetensors is larger than"):
        read_artifact(folder, "latent")
    (folder / "card.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(ModelError, match=r"card\.json is larger than 1 MiB"):
        read_artifact(folder, "latent")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_card_that_is_not_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / "card.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"card\.json is not JSON"):
        read_artifact(folder, "latent")


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"format": "other"}'])
def test_a_card_of_another_format_is_refused(folder: Path, content: bytes) -> None:
    (folder / "card.json").write_bytes(content)
    with pytest.raises(ModelError, match="not a card of format 'ig-guardrail/artifact/v1'"):
        read_artifact(folder, "latent")


def test_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="the artifact is of kind 'latent', not 'judge'"):
        read_artifact(folder, "judge")


def test_tensors_that_do_not_parse_are_refused(folder: Path) -> None:
    import hashlib

    (folder / "head.safetensors").write_bytes(b"nonsense")
    edit(folder, tensors_sha256=hashlib.sha256(b"nonsense").hexdigest())
    with pytest.raises(ModelError, match=r"head\.safetensors cannot be parsed"):
        read_artifact(folder, "latent")


def test_the_hash_covers_card_and_tensors(folder: Path) -> None:
    before = read_artifact(folder, "latent").sha256
    edit(folder, note="changed")
    assert read_artifact(folder, "latent").sha256 != before
