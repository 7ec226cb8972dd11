"""Trains a head on a sentence encoder and writes it with its card: the work behind `ig-guardrail train encoder`.

Answers are looked at as a guard reads them, window by window, at every charge point. No language model is needed but
for its own harmless answers, which are rows like others.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.encoder.cost import EncoderCost, read_encoder_cost
from ig_guardrail.costs.encoder.sentences import SentenceEncoder
from ig_guardrail.costs.encoder.windows import WindowShape
from ig_guardrail.costs.heads.artifact import read_artifact
from ig_guardrail.costs.heads.latent import read_scale
from ig_guardrail.costs.heads.linear import Scale
from ig_guardrail.costs.kinds.encoder import ANSWER, EXCHANGE
from ig_guardrail.learn.brief import BriefLine, fit_brief_windows
from ig_guardrail.learn.data.recipes import (
    OWN_ANSWERS,
    SENSITIVE,
    WRITTEN,
    Recipe,
    choose_rows,
    describe_sources,
    recipe_named,
    with_consent,
    with_refusals,
)
from ig_guardrail.learn.data.rows import LabelledRow, LabelledRows, read_rows
from ig_guardrail.learn.fitting.card import add_to_card, report, rounded, write_artifact
from ig_guardrail.learn.fitting.prefixes import PrefixSamples
from ig_guardrail.learn.fitting.scale import harmless_scale, scale_tensors
from ig_guardrail.learn.fitting.windows import WORDS, fit_windows, read_requests, read_vectors, sample_windows
from ig_guardrail.learn.heads import BUCKETS, SEED, Trained, demand_parts, put_brief, training_record
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.types import Message, Piece, Prompt

SHAPE = WindowShape(64, 32)
HARMLESS = ((OWN_ANSWERS,), WRITTEN)  # of each, as few answers may peak above 0.5
THRESHOLDS = (0.5, 0.6, 0.7)
TIMED_WORDS = 64
TIMES = 20


def train_encoder(
    encoder: SentenceEncoder,
    data: Sequence[Path],
    out: Path,
    recipe: str,
    cache: Path,
    measure: Sequence[Path] = (),
    reads: str = ANSWER,
) -> Trained:
    """Train the head of a recipe and write it to `out`.

    data     .jsonl or .jsonl.gz files of rows, a model's own benign answers among them
    cache    where vectors are kept between runs; an interrupted run goes on from there
    measure  files of more rows: of whole answers in their test splits, the share above thresholds goes into the card
    reads    "answer", or "exchange": what was asked as well
    Harm is that of the recipe, and for exchanges beginnings of help with the harmful requests in the data; harmless
    text of every source is learned, and refusals of those requests. Rows reserved for judges are left out. Raises
    DataError for malformed rows, GuardrailError for missing parts.
    """
    chosen = recipe_named(recipe)
    read = read_rows(data)
    rows = _rows(chosen, read)
    if reads == EXCHANGE:
        rows = with_consent(chosen, rows, read.rows)
    demand_parts(rows, "train encoder")
    samples = sample_windows(encoder, rows, SHAPE, reads == EXCHANGE)
    vectors = read_vectors(encoder, samples.texts, cache)
    asked = read_requests(encoder, samples.asked, cache) if reads == EXCHANGE else None
    fit = fit_windows(samples, vectors, BUCKETS, asked)
    scale = encoder_scale(samples.looks, fit.logits)
    card: dict[str, Any] = {
        "name": recipe,
        "kind": "encoder",
        "about": chosen.about,
        "encoder": {
            "name": encoder.name,
            "sha256": encoder.sha256,
            "pieces": SHAPE.pieces,
            "overlap": SHAPE.overlap,
            **({"reads": reads} if reads == EXCHANGE else {}),
        },
        "calibration": _calibration(samples.looks, fit.logits, scale),
        "quality": report(samples.looks, fit.logits, scale.centre, SEED),
        "training": training_record(
            f"ig-guardrail train encoder --recipe {recipe}{' --reads exchange' if reads == EXCHANGE else ''}",
            data,
            read,
            fit.settings,
            "onnxruntime",
            "tokenizers",
        ),
        "sources": describe_sources(rows),
        "limits": list(chosen.limits),
    }
    brief = _brief(rows, encoder, scale, cache) if reads == ANSWER else None
    if brief is not None:
        card["brief"] = brief.card
    write_artifact(out, card, {**fit.tensors, **scale_tensors(scale), **(brief.tensors if brief else {})})
    cost = read_encoder_cost(out, encoder, recipe, (recipe,), reads)
    own = [row for row in choose_rows(chosen, read.rows) if row.source in (SENSITIVE, *chosen.harmful)]
    seen = [row for row in (*own, *read_rows(measure).rows) if row.split == "test"]
    add_to_card(
        out,
        "measured",
        {**_measured(cost, seen), "milliseconds of a processor at a charge point": _speed(cost, samples.texts)},
    )
    return Trained(out, card)


def add_brief_windows(
    encoder: SentenceEncoder, data: Sequence[Path], folder: Path, recipe: str, cache: Path
) -> Trained:
    """Fit the second line of the head in `folder`, which reads answers alone, and write it there; the first stays.

    Raises ModelError if no head is there, HeadMismatch if it belongs to another encoder, GuardrailError if it reads
    exchanges, DataError for malformed rows.
    """
    artifact, read = read_artifact(folder, "encoder"), read_rows(data)
    read_encoder_cost(folder, encoder, recipe, (recipe,))
    rows = _rows(recipe_named(recipe), read)
    demand_parts(rows, "train brief")
    brief = _brief(rows, encoder, read_scale(artifact), cache)
    packages = ("onnxruntime", "tokenizers")
    command = f"ig-guardrail train brief --recipe {recipe}"
    return put_brief(folder, artifact, brief, training_record(command, data, read, brief.card["settings"], *packages))


def _rows(recipe: Recipe, read: LabelledRows) -> tuple[LabelledRow, ...]:
    """Its harm, harmless text of every source, and refusals of the harmful requests."""
    return with_refusals(choose_rows(replace(recipe, safe=()), read.rows), read.rows)


def _brief(rows: Sequence[LabelledRow], encoder: SentenceEncoder, scale: Scale, cache: Path) -> BriefLine:
    return fit_brief_windows(rows, encoder, SHAPE, BUCKETS, scale, cache)


def encoder_scale(looks: PrefixSamples, logits: NDArray[np.float64]) -> Scale:
    """The score curve: 0.1 at the mean of a model's own answers, 0.5 where few harmless ones of each source peak."""
    groups = [_calibrating(looks, *sources) for sources in HARMLESS]
    return harmless_scale(looks, logits, _calibrating(looks, OWN_ANSWERS), *filter(any, groups))


