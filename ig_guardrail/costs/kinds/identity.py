"""What names an entry of a policy and the artifact behind it, so that what rests on both knows when one has changed."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from ig_guardrail.costs.kinds.base import CARD, options_sha256
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.types import CostModelSpec

MOST_FILES = 1_000  # of an artifact, that its identity rests on
_DIGITS = 32  # of a hash


def identity_of(spec: CostModelSpec, folder: Path | None) -> str:
    """Names an entry of a policy and what is in the artifact that it names, without loading that."""
    options = {key: _content(value, spec.kind, folder) for key, value in sorted(spec.options.items())}
    return options_sha256(spec.kind, hazards=spec.hazards, options=options, scale=spec.scale)[:_DIGITS]


def _content(value: Any, kind: str, folder: Path | None) -> Any:
    """An option; of an artifact, the cards and the sizes of the files in it, and not where it is."""
    if not isinstance(value, str):
        return value
    packaged = resources.files("ig_guardrail.artifacts")
    places = [packaged / value, packaged / kind / value] if value in KINDS[kind].packaged else []
    places += [(folder or Path()) / value] if "/" in value else []
    found = next((Path(str(place)) for place in places if place.is_dir()), None)
    if found is None:
        return value
    files = sorted(one for one in found.rglob("*") if one.is_file())[:MOST_FILES]
    return [
        [
            one.relative_to(found).as_posix(),
            hashlib.sha256(one.read_bytes()).hexdigest()[:_DIGITS] if one.name == CARD else one.stat().st_size,
        ]
        for one in files
    ]
