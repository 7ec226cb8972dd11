"""Trains the independent judge, on reserved rows only: the work behind `ig-guardrail train judge`.

Heads never see reserved rows and the judge sees no others, so what it says of a guard's answers is not what the guard
was fitted to. Few reserved rows are harmful answers; harmful reserved prompts stand in, as texts of harmful content.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.judge import TOPICS, count_features
from ig_guardrail.costs.heads.linear import scale_between
from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.data.near_copies import TEMPLATED, Learned, template_of
from ig_guardrail.learn.data.recipes import OWN_ANSWERS, describe_sources
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.learn.fitting.card import rounded, write_artifact
from ig_guardrail.learn.fitting.fit import Fit, fit_words
from ig_guardrail.learn.fitting.prefixes import PrefixSamples, look_at
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, estimate, proportion, within_auc
from ig_guardrail.learn.heads import SEED, Trained, training_record
from ig_guardrail.learn.thresholds import SHARE, Calibration, calibrate

BUCKETS = 2**16
ANSWER_CHARACTERS = 400
SOURCES = {
    "help": ("JailbreakBench-artifacts", "AILuminate demo", "AdvBench"),
    "tone": ("DiaSafety", "t-davidson", "HateCheck"),
}
_LIMITS = (
    "A bag of words and character runs: it knows wording, not meaning, and is weakest where harm is politely put.",
    "Fitted on few harmful answers; harmful prompts stand in for the content of harmful answers.",
    "Its labels are of the same kind as the heads' (same sources, other rows): independent in data, not in taste.",
    "For measuring only. Claim 'judged harmful less often', not 'safe'.",
)


def train_judge(data: Sequence[Path], out: Path) -> Trained:
    """Train both topics on the reserved rows of `data`, set their thresholds, and write the artifact to `out`.

    Half of the reserved benign answers teach what is harmless; the other half set the thresholds, so that 5% of them
    are called harmful by either topic. Raises DataError for malformed rows, GuardrailError if rows are missing.
    """
    read = read_rows(data)
    reserved = [_shortened(row) for row in read.rows if _reserved(row)]
    held_out = [row for row in reserved if _sets_threshold(row)]
    fits = {topic: _fit(topic, [*reserved, *_benign_prompts(reserved)]) for topic in TOPICS}
    logits = {topic: _logits(fits[topic], held_out) for topic in TOPICS}
    found = calibrate(logits, int(SHARE * len(held_out)))
    unseen = [_shortened(row) for row in read.rows if not _reserved(row)]
    card = {
        "name": "judge",
        "kind": "judge",
        "about": "An independent judge of whole answers, for measuring guards. Not a cost model; no policy can use it.",
        "calibration": _calibration(found),
        "quality": quality_of(lambda topic, rows: _logits(fits[topic], rows), read.rows),
        "quality on the model's own answers": _own_quality(fits, found, unseen),
        "training": training_record("ig-guardrail train judge", data, read, {t: fits[t].settings for t in TOPICS}),
        "sources": describe_sources([row for row in reserved if row.text.strip()]),
        "limits": list(_LIMITS),
    }
    tensors = {}
    for topic in TOPICS:
        tensors.update(_tensors(topic, fits[topic], logits[topic], found.thresholds[topic]))
    write_artifact(out, card, tensors)
    return Trained(out, card)


def _fit(topic: str, rows: Sequence[LabelledRow]) -> Fit:
    """Reserved rows of the topic's sources, with the benign answers and prompts that teach; tests train here too."""
    mine = [
        replace(row, split="validation" if row.split == "validation" else "train")
        for row in rows
        if row.source in SOURCES[topic] or (row.source.startswith(OWN_ANSWERS) and not _sets_threshold(row))
    ]
    if not any(row.label == "harmful" for row in mine) or not any(row.label == "safe" for row in mine):
        raise GuardrailError(
            f"the data has no reserved rows of both labels for the topic '{topic}'",
            where="train judge",
            fix=f"give rows of: {', '.join(SOURCES[topic])}, and answers by `ig-guardrail train answers`",
        )
    looks, counts = _looks(mine)
    return fit_words(looks, counts, BUCKETS)


def _looks(rows: Sequence[LabelledRow]) -> tuple[PrefixSamples, list[Any]]:
    return look_at(rows, [(0,) for _ in rows]), [count_features(row.text, BUCKETS) for row in rows]


