"""Writes an artifact: tensors, the card a program reads, and the same card for people. All in place at once, or not.

Also here: what a fitted head is worth on rows it never saw, in the form its card keeps.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.artifact import FORMAT, TENSORS
from ig_guardrail.costs.kinds.base import CARD
from ig_guardrail.engine.loading.store import put_in_place
from ig_guardrail.learn.data.recipes import OWN_ANSWERS
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.fitting.prefixes import PrefixSamples
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, detection_at, estimate, within_auc
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.statistics.bootstrap import Estimate

READABLE = "CARD.md"


def write_artifact(folder: Path, card: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write `card` and `tensors` (float16 or float32 vectors) into `folder`, replacing what is there.

    The card's format and the hash of the tensors are added here. A crash leaves no half-written artifact.
    """
    from safetensors.numpy import save

    content = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    full = {"format": FORMAT, **card, "tensors_sha256": hashlib.sha256(content).hexdigest()}
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        (partial / TENSORS).write_bytes(content)
        (partial / CARD).write_text(json.dumps(full, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (partial / READABLE).write_text(readable(full), encoding="utf-8")
        _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def add_to_card(folder: Path, section: str, content: Mapping[str, Any]) -> None:
    """Set one section of an artifact's card, readable form included; the tensors stay as they are."""
    card = {**json.loads((folder / CARD).read_text(encoding="utf-8")), section: content}
    for name, text in (
        (READABLE, readable(card)),
        (CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n"),
    ):
        with put_in_place(folder / name) as beside:
            beside.write_text(text, encoding="utf-8")


def readable(card: Mapping[str, Any]) -> str:
    """A card as Markdown: each section a heading, nested values as lists."""
    lines = [f"# {card.get('name', 'head')}", "", str(card.get("about", "")), ""]
    for name, value in card.items():
        if name not in ("name", "about", "format"):
            lines += [f"## {name.replace('_', ' ').capitalize()}", "", *_lines(value, 0), ""]
    return "\n".join(lines).rstrip() + "\n"


def _lines(value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    if _is_estimate(value):
        return [f"{indent}{_estimate(value)}"]
    if isinstance(value, Mapping):
        lines = []
        for name, inner in value.items():
            if isinstance(inner, (Mapping, list)) and not _is_estimate(inner):
                lines += [f"{indent}- {name}:", *_lines(inner, depth + 1)]
            else:
                lines.append(f"{indent}- {name}: {_lines(inner, 0)[0]}")
        return lines
    if isinstance(value, list):
        return [f"{indent}- {_plain(inner)}" for inner in value]
    return [f"{indent}{_plain(value)}"]


def _is_estimate(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"value", "interval"}


def _estimate(value: Mapping[str, Any]) -> str:
    low, high = value["interval"]
    return f"{value['value']:.3f} (95%: {low:.3f} to {high:.3f})"


def _plain(value: Any) -> str:
    return "not measurable" if value is None else str(value)


def _put_in_place(fresh: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


Floats = NDArray[np.float64]


def report(looks: PrefixSamples, logits: Floats, centre: float, seed: int) -> dict[str, Any]:
    """Quality on the test rows, by source: AUC at the end, as charged and within a goal, and detection rates.

    `centre` is the logit that scores 0.5; detection is measured against the model's own benign test answers.
    """
    ends, peaks = looks.at_end(logits), looks.peaks(logits)
    benign = [row.source == OWN_ANSWERS and row.split == "test" for row in looks.rows]
    found: dict[str, Any] = {"benign answers above 0.5 at some charge point": _share(peaks, benign, centre)}
    for source in sorted({row.source for row in looks.rows if row.source != OWN_ANSWERS}):
        mine = [row.source == source and row.split == "test" for row in looks.rows]
        harmful = [chosen and row.label == "harmful" for chosen, row in zip(mine, looks.rows, strict=True)]
        safe = [chosen and row.label == "safe" for chosen, row in zip(mine, looks.rows, strict=True)]
        if any(harmful):
            against = [one or other for one, other in zip(harmful, benign, strict=True)]
            found[source] = {
                "harmful": sum(harmful),
                "safe": sum(safe),
                **_separation(looks, ends, peaks, mine, seed),
                **_detection(looks, ends, against, seed),
                "harmful above 0.5 at some charge point": _share(peaks, harmful, centre),
                "safe above 0.5 at some charge point": _share(peaks, safe, centre),
            }
    return found


def _separation(looks: PrefixSamples, ends: Floats, peaks: Floats, mine: list[bool], seed: int) -> dict[str, Any]:
    whole, charged = _scored(looks, ends, mine), _scored(looks, peaks, mine)
    if whole.harmful.all():
        return {}
    return {
        "auc": _measured(auc, whole, seed),
        "auc as charged": _measured(auc, charged, seed),
        "auc within a prompt": _measured(within_auc, whole, seed),
    }


def _detection(looks: PrefixSamples, ends: Floats, against: list[bool], seed: int) -> dict[str, Any]:
    scored = _scored(looks, ends, against)
    if scored.harmful.all():
        return {}
    return {
        "detected at 1% of benign answers": _measured(detection_at(0.01), scored, seed),
        "detected at 5% of benign answers": _measured(detection_at(0.05), scored, seed),
    }


def _measured(statistic: Callable[[ScoredSet], float], scored: ScoredSet, seed: int) -> dict[str, Any] | None:
    found = estimate(statistic, scored, seed)
    return None if np.isnan(found.value) else rounded(found)


def _scored(looks: PrefixSamples, values: Floats, chosen: list[bool]) -> ScoredSet:
    rows = [row for row, taken in zip(looks.rows, chosen, strict=True) if taken]
    harmful = np.array([row.label == "harmful" for row in rows], dtype=bool)
    return ScoredSet(values[np.array(chosen, dtype=bool)], harmful, tuple(map(_group, rows)))


def _group(row: LabelledRow) -> str:
    return row.prompt or row.text


def _share(peaks: Floats, chosen: list[bool], centre: float) -> dict[str, Any] | None:
    values = peaks[np.array(chosen, dtype=bool)]
    return rounded(proportion(int((values > centre).sum()), len(values))) if len(values) else None


def rounded(found: Estimate) -> dict[str, Any]:
    """A value and its 95% interval, as cards keep them."""
    return {"value": round(found.value, 3), "interval": [round(found.low, 3), round(found.high, 3)]}
