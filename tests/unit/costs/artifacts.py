"""Small artifacts on disk for these tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

MODEL = "a" * 64
SIZE = 4


def write(folder: Path, kind: str, tensors: Mapping[str, Any], **card: Any) -> Path:
    """An artifact whose card names the right hash."""
    folder.mkdir(parents=True, exist_ok=True)
    content = save({name: np.asarray(value) for name, value in tensors.items()})
    digest = hashlib.sha256(content).hexdigest()
    full = {"format": "ig-guardrail/artifact/v1", "kind": kind, "tensors_sha256": digest, **card}
    (folder / "head.safetensors").write_bytes(content)
    (folder / "card.json").write_text(json.dumps(full))
    return folder


def latent_tensors() -> dict[str, Any]:
    """A head whose logit is the first number of the mean state, minus one."""
    return {
        "weight": np.array([2, 0, 0, 0], dtype=np.float32),
        "bias": np.array([0], dtype=np.float32),
        "mean": np.array([1, 5, 5, 5], dtype=np.float32),
        "deviation": np.array([2, 1, 1, 1], dtype=np.float32),
        "centre": np.array([0], dtype=np.float32),
        "width": np.array([1], dtype=np.float32),
    }


def latent(folder: Path, numerics: str = "bfloat16") -> Path:
    base = {"name": "toy", "sha256": MODEL, "numerics": numerics, "layer": 2}
    return write(folder, "latent", latent_tensors(), base_model=base)


def lexical(folder: Path, harmful: str = "idiot") -> Path:
    """A head that knows one harmful word."""
    from ig_guardrail.costs.heads.words import bucket

    weight = np.zeros(64, dtype=np.float16)
    weight[bucket(harmful, 64)] = 8
    tensors = {
        "weight": weight,
        "frequency": np.ones(64, dtype=np.float16),
        "bias": np.array([-2], dtype=np.float32),
        "centre": np.array([0], dtype=np.float32),
        "width": np.array([1], dtype=np.float32),
    }
    return write(folder, "lexical", tensors)
