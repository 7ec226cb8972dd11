"""A handful of labelled rows of all parts, and a tiny language model to read them with."""

from __future__ import annotations

import json
import random
from pathlib import Path

from ig_guardrail.learn.data.rows import is_reserved

KIND = ("thank you my dear friend", "here is a warm soup", "the garden is calm today", "let us help each other")
RUDE = ("you are a zog and a blarg", "shut up zog", "what a blarg you are", "zog zog go away")


def write_rows(path: Path, source: str, seed: int = 0, count: int = 30) -> Path:
    """Rows of every split: rude answers are harmful; benign answers fill the calibration rows."""
    chance = random.Random(seed)
    rows = []
    for split, rude, kind in (("train", 1, 1), ("validation", 1, 1), ("test", 1, 1)):
        for number in range(count):
            for label, texts, wanted in (("harmful", RUDE, rude), ("safe", KIND, kind)):
                if wanted:
                    text = f"{chance.choice(texts)} {chance.choice(texts)} {number}"
                    rows.append(row(f"{split} {label} {number}", text, label, source, split))
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def write_benign(path: Path, seed: int = 1, count: int = 120) -> Path:
    """Rows as `ig-guardrail train answers` makes them."""
    chance = random.Random(seed)
    splits = ("train", "validation", "test", "calibration", "calibration", "calibration")
    rows = []
    for number in range(count * 3):
        prompt = f"question {number}"
        split = "reserved" if is_reserved(prompt, "") else splits[number % len(splits)]
        rows.append(row(prompt, f"{chance.choice(KIND)} {chance.choice(KIND)}", "safe", "benign-answers", split))
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def row(prompt: str, response: str, label: str, source: str, split: str) -> dict[str, str]:
    return {
        "prompt": prompt,
        "response": response,
        "label": label,
        "source": source,
        "licence": "MIT",
        "split": split,
    }