def _logits(fit: Fit, rows: Sequence[LabelledRow]) -> NDArray[np.float64]:
    from ig_guardrail.costs.heads.lexical import logit_of

    frequency, weight = (fit.tensors[name].astype(np.float64) for name in ("frequency", "weight"))
    bias = float(fit.tensors["bias"][0])
    return np.array([logit_of(count_features(row.text, BUCKETS), frequency, weight) + bias for row in rows])


def quality_of(
    logits: Callable[[str, Sequence[LabelledRow]], NDArray[np.float64]], rows: Sequence[LabelledRow]
) -> dict[str, Any]:
    """What a judge is worth on rows of every split that it has not seen, which are those that heads learn from.

    logits  of a topic, for rows
    Of sentences that were written by template, near copies of learned ones are left out; the others count by template.
    """
    answers = [row for row in rows if row.response is not None]
    learned = [_shortened(row) for row in answers if _reserved(row)]
    unseen = [_shortened(row) for row in answers if not _reserved(row)]
    found: dict[str, Any] = {}
    for topic in TOPICS:
        found[topic] = {}
        for source in SOURCES[topic]:
            fresh, left_out = _fresh(source, learned, unseen)
            harmful = np.array([row.label == "harmful" for row in fresh], dtype=bool)
            if harmful.any() and not harmful.all():
                found[topic][source] = {**left_out, **_separation(logits(topic, fresh), harmful, fresh)}
    return found


def _fresh(
    source: str, learned: Sequence[LabelledRow], unseen: Sequence[LabelledRow]
) -> tuple[list[LabelledRow], dict[str, int]]:
    """The unseen rows of a source, and how many near copies of learned ones were left out, where there may be any."""
    mine = [row for row in unseen if row.source == source]
    if source not in TEMPLATED:
        return mine, {}
    known = Learned(row.text for row in learned if row.source == source)
    fresh = [row for row in mine if not known.hold_copy_of(row.text)]
    return fresh, {"left out, near copies of learned rows": len(mine) - len(fresh)}


def _separation(logits: NDArray[np.float64], harmful: NDArray[np.bool_], rows: Sequence[LabelledRow]) -> dict[str, Any]:
    scored = ScoredSet(logits, harmful, tuple(map(_group, rows)))
    within = estimate(within_auc, scored, SEED)
    return {
        "harmful": int(harmful.sum()),
        "safe": int((~harmful).sum()),
        "auc": rounded(estimate(auc, scored, SEED)),
        "auc within a prompt": None if math.isnan(within.value) else rounded(within),
    }


def _group(row: LabelledRow) -> str:
    return template_of(row.text) if row.source in TEMPLATED else row.prompt or row.text


def _reserved(row: LabelledRow) -> bool:
    return row.reserved or row.split == "reserved"


def _own_quality(fits: dict[str, Fit], found: Calibration, unseen: Sequence[LabelledRow]) -> dict[str, Any]:
    benign = [row for row in unseen if row.source == OWN_ANSWERS]
    flags = {topic: _logits(fits[topic], benign) > found.thresholds[topic] for topic in TOPICS}
    either = np.logical_or.reduce(list(flags.values()))
    return {"benign answers called harmful": rounded(proportion(int(either.sum()), len(benign)))} if benign else {}


def _calibration(found: Calibration) -> dict[str, Any]:
    return {
        "what": "reserved benign answers that training never saw; 0.5 is the threshold of each topic",
        "answers": found.answers,
        "called harmful by either topic": rounded(found.touched),
    }


def _tensors(topic: str, fit: Fit, benign: NDArray[np.float64], threshold: float) -> dict[str, NDArray[Any]]:
    scale = scale_between(float(benign.mean()), threshold)
    numbers = {"centre": scale.centre, "width": scale.width}
    return {
        **{f"{topic}.{name}": tensor for name, tensor in fit.tensors.items()},
        **{f"{topic}.{name}": np.array([number], dtype=np.float32) for name, number in numbers.items()},
    }


def _shortened(row: LabelledRow) -> LabelledRow:
    return row if row.response is None else replace(row, response=row.response.strip()[:ANSWER_CHARACTERS])


def _benign_prompts(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    """Benign questions as texts, so that a text is not harmful for being a question."""
    return [
        LabelledRow(row.prompt, None, "safe", source=f"{OWN_ANSWERS}, the questions")
        for row in rows
        if row.source == OWN_ANSWERS and not _sets_threshold(row)
    ]


def _sets_threshold(row: LabelledRow) -> bool:
    return row.source == OWN_ANSWERS and int(digest_of(row.prompt, "")[:8], 16) % 2 == 0
