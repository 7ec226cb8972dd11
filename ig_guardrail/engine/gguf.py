"""GGUF files, unpacked once to what `transformers` loads quickly.

Unpacking takes tens of seconds. The unpacked weights are kept in the user's cache, named by the file's content hash and
the dtype, and load in about a second from then on.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import Any

from ig_guardrail.engine.quiet import quiet
from ig_guardrail.engine.store import made_once, remembered_sha256, store_folder
from ig_guardrail.errors import ModelError, brief

SUFFIX = ".gguf"


def unpacked(packed: Path, dtype: str) -> tuple[Path, str]:
    """The folder of the model in `dtype`, and the SHA-256 (hex) of the file it was made from.

    Raises ModelError if what unpacks files is missing, or cannot read this one.
    """
    digest = remembered_sha256(packed)
    folder = store_folder() / f"{digest[:16]}-{dtype}"
    return made_once(folder, lambda empty: _unpack(packed, dtype, empty)), digest


def _unpack(packed: Path, dtype: str, folder: Path) -> None:
    """Unpack the file in float32, cast to `dtype`, and write model and tokenizer to `folder`."""
    missing = [name for name in ("accelerate", "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"{packed.name} cannot be unpacked without {' and '.join(missing)}",
            where=f"model file {packed.name}",
            why="weights that are packed as GGUF are unpacked once",
            fix="run `pip install 'ig-guardrail[embedded]'`",
        )
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    auto: Any = AutoModelForCausalLM
    source: dict[str, Any] = {"gguf_file": packed.name, "local_files_only": True}
    with quiet(), contextlib.redirect_stderr(io.StringIO()):  # unpacking draws a bar that no setting hides
        try:
            unpacked = auto.from_pretrained(packed.parent, dtype=torch.float32, **source)
        except Exception as error:  # readers of damaged files raise what they like
            raise _unreadable(packed, error) from error
        config = unpacked.config
        if hasattr(config, "quantization_config"):  # the weights are plain now, and say so
            del config.quantization_config
        model = auto.from_config(config)
        model.load_state_dict(unpacked.state_dict())
        model.tie_weights()
        model.generation_config = unpacked.generation_config
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(packed.parent, **source).save_pretrained(folder)


def _unreadable(packed: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{packed.name} cannot be unpacked: {brief(error)}",
        where=f"model file {packed.name}",
        why="it is no whole GGUF file, or of an architecture that `transformers` does not unpack",
        fix="check the file, or use the model's safetensors folder",
    )
