"""What a policy comes to when its defaults and presets are filled in."""

from __future__ import annotations

from typing import Any

from ig_guardrail.policy.draft import Draft
from ig_guardrail.policy.language import PRESETS, SEARCH


def search_settings(draft: Draft) -> dict[str, Any]:
    """Every search setting but preset and swaps: written, else the preset's, else the default."""
    own = {name: value for name, value in (draft.value("search") or {}).items() if value is not None}
    settings = {**SEARCH.defaults(), **PRESETS.get(own.get("preset", ""), {}), **own, "strategy": strategy_of(draft)}
    if "preset" in own and "beams" not in own:
        settings["beams"] = max(1, settings["candidates"] // 4)
    if "accept" not in own:
        settings["accept"] = min(settings["accept"], settings["trigger"])
    del settings["preset"], settings["swaps"]
    return settings


def strategy_of(draft: Draft) -> str:
    """The strategy: written, else what `output.on_exceed` asks for."""
    written = draft.value("search", "strategy")
    return str(written) if written else "cut" if draft.value("output", "on_exceed") == ["end"] else "inference_guard"
