"""A policy between its text and its use: what is sound in it, and where each part stands.

Also here: what a policy comes to when its defaults and presets are filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ig_guardrail.policy.diagnostics.diagnostic import Position, Spot, Steps
from ig_guardrail.policy.language.search import PRESETS, SEARCH
from ig_guardrail.policy.yaml.tree import Scalar, YamlNode
from ig_guardrail.types import PARTS


@dataclass(frozen=True, slots=True)
class WrittenMessage:
    """A message as it is written. path: of its text; language: of its place. hazard: None for one for all."""

    part: str
    hazard: str | None
    tag: str
    text: str
    approved: Mapping[str, str] | None
    language: Steps
    path: Steps

    @property
    def name(self) -> str:
        """As receipts call it: `refusal.en`, `closing.by_hazard.ssh.de`."""
        return ".".join(map(str, self.language[1:]))


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """A policy as it is written: its sound values, and where each part stands.

    values  nested as in the file; None for what has a fault, and nothing for what is not written
    nodes   the tree of every part that was looked at, by path
    keys    the place of every key, by path
    tags    keys that are read in another spelling, by the path in that spelling
    """

    values: Mapping[str, Any]
    nodes: Mapping[Steps, YamlNode] = field(default_factory=dict)
    keys: Mapping[Steps, Position] = field(default_factory=dict)
    tags: Mapping[Steps, Scalar] = field(default_factory=dict)

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

    def messages(self) -> Iterator[WrittenMessage]:
        """Every message that is sound, those for one hazard among them."""
        for part in PARTS.values():
            general = self.value("messages", part)
            own = (general or {}).get("by_hazard") or {}
            yield from self._messages(part, None, general, ("messages", part))
            for hazard, texts in own.items():
                yield from self._messages(part, hazard, texts, ("messages", part, "by_hazard", hazard))

    def _messages(self, part: str, hazard: str | None, texts: Any, path: Steps) -> Iterator[WrittenMessage]:
        for tag, said in (texts or {}).items():
            here = (*path, tag)
            if isinstance(said, str):
                yield WrittenMessage(part, hazard, tag, said, None, here, here)
            elif tag != "by_hazard" and said is not None and said.get("text") is not None:
                yield WrittenMessage(part, hazard, tag, said["text"], said.get("approved"), here, (*here, "text"))

    def faulty(self, *path: str | int) -> bool:
        """Whether a path is in the file, but not sound."""
        return self.written(*path) and self.value(*path) is None

    def spot(self, *path: str | int) -> Spot:
        """The place of a value."""
        return Spot(path, self.nodes[path].mark)

    def key_spot(self, *path: str | int) -> Spot:
        """The place of a key; of the value where it has none."""
        return Spot(path, self.keys.get(path) or self.nodes[path].mark)


def search_settings(draft: PolicyDraft) -> dict[str, Any]:
    """Every search setting but preset and swaps: written, else the preset's, else the default."""
    own = {name: value for name, value in (draft.value("search") or {}).items() if value is not None}
    settings = {**SEARCH.defaults(), **PRESETS.get(own.get("preset", ""), {}), **own, "strategy": strategy_of(draft)}
    if "preset" in own and "beams" not in own:
        settings["beams"] = max(1, settings["candidates"] // 4)
    if "accept" not in own:
        settings["accept"] = min(settings["accept"], settings["trigger"])
    del settings["preset"], settings["swaps"]
    return settings


def strategy_of(draft: PolicyDraft) -> str:
    """The strategy: written, else what `output.on_exceed` asks for."""
    written = draft.value("search", "strategy")
    return str(written) if written else "cut" if draft.value("output", "on_exceed") == ["end"] else "inference_guard"
