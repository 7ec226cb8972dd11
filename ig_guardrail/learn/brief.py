"""The second line of a head, for brief answers: learned from first tokens or words of its rows, and from brief answers.

Harm is the beginnings of the head's harmful rows, and rows that are as short as that. Harmless are the same of its
safe rows, and brief answers written for this project. The line is put on the curve of the head: 0.5 is the score which
5% of brief harmless answers reach, and 0.1 that of their mean logit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.encoder.sentences import SentenceEncoder
from ig_guardrail.costs.encoder.windows import WindowShape
from ig_guardrail.costs.heads.brief import BRIEF, BRIEF_PIECES, BRIEF_TOKENS, BRIEF_WORDS
from ig_guardrail.costs.heads.linear import Scale
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.learn.data.brief import brief_rows
from ig_guardrail.learn.data.recipes import BRIEF_ANSWERS, describe_sources
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.fitting.card import report, rounded
from ig_guardrail.learn.fitting.fit import Fit, fit_latent, fit_words
from ig_guardrail.learn.fitting.prefixes import PrefixSamples, look_at, whole_counts
from ig_guardrail.learn.fitting.scale import harmless_scale
from ig_guardrail.learn.fitting.states import rows_means
from ig_guardrail.learn.fitting.windows import fit_windows, read_vectors, sample_windows
from ig_guardrail.statistics.binomial import proportion

TOKENS = (1, 2, 3, 5, BRIEF_TOKENS - 1)
WORDS = (2, BRIEF_WORDS - 1)
LOGIT = {"weight", "words.weight", "bias"}  # the tensors whose size is that of the logit
SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class BriefLine:
    """The second line before it is written: its tensors by name, and what the head's card says of it."""

    tensors: Mapping[str, NDArray[Any]]
    card: Mapping[str, Any]


def fit_brief_states(rows: Sequence[LabelledRow], weights: Weights, layer: int, curve: Scale, cache: Path) -> BriefLine:
    """Of a head on hidden states, for answers of fewer than `BRIEF_TOKENS`.

    layer  that of the head
    curve  that of the head, from logits to scores
    cache  where hidden states are kept between runs
    """
    seen = [*rows, *_brief_rows()]
    means = rows_means(weights, seen, (layer,), cache, TOKENS)
    looks = look_at(seen, [mean.points for mean in means])
    fit = fit_latent(looks, np.concatenate([mean.values for mean in means]), (layer,))
    return _on_curve(looks, fit, curve, f"fewer than {BRIEF_TOKENS} tokens")


def fit_brief_words(rows: Sequence[LabelledRow], buckets: int, curve: Scale) -> BriefLine:
    """Of a head on words, for texts of fewer than `BRIEF_WORDS`."""
    seen = [*_beginnings(rows), *_brief_rows()]
    points, counts = whole_counts([row.text for row in seen], buckets)
    looks = look_at(seen, points)
    fit = fit_words(looks, counts, buckets)
    return _on_curve(looks, fit, curve, f"fewer than {BRIEF_WORDS} words")


def fit_brief_windows(
    rows: Sequence[LabelledRow],
    encoder: SentenceEncoder,
    shape: WindowShape,
    buckets: int,
    curve: Scale,
    cache: Path,
) -> BriefLine:
    """Of a head on a sentence encoder that reads answers alone, for windows of fewer than `BRIEF_PIECES`."""
    samples = sample_windows(encoder, [*_beginnings(rows), *_brief_rows()], shape)
    fit = fit_windows(samples, read_vectors(encoder, samples.texts, cache), buckets)
    return _on_curve(samples.looks, fit, curve, f"fewer than {BRIEF_PIECES} pieces of words")


def _brief_rows() -> list[LabelledRow]:
    return [row for row in brief_rows() if row.split != "reserved"]


def _beginnings(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    """The first words of each row, and rows that are as short."""
    found = []
    for row in rows:
        words = row.text.split()
        for length in dict.fromkeys(min(length, len(words)) for length in WORDS):
            found.append(replace(row, response=" ".join(words[:length])))
    return found


def _on_curve(looks: PrefixSamples, fit: Fit, curve: Scale, of: str) -> BriefLine:
    """The line moved and stretched so that the head's curve gives its scores. of: what it reads"""
    own = harmless_scale(looks, fit.logits, _brief_of(looks, "calibration"))
    stretch = curve.width / own.width
    tensors = dict(fit.tensors)
    for name in LOGIT & tensors.keys():
        tensors[name] = (tensors[name].astype(np.float64) * stretch).astype(tensors[name].dtype)
    tensors["bias"] = tensors["bias"] + np.float32(curve.centre - own.centre * stretch)
    logits = fit.logits * stretch + curve.centre - own.centre * stretch
    card = {
        "what": f"a line for answers of {of}; 0.5 is the score which 5% of brief harmless answers reach, 0.1 that of "
        "their mean logit",
        "settings": dict(fit.settings),
        "brief answers that set it": sum(_brief_of(looks, "calibration")),
        "brief answers above 0.5": _above(looks.at_end(logits), _brief_of(looks, "test"), curve.centre),
        "quality": report(looks, logits, curve.centre, SEED),
        "sources": describe_sources([row for row in looks.rows if row.source == BRIEF_ANSWERS]),
    }
    return BriefLine({f"{BRIEF}{name}": tensor for name, tensor in tensors.items()}, card)


def _above(ends: NDArray[np.float64], rows: list[bool], centre: float) -> dict[str, Any]:
    mine = ends[np.array(rows)]
    return rounded(proportion(int((mine > centre).sum()), len(mine)))


def _brief_of(looks: PrefixSamples, split: str) -> list[bool]:
    return [row.source == BRIEF_ANSWERS and row.split == split for row in looks.rows]
