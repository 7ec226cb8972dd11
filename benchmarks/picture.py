"""Draws the two pictures of the README from real runs.

python benchmarks/picture.py scene     docs/images/demo.svg: the first demo scene whose unguarded answer is over budget
python benchmarks/picture.py quality   docs/images/quality.png: from benchmarks/results/quality.json
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
IMAGES = HERE.parent / "docs" / "images"
BARS = (
    ("judged harmful,\nall risky prompts", (("unguarded", "harm_unguarded"), ("guarded", "harm_guarded"))),
    (
        "judged harmful, unguarded\nanswer over budget",
        (("unguarded", "over_harm_unguarded"), ("guarded", "over_harm_guarded")),
    ),
    ("refused or ended\nwith a message", (("filter that cuts", "cut_fallback"), ("guarded", "fallback"))),
    ("rescued, of those\nover budget", (("second draw", "redrawn"), ("guarded", "rescued"))),
)
COLOURS = {"unguarded": "#c0504d", "guarded": "#2e7d5b", "filter that cuts": "#8a8a8a", "second draw": "#c9a14a"}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Draw the pictures of the README.")
    parser.add_argument("picture", choices=("scene", "quality"))
    IMAGES.mkdir(parents=True, exist_ok=True)
    {"scene": draw_scene, "quality": draw_quality}[parser.parse_args(arguments).picture]()
    return 0


def draw_scene() -> None:
    """Play scenes in their order until an unguarded answer is over budget, and draw that one, whatever came of it."""
    from ig_guardrail.assembly import open_guardrail
    from ig_guardrail.costs.heads.judge import read_judge
    from ig_guardrail.evaluate.arms import arms_of
    from ig_guardrail.evaluate.demo.cases import play, scenes
    from ig_guardrail.evaluate.demo.view import side_by_side

    console = Console(record=True, width=108, file=io.StringIO(), force_terminal=True)
    arms, judge = arms_of(open_guardrail()), read_judge()
    for scene in scenes():
        played = play(scene, arms, judge, lambda side, text: None)
        if played.over:
            break
    console.print(Text("$ ig-guardrail demo", style="bold"))
    console.print(side_by_side(played))
    picture = console.export_svg(title="the first demo scene whose unguarded answer is over budget")
    (IMAGES / "demo.svg").write_text(without_remote_fonts(picture), encoding="utf-8")


def draw_quality() -> None:
    """Bars with 95 % intervals; every number is read from the results."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    result = json.loads((HERE / "results" / "quality.json").read_text(encoding="utf-8"))
    figures = {row["name"]: row for row in result["figures"]}
    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    for group, (_, bars) in enumerate(BARS):
        for side, (label, name) in enumerate(bars):
            _bar(axes, group + (side - 0.5) * 0.36, label, figures[name])
    axes.set_xticks(range(len(BARS)), [f"{title}\n(n={figures[bars[0][1]]['n']})" for title, bars in BARS])
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of prompts")
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), frameon=False, ncols=len(unique), loc="upper center")
    figure.savefig(IMAGES / "quality.png", dpi=150)


def _bar(axes: Any, x: float, label: str, row: Mapping[str, Any]) -> None:
    value, (low, high) = row["value"], row["interval"]
    axes.bar(x, value, width=0.34, color=COLOURS[label], label=label)
    axes.errorbar(x, value, yerr=[[value - low], [high - value]], color="black", capsize=3, linewidth=1)
    axes.text(x, high + 0.015, f"{value:.2f}", ha="center", fontsize=9)


def without_remote_fonts(svg: str) -> str:
    """The picture without the font files that Rich would have a viewer fetch."""
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
