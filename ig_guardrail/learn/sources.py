"""What a card says of the public data that a head was trained on: whose it is, and what to know of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ig_guardrail.learn.recipes import OWN_ANSWERS
from ig_guardrail.learn.rows import Row

NOTES: Mapping[str, str] = {
    OWN_ANSWERS: "the base model's own answers to harmless questions written for this project, at temperature 0.7",
    "AILuminate demo": "MLCommons AILuminate demo prompt set (CC-BY-4.0), without the hazard of child abuse",
    "AdvBench": "harmful instructions of the llm-attacks project (Zou and others, 2023)",
    "benign-questions": "harmless questions written for this project; the answers are the base model's own",
    "DiaSafety": "DiaSafety (Sun and others, 2022): a context, an answer, and whether the answer is safe",
    "HateCheck": "HateCheck (Röttger and others, 2021; CC-BY-4.0): functional tests of hate-speech detection",
    "JailbreakBench-artifacts": "JailbreakBench (Chao and others, 2024): the requests are MIT, the answers were "
    "written by Vicuna-13B v1.5 (under Llama 2 terms), GPT-3.5 and GPT-4, and labelled by a judge model",
    "t-davidson": "Davidson and others, 2017: tweets with user names and links replaced; the repository is MIT, the "
    "tweets are their writers'",
}


def describe_sources(rows: Sequence[Row]) -> dict[str, Any]:
    """For each source of `rows`: note, licence, and rows by split and label."""
    found: dict[str, Any] = {}
    for source in sorted({row.source for row in rows}):
        mine = [row for row in rows if row.source == source]
        counts = Counter(f"{row.split} {row.label}" for row in mine)
        found[source] = {
            "licence": ", ".join(sorted({row.licence for row in mine})),
            **({"note": NOTES[source]} if source in NOTES else {}),
            "rows": dict(sorted(counts.items())),
        }
    return found
