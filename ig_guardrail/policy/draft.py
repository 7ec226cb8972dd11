"""A policy between its text and its use: what is sound in it, and where each part stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ig_guardrail.policy.faults import Mark, Spot, Steps
from ig_guardrail.policy.tree import Tree


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy as it is written: its sound values, and where each part stands.

    values  nested as in the file; None for what has a fault, and nothing for what is not written
    nodes   the tree of every part that was looked at, by path
    keys    the place of every key, by path
    """

    values: Mapping[str, Any]
    nodes: Mapping[Steps, Tree] = field(default_factory=dict)
    keys: Mapping[Steps, Mark] = field(default_factory=dict)

    def value(self, *path: str | int) -> Any:
        """The sound value at a path, or None."""
        found: Any = self.values
        for step in path:
            if isinstance(found, dict):
                found = found.get(step)
            else:
                found = found[step] if isinstance(found, list) and isinstance(step, int) and step < len(found) else None
        return found

    def written(self, *path: str | int) -> bool:
        """Whether a path is in the file, sound or not."""
        return path in self.nodes

    def faulty(self, *path: str | int) -> bool:
        """Whether a path is in the file, but not sound."""
        return self.written(*path) and self.value(*path) is None

    def spot(self, *path: str | int) -> Spot:
        """The place of a value."""
        return Spot(path, self.nodes[path].mark)

    def key_spot(self, *path: str | int) -> Spot:
        """The place of a key; of the value where it has none."""
        return Spot(path, self.keys.get(path) or self.nodes[path].mark)
