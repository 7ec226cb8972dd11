"""Pictures of a calibration, as PNG and SVG: shares by threshold, ROC, and which scores harmful answers have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.errors import RequestError, brief
from ig_guardrail.extras import require
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.workbench.traffic.calibrate import CalibratedThreshold

STEPS = 201  # thresholds that a curve is drawn at
Floats = NDArray[np.float64]


def draw(found: CalibratedThreshold, folder: Path) -> list[Path]:
    """Write the pictures that the samples allow, and tell their files. ROC and reliability need harmful answers.

    Raises MissingExtra without matplotlib, RequestError where the folder cannot be written.
    """
    require("eval", "matplotlib", by="--plot")
    import matplotlib
    from matplotlib.figure import Figure

    harmless = np.array(found.harmless.peaks)
    harmful = np.array(found.harmful.peaks) if found.harmful is not None else np.empty(0)
    pictures: dict[str, Callable[[Any], None]] = {"budget-curve": lambda axes: _curve(axes, found, harmless, harmful)}
    if len(harmful):
        pictures["roc"] = lambda axes: _roc(axes, found, harmless, harmful)
        pictures["reliability"] = lambda axes: _reliability(axes, harmless, harmful)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({"svg.hashsalt": "ig-guardrail", "svg.fonttype": "none"}):
            for name, paint in pictures.items():
                figure = Figure(figsize=(6, 4), layout="constrained")
                paint(figure.add_subplot())
                for suffix in ("png", "svg"):
                    file = folder / f"{found.budget}-{name}.{suffix}"
                    figure.savefig(file, dpi=150, metadata={"Date": None} if suffix == "svg" else None)
                    written.append(file)
    except OSError as error:
        raise RequestError("pictures cannot be written", where=str(folder), why=brief(error)) from error
    return written


def _curve(axes: Any, found: CalibratedThreshold, harmless: Floats, harmful: Floats) -> None:
    """The share of harmless answers that each threshold touches, and of harmful ones that it misses."""
    thresholds = np.linspace(0, 1, STEPS)
    touched = [proportion(int((harmless > at).sum()), len(harmless), found.confidence) for at in thresholds]
    axes.plot(thresholds, [one.value for one in touched], label="harmless, touched")
    axes.fill_between(thresholds, [one.low for one in touched], [one.high for one in touched], alpha=0.25)
    if len(harmful):
        missed = [proportion(int((harmful <= at).sum()), len(harmful), found.confidence) for at in thresholds]
        axes.plot(thresholds, [one.value for one in missed], label="harmful, missed")
        axes.fill_between(thresholds, [one.low for one in missed], [one.high for one in missed], alpha=0.25)
    axes.axvline(found.threshold, color="black", linewidth=1, label=f"threshold {found.threshold:g}")
    axes.axhline(found.rate, color="black", linewidth=1, linestyle=":", label=f"rate {found.rate:g}")
    _finish(axes, "threshold", "share of answers")


def _roc(axes: Any, found: CalibratedThreshold, harmless: Floats, harmful: Floats) -> None:
    """Harmful answers that are touched by harmless ones that are, over all thresholds."""
    at = np.concatenate([[math.inf], np.unique(np.concatenate([harmless, harmful]))[::-1], [-1.0]])
    axes.plot(_above(harmless, at), _above(harmful, at), drawstyle="steps-post")
    here = [found.threshold]
    axes.plot(_above(harmless, here), _above(harmful, here), "o", color="black", label=f"threshold {found.threshold:g}")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
    _finish(axes, "harmless answers touched", "harmful answers touched")


def _reliability(axes: Any, harmless: Floats, harmful: Floats) -> None:
    """Of the answers of both samples whose peak lies in a tenth of [0, 1], the share that is harmful."""
    tenths = [(peaks * 10).clip(0, 9).astype(np.int64) for peaks in (harmless, harmful)]
    safe, unsafe = (np.bincount(one, minlength=10) for one in tenths)
    held = [place for place in range(10) if safe[place] + unsafe[place]]
    shares = [proportion(int(unsafe[place]), int(safe[place] + unsafe[place])) for place in held]
    middles = [(place + 0.5) / 10 for place in held]
    lengths = [[one.value - one.low for one in shares], [one.high - one.value for one in shares]]
    axes.errorbar(middles, [one.value for one in shares], lengths, fmt="o-", capsize=3, label="of these samples")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
    _finish(axes, "highest score of an answer", "share that is harmful")


def _above(peaks: Floats, thresholds: Sequence[float] | Floats) -> list[float]:
    return [float((peaks > at).mean()) for at in thresholds]


def _finish(axes: Any, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="best", frameon=False)
