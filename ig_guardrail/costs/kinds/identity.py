"""What names an entry of a policy and the artifact behind it, so that what rests on both knows when one has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ig_guardrail.costs.kinds.base import CARD, options_sha256, packaged_artifact
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
    found = _artifact(value, kind, folder) if isinstance(value, str) else None
    if found is None or not found.is_dir():
        return value
    files = sorted(one for one in found.rglob("*") if one.is_file())[:MOST_FILES]
    return [
        [
            one.relative_to(found).as_posix(),
            hashlib.sha256(one.read_bytes()).hexdigest()[:_DIGITS] if one.name == CARD else one.stat().st_size,
        ]
        for one in files
    ]


def _artifact(value: str, kind: str, folder: Path | None) -> Path | None:
    """Where an artifact is that an option names, or would be; None for other texts."""
    if value in KINDS[kind].packaged:
        return Path(str(packaged_artifact(kind, value)))
    return (folder or Path()) / value if "/" in value else None
