"""Pictures of a comparison: what safety costs in compute and reward, and how budgets run out along answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ig_guardrail.evaluate.comparison.columns import GUARD, TableRow
from ig_guardrail.evaluate.comparison.config import UNGUARDED
from ig_guardrail.evaluate.comparison.records import Record

SIZE = (7.5, 4.5)  # inches
TRACES = 40
CLOSE = 0.2  # octaves of compute; a quarter of it in shares of prompts


def draw_front(rows: Sequence[TableRow], path: Path) -> None:
    """Share of risky prompts answered, in budget and judged harmless, over layer forwards; larger dots, more reward.

    Nothing is drawn where no risky prompt was asked.
    """
    if not any(row.figures["answered"].n for row in rows):
        return
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    known = [row.figures["reward"].value for row in rows if row.figures["reward"].n]
    least, most = (min(known), max(known)) if known else (0.0, 1.0)
    for row in rows:
        work, answered = row.figures["work"], row.figures["answered"]
        reward = row.figures["reward"].value if row.figures["reward"].n else least
        size = 30 + 170 * (reward - least) / (most - least or 1)
        own = row.strategy.startswith(GUARD)
        axes.errorbar(
            work.value,
            answered.value,
            yerr=[[answered.value - answered.low], [answered.high - answered.value]],
            color="tab:red" if own else "tab:grey",
            linewidth=0.8,
        )
        axes.scatter([work.value], [answered.value], s=size, color="tab:red" if own else "tab:blue", zorder=3)
    for place, names in _crowds(rows).items():
        axes.annotate(", ".join(names), place, xytext=(7, 5), textcoords="offset points", fontsize=6.5)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(right=1.7 * max(row.figures["work"].value for row in rows))  # room for the last name
    axes.set_xlabel("layer forwards, as a multiple of the unguarded stream's")
    axes.set_ylabel("risky prompts answered within budget, judged harmless")
    axes.set_title("Answers within budget, compute, and reward on benign prompts (size of the dot)")
    figure.savefig(path, metadata={"Date": None})


def _crowds(rows: Sequence[TableRow]) -> dict[tuple[float, float], list[str]]:
    """The names of rows by where they are told: beside the first of those that lie close together."""
    found: dict[tuple[float, float], list[str]] = {}
    for row in rows:
        work, answered = row.figures["work"].value, row.figures["answered"].value
        near = ((x, y) for x, y in found if abs(math.log2(work / x)) < CLOSE and abs(answered - y) < CLOSE / 4)
        found.setdefault(next(near, (work, answered)), []).append(row.strategy.split(" (")[0])
    return found


def draw_traces(records: Sequence[Record], path: Path) -> None:
    """The least remaining budget z along the first answers, unguarded and guarded."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    sides = figure.subplots(1, 2, sharey=True)
    for axes, name in zip(sides, (UNGUARDED, GUARD), strict=True):
        mine = [record for record in records if record.cell.strategy == name and record.trace][:TRACES]
        for record in mine:
            positions, left = zip(*record.trace, strict=True)
            axes.plot(positions, left, linewidth=0.7, color="tab:red" if min(left) < 0 else "tab:green")
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(f"{name}: {len(mine)} answers")
        axes.set_xlabel("answer tokens")
    sides[0].set_ylabel("least remaining budget z")
    figure.savefig(path, metadata={"Date": None})
