"""Writes an artifact: tensors, the card a program reads, and the same card for people. All in place at once, or not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.artifact import CARD, FORMAT, TENSORS

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
        partial = folder / f".{name}.{os.getpid()}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, folder / name)


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