def _calibration(looks: PrefixSamples, logits: NDArray[np.float64], scale: Scale) -> dict[str, Any]:
    peaks = looks.peaks(logits)
    found: dict[str, Any] = {
        "what": "harmless answers that training never saw, read to their ends. 0.5 is the lowest score which no more "
        "than 5% of a model's own, and of this project's, reach at some charge point; 0.1 is that of the mean logit of "
        "the model's own",
    }
    for sources in HARMLESS:
        mine = peaks[np.array(_calibrating(looks, *sources))]
        if len(mine):
            above = int((mine > scale.centre).sum())
            found[" and ".join(sources)] = {
                "answers": len(mine),
                "share above 0.5": rounded(proportion(above, len(mine))),
            }
    return found


def _calibrating(looks: PrefixSamples, *sources: str) -> list[bool]:
    return [row.split == "calibration" and row.label == "safe" and row.source in sources for row in looks.rows]


def _measured(cost: EncoderCost, rows: Sequence[LabelledRow]) -> dict[str, Any]:
    """Of whole answers, read as a guard reads them: how many of each source and label score so high at some point."""
    answers = sorted((row for row in rows if row.response is not None), key=_group)
    found = {}
    for group, mine in groupby(answers, key=_group):
        peaks = [peak_score(cost, row.text, row.prompt) for row in mine]
        shares = {
            f"above {threshold}": rounded(proportion(sum(peak > threshold for peak in peaks), len(peaks)))
            for threshold in THRESHOLDS
        }
        found[group] = {"answers": len(peaks), **shares}
    return found


def _group(row: LabelledRow) -> str:
    return f"{row.source}, {row.label}"


def peak_score(cost: EncoderCost, text: str, asked: str = "", every: int = WORDS) -> float:
    """The highest score of an answer to what was asked, at a charge point, `every` so many words, or at its end."""
    words = text.split()
    state, peak = cost.start(Prompt((Message("user", asked),), ())), 0.0
    for start in range(0, len(words), every):
        stop = start + every
        piece = Piece(" ".join(words[start:stop]) + " ", ended=stop >= len(words))
        ((state, scores),) = cost.advance([(state, piece)])
        peak = max(peak, *scores)
    return peak


def _speed(cost: EncoderCost, texts: Sequence[str]) -> dict[str, Any]:
    """Processor time of a charge point that reads the last twelve of 64 words, which takes one thread: the median."""
    words = " ".join(texts).split()
    spent = []
    for number in range(min(TIMES, len(words) // TIMED_WORDS)):
        mine = words[number * TIMED_WORDS : (number + 1) * TIMED_WORDS]
        before = Piece(" ".join(mine[:-WORDS]) + " ")
        ((state, _),) = cost.advance([(cost.start(Prompt((), ())), before)])
        started = time.thread_time()
        cost.advance([(state, Piece(" ".join(mine[-WORDS:]), ended=True))])
        spent.append((time.thread_time() - started) * 1e3)
    return {"median": round(statistics.median(spent), 1), "words": TIMED_WORDS} if spent else {}
