"""One file of a model that is on this machine: in its folder, or in the hub's cache."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ig_guardrail.fields.paths import expanded


def file_of(model: str, name: str, revision: str | None = None) -> Path | None:
    """The file `name` of a model, named as `load_engine` takes it; None where it is not on this machine.

    None for packed files too, which keep what they say in their head.
    """
    folder = expanded(model)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    if folder.is_file() or importlib.util.find_spec("huggingface_hub") is None:
        return None
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(model, name, revision=revision)
    return Path(found) if isinstance(found, str) else None
