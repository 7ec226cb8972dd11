"""What a sentence encoder has read of an answer at each charge point, and a head fitted to it.

No language model is read here, so there are no tokens: twelve words stand for the sixteen tokens between charge points.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.encoder.cost import request_windows
from ig_guardrail.costs.encoder.sentences import SentenceEncoder
from ig_guardrail.costs.encoder.windows import TextWindows, WindowShape
from ig_guardrail.costs.heads.words import count_terms
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.fitting.fit import Fit, choose_fit, inverse_frequency
from ig_guardrail.learn.fitting.logistic import Bags, Linear, bags_of, fit_joined, sums_of
from ig_guardrail.learn.fitting.prefixes import PrefixSamples, look_at
from ig_guardrail.learn.fitting.states import EVERY, MAX_ANSWER_CHARACTERS
from ig_guardrail.learn.fitting.tensor_cache import TensorCache, progress_line

Floats = NDArray[np.float64]

WORDS = 12  # as many as `EVERY` tokens, in English
MOST_LOOKS = 4  # 64 tokens: as far as heads on hidden states read, and most answers of the data go
SHARD = 256  # texts
PENALTY = 1e-4
SCALES = (3.0, 6.0, 10.0)  # of vectors beside words: how freely they speak
_STEP = re.compile(rf"(?:\S+\s*){{1,{WORDS}}}")


@dataclass(frozen=True, slots=True, eq=False)
class WindowSamples:
    """All windows of all rows that a guard reads while the answers are written.

    rows     the rows
    texts    of the windows, row by row, each once; where requests are read, once beside each window of its request
    asked    the windows of requests beside them; "" where nothing was asked, or is not read
    windows  the windows as samples of their rows
    looks    the charge points as samples of their rows, `points` in tokens
    full     for each look, the places of the windows that are full by then
    open     for each look, the places of the window that is not
    """

    rows: tuple[LabelledRow, ...]
    texts: tuple[str, ...]
    asked: tuple[str, ...]
    windows: PrefixSamples
    looks: PrefixSamples
    full: tuple[tuple[int, ...], ...]
    open: tuple[tuple[int, ...], ...]

    def at_looks(self, logits: Floats) -> Floats:
        """(looks,): the worst window so far, of logits (windows,)."""
        pairs = zip(self.full, self.open, strict=True)
        return np.array([max(logits[place] for place in (*full, *opened)) for full, opened in pairs])


def sample_windows(
    encoder: SentenceEncoder, rows: Sequence[LabelledRow], shape: WindowShape, exchanges: bool = False
) -> WindowSamples:
    """The windows of `rows`, none of which is blank, at the first `MOST_LOOKS` charge points.

    exchanges  whether what was asked is read beside them
    Rows that set the score curve are read to their ends, as a guard reads them.
    """
    texts: list[str] = []
    asked: list[str] = []
    owners: list[tuple[int, ...]] = []
    points: list[tuple[int, ...]] = []
    full: list[tuple[int, ...]] = []
    opened: list[tuple[int, ...]] = []
    for row in rows:
        requests = (request_windows(row.prompt, shape, encoder) if exchanges else []) or [""]
        places: dict[str, tuple[int, ...]] = {}
        done: tuple[int, ...] = ()
        own = []
        most = None if row.split == "calibration" else MOST_LOOKS
        for words, closed, last in islice(read_steps(encoder, row.text, shape), most):
            for text in (*closed, last):
                first = len(texts) + len(places) * len(requests)
                places.setdefault(text, tuple(range(first, first + len(requests))))
            done += tuple(place for text in closed for place in places[text])
            full.append(done)
            opened.append(places[last])
            own.append(words * EVERY // WORDS)
        texts += [text for text in places for _ in requests]
        asked += requests * len(places)
        owners.append(tuple(range(len(places) * len(requests))))
        points.append(tuple(own))
    return WindowSamples(
        tuple(rows),
        tuple(texts),
        tuple(asked),
        look_at(rows, owners),
        look_at(rows, points),
        tuple(full),
        tuple(opened),
    )


def read_steps(encoder: SentenceEncoder, text: str, shape: WindowShape) -> Iterator[tuple[int, list[str], str]]:
    """For each charge point of an answer: words so far, windows filled since the last point, and the open window."""
    answer = text.strip()[:MAX_ANSWER_CHARACTERS]
    steps = [step[0] for step in _STEP.finditer(answer)]
    reader, words = TextWindows(), 0
    for number, step in enumerate(steps, 1):
        reader, closed = reader.read(step, number == len(steps), shape, encoder.pieces)
        words += len(step.split())
        if reader.words:
            yield words, closed, reader.open


def read_vectors(encoder: SentenceEncoder, texts: Sequence[str], cache: Path) -> NDArray[np.float32]:
    """(texts, size): the vector of each text; those of `SHARD` texts at a time are kept in `cache`."""
    kept = TensorCache(cache, ["vectors of sentences", encoder.sha256])
    order = sorted(set(texts))
    found: dict[str, NDArray[np.float32]] = {}
    show = progress_line("reading windows")
    for start in range(0, len(order), SHARD):
        shard = order[start : start + SHARD]
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in shard]
        vectors = kept.get(digests, lambda shard=shard: _vectors(encoder, shard))["vectors"]  # type: ignore[misc]
        found.update(zip(shard, vectors, strict=True))
        show(len(found), len(order))
    return np.stack([found[text] for text in texts])


def read_requests(encoder: SentenceEncoder, asked: Sequence[str], cache: Path) -> NDArray[np.float32]:
    """(requests, size): the vector of each; 0 where nothing was asked."""
    places = [place for place, text in enumerate(asked) if text]
    found = np.zeros((len(asked), encoder.size), dtype=np.float32)
    if places:
        found[places] = read_vectors(encoder, [asked[place] for place in places], cache)
    return found


def fit_windows(
    samples: WindowSamples, vectors: NDArray[np.float32], buckets: int, asked: NDArray[np.float32] | None = None
) -> Fit:
    """A line through vectors and words together; how freely vectors speak is chosen on the validation rows.

    asked  (windows, size): the vectors of what was asked, if the head is to read it
    Every window of a harmful answer is learned as harmful. The fit's logits are at `samples.looks`.
    """
    counts = [count_terms(text, buckets) for text in samples.texts]
    whole = look_at(samples.rows, [(0,) for _ in samples.rows])
    frequency = inverse_frequency(whole, [count_terms(row.text, buckets) for row in samples.rows], buckets)
    frequency = frequency.astype(np.float16).astype(np.float64)  # as it is kept
    features = vectors if asked is None else np.concatenate([vectors, asked], axis=1)
    bags, trained = bags_of(counts, frequency), samples.windows.of_rows([row.split == "train" for row in samples.rows])
    learned = bags_of([counts[place] for place in trained.tolist()], frequency)
    fits, labels = [], samples.windows.labels(trained)
    for scale in SCALES:
        line, weight = fit_joined(features[trained], scale, learned, buckets, labels, PENALTY)
        fits.append(_fit(samples, features, bags, line, weight, {"buckets": buckets, "l2": PENALTY, "scale": scale}))
    fit, auc = choose_fit(samples.looks, fits, lambda one: (one.settings["scale"],))
    tensors = {**fit.tensors, "words.frequency": frequency.astype(np.float16)}
    if asked is not None:
        own, request = np.split(tensors["weight"], 2)
        tensors |= {"weight": own, "request.weight": request}
    return Fit(tensors, {**fit.settings, "validation_auc": round(auc, 3)}, fit.logits)


def _fit(
    samples: WindowSamples,
    features: NDArray[np.float32],
    bags: Bags,
    line: Linear,
    weight: Floats,
    settings: Mapping[str, Any],
) -> Fit:
    kept = weight.astype(np.float16)
    logits = features.astype(np.float64) @ line.weight + sums_of(bags, kept.astype(np.float64)) + line.bias
    tensors: dict[str, NDArray[Any]] = {
        "weight": line.weight.astype(np.float32),
        "bias": np.array([line.bias], dtype=np.float32),
        "words.weight": kept,
    }
    return Fit(tensors, settings, samples.at_looks(logits))


def _vectors(encoder: SentenceEncoder, texts: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    return {"vectors": np.stack(encoder.vectors(texts)).astype(np.float32)}
