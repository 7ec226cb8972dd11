"""What a measurement was made under, so that figures name their origin and stale results are never taken up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Sampling

PACKAGES = ("torch", "transformers", "numpy")
DECODING = (
    "budget.py",
    "calls.py",
    "guardrail.py",
    "types.py",
    "costs",
    "drive",
    "engine",
    "ledger",
    "search",
    "stream",
)
RECORDING = tuple(f"evaluate/{name}.py" for name in ("answers", "arms", "cells", "replay", "trials"))


def setting_of(guardrail: Guardrail, sampling: Sampling) -> dict[str, Any]:
    """Model, policy, cost models, search, sampling and versions, as plain values."""
    info, policy = guardrail.engine.info, guardrail.policy
    return {
        "model": {"name": info.model, "sha256": info.model_sha256, "engine": info.mode, "numerics": info.numerics},
        "device": info.device,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "cost_models": dict(guardrail.panel.hashes),
        "search": asdict(policy.search),
        "sampling": {key: value for key, value in asdict(sampling).items() if key != "seed"},
        "versions": {name: version(name) for name in PACKAGES},
        "code": code_sha256(),
    }


def fingerprint(setting: Mapping[str, Any]) -> str:
    """A short name of a setting: 12 hex digits. Equal settings have equal names."""
    return hashlib.sha256(json.dumps(setting, sort_keys=True, default=str).encode()).hexdigest()[:12]


def code_sha256() -> str:
    """Hash of every module that decides what an answer is or what is written down of it."""
    digest = hashlib.sha256()
    package = files("ig_guardrail")
    for name in DECODING + RECORDING:
        for module in _modules(package.joinpath(name)):
            digest.update(module.name.encode() + b"\0" + module.read_bytes() + b"\0")
    return digest.hexdigest()


def _modules(entry: Traversable) -> list[Traversable]:
    if entry.is_dir():
        return [module for child in sorted(entry.iterdir(), key=lambda one: one.name) for module in _modules(child)]
    return [entry] if entry.name.endswith(".py") else []
