"""The pictures of docs/performance.md; every number is read from the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from speed.shares import PARTS

COLOURS = ("#3b5b7a", "#2e7d5b", "#c9a14a", "#b8b8b8", "#c0504d")


def draw_shares(result: Mapping[str, Any], path: Path) -> None:
    """A stacked bar for each kind of decoding and length of the prompt."""
    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    bars = result["shares"]
    floor = [0.0] * len(bars)
    for part, colour in zip(PARTS, COLOURS, strict=True):
        heights = [bar["ms"][part] for bar in bars]
        axes.bar(range(len(bars)), heights, width=0.6, bottom=floor, color=colour, label=part)
        floor = [below + height for below, height in zip(floor, heights, strict=True)]
    for x, height in enumerate(floor):
        axes.text(x, height, f"{height:.0f}", ha="center", va="bottom", fontsize=9)
    axes.set_xticks(range(len(bars)), [f"{bar['kind'].replace(', ', chr(10))}\nprompt {bar['prompt']}" for bar in bars])
    axes.tick_params(axis="x", labelsize=8)
    axes.set_ylabel("CPU milliseconds a shown token")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    figure.savefig(path, dpi=150)


def draw_widening(result: Mapping[str, Any], path: Path) -> None:
    """The measured points over the line 1 + p r."""
    found = result["widening"]
    points, r = found["points"], found["r"]["value"]
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.plot([0, 1], [1, 1 + r], color="#8a8a8a", label=f"1 + p r, r = {r:.2f}")
    middles = [point["value"] for point in points]
    below = [point["value"] - point["interval"][0] for point in points]
    above = [point["interval"][1] - point["value"] for point in points]
    shares = [point["p"] for point in points]
    axes.errorbar(shares, middles, yerr=[below, above], fmt="o", color="#2e7d5b", capsize=3, label="measured")
    axes.set_xlabel("p, share of blocks that were widened")
    axes.set_ylabel("cost over no widening")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=150)
