"""What `ig-guardrail adopt` measured on a user's own model, kept by the model's content hash and numerics.

$IG_GUARDRAIL_DATA, else $XDG_DATA_HOME/ig-guardrail, else ~/.local/share/ig-guardrail holds a folder for each model. In
it, `adoption.json` has the scales of cost models, by their content hash, and the figures that they rest on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ig_guardrail.errors import ModelError

FORMAT = "ig-guardrail/adoption/v1"
FILE = "adoption.json"
MOST_BYTES = 1 << 20


Scales: TypeAlias = Mapping[str, tuple[float, float]]  # by content hash of a cost model: a score, and what it counts as


def adoption_folder(model_sha256: str, numerics: str) -> Path:
    """Where the measurements of a model are kept; the folder may not exist yet."""
    chosen, shared = os.environ.get("IG_GUARDRAIL_DATA"), os.environ.get("XDG_DATA_HOME")
    base = Path(shared) if shared else Path.home() / ".local" / "share"
    data = Path(chosen).expanduser() if chosen else base / "ig-guardrail"
    return data / "models" / f"{model_sha256[:16]}-{numerics}"


def read_scales(model_sha256: str, numerics: str) -> Scales:
    """The scales that are kept of a model, none if it was not adopted. Raises ModelError for a file that is damaged."""
    file = adoption_folder(model_sha256, numerics) / FILE
    if not file.exists():
        return {}
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(MOST_BYTES))
        return _scales(found, model_sha256, numerics)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(
            "what was measured on this model cannot be read",
            where=str(file),
            why=f"{type(error).__name__}: {error}",
            fix="run `ig-guardrail adopt` for the model again, or delete the file",
        ) from error


def _scales(found: Any, model_sha256: str, numerics: str) -> dict[str, tuple[float, float]]:
    model = found["model"]
    if (found["format"], model["sha256"], model["numerics"]) != (FORMAT, model_sha256, numerics):
        raise ValueError(f"it is not of format {FORMAT}, or of another model")
    scales = {str(one["sha256"]): (float(one["from"]), float(one["to"])) for one in found["scales"]}
    if not all(0 < own <= 1 and 0 < counts <= 1 for own, counts in scales.values()):
        raise ValueError("a score of a scale lies outside (0, 1]")
    return scales
