"""What `ig-guardrail adopt` measured on a user's own model, and the heads it trained for it.

$IG_GUARDRAIL_DATA, else $XDG_DATA_HOME/ig-guardrail, else ~/.local/share/ig-guardrail holds a folder for each model, by
its content hash and numerics. In it, `adoption.json` has the scales of cost models, by their content hash, and says
which of the heads in `heads/` are used. That file is put in place at once: heads and scales belong together.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ig_guardrail.errors import ModelError
from ig_guardrail.fields.paths import kept_in

FORMAT = "ig-guardrail/adoption/v1"
FILE = "adoption.json"
HEADS = "heads"
MOST_BYTES = 1 << 20
_NAME = re.compile(r"[a-z][a-z0-9-]{0,99}")


Scales: TypeAlias = Mapping[str, tuple[float, float]]  # by content hash of a cost model: a score, and what it counts as


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is kept of one model.

    scales  what scores of cost models count as
    heads   by the name of a packaged head, the folder of the one that serves instead of it on this model
    """

    scales: Scales = field(default_factory=dict)
    heads: Mapping[str, Path] = field(default_factory=dict)


def adoption_folder(model_sha256: str, numerics: str) -> Path:
    """Where the measurements of a model are kept; the folder may not exist yet."""
    return _models() / f"{model_sha256[:16]}-{numerics}"


def adopted_numerics(model_sha256: str) -> list[str]:
    """The numerics in which a model was adopted."""
    found = _models().glob(f"{model_sha256[:16]}-*/{FILE}")
    return sorted(file.parent.name.partition("-")[2] for file in found)


def read_adoption(model_sha256: str, numerics: str) -> Adoption:
    """What is kept of a model, nothing if it was not adopted. Raises ModelError for a file that is damaged."""
    file = adoption_folder(model_sha256, numerics) / FILE
    if not file.exists():
        return Adoption()
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(MOST_BYTES))
        return _adoption(found, model_sha256, numerics, file.parent / HEADS)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(
            "what was measured on this model cannot be read",
            where=str(file),
            why=f"{type(error).__name__}: {error}",
            fix="run `ig-guardrail adopt` for the model again, or delete the file",
        ) from error


def adoptions_sha256() -> str:
    """Hash of what is kept of all models: another one where any of them was adopted again."""
    digest = hashlib.sha256()
    for file in sorted(_models().glob(f"*/{FILE}")):
        digest.update(file.parent.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _models() -> Path:
    return kept_in("IG_GUARDRAIL_DATA", "XDG_DATA_HOME", ".local/share") / "models"


def _adoption(found: Any, model_sha256: str, numerics: str, heads: Path) -> Adoption:
    model = found["model"]
    if (found["format"], model["sha256"], model["numerics"]) != (FORMAT, model_sha256, numerics):
        raise ValueError(f"it is not of format {FORMAT}, or of another model")
    scales = {str(one["sha256"]): (float(one["from"]), float(one["to"])) for one in found["scales"]}
    if not all(0 < own <= 1 and 0 < counts <= 1 for own, counts in scales.values()):
        raise ValueError("a score of a scale lies outside (0, 1]")
    used = dict(found.get("heads", {}))
    if not all(isinstance(name, str) and _NAME.fullmatch(name) for pair in used.items() for name in pair):
        raise ValueError("a head has no proper name")
    return Adoption(scales, {name: heads / folder for name, folder in used.items()})
