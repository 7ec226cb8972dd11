"""Where results stand, and how they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"

Result: TypeAlias = Mapping[str, Any]
Section: TypeAlias = Callable[[Path], str]  # made from the results in a folder


def read_result(folder: Path, name: str) -> Any:
    """A file of results, or the card of an artifact, by its name without the ending."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
