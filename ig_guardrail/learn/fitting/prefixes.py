"""Looks: an answer is judged while it is being written, so each row counts at several points, not only at its end.

At each look a text cost has read the text of the answer's first tokens, by words, as a guard reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.words import WordReader
from ig_guardrail.engine.text.chat import Chat
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.fitting.logistic import Labels
from ig_guardrail.learn.fitting.states import EVERY, answer_ids, points_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PrefixSamples:
    """All looks at all rows, laid end to end.

    rows    the rows
    owner   (looks,) index of each look's row; looks at one row are neighbours, in order
    points  (looks,) answer tokens seen
    """

    rows: tuple[LabelledRow, ...]
    owner: NDArray[np.int64]
    points: NDArray[np.int64]

    def of_rows(self, chosen: Sequence[bool]) -> NDArray[np.int64]:
        """Indices of the looks at the chosen rows."""
        return np.flatnonzero(np.array(chosen, dtype=bool)[self.owner])

    def labels(self, looks: NDArray[np.int64]) -> Labels:
        """Labels and shares: harmful and safe weigh a half each, the sources of a class alike, then rows, then looks.

        Sources differ in size by a hundred to one; without this, the large ones alone would decide.
        """
        owners = self.owner[looks]
        harmful = np.array([row.label == "harmful" for row in self.rows])[owners]
        share = 1 / np.bincount(owners, minlength=len(self.rows))[owners]
        groups = np.array([f"{row.label} {row.source}" for row in self.rows])[owners]
        for group in np.unique(groups):
            share[groups == group] /= share[groups == group].sum()
        for side in (harmful, ~harmful):
            share[side] *= 0.5 / share[side].sum()
        return Labels(harmful, share)

    def at_end(self, values: Floats) -> Floats:
        """(rows,) the value at each row's last look."""
        return values[self._ends()]

    def peaks(self, values: Floats) -> Floats:
        """(rows,) the highest value at a charge point or at the end: what decides whether a guard would step in."""
        charged: NDArray[np.bool_] = self.points % EVERY == 0
        charged[self._ends()] = True
        peaks = np.full(len(self.rows), -np.inf)
        np.maximum.at(peaks, self.owner[charged], values[charged])
        return peaks

    def at_charge_points(self, values: Floats, chosen: Sequence[bool]) -> Floats:
        """The values at all charge points of the chosen rows, for their mean and spread."""
        charged: NDArray[np.bool_] = self.points % EVERY == 0
        charged[self._ends()] = True
        charged &= np.array(chosen, dtype=bool)[self.owner]
        return values[charged]

    def _ends(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.diff(self.owner, append=len(self.rows)))


def look_at(rows: Sequence[LabelledRow], points: Sequence[tuple[int, ...]]) -> PrefixSamples:
    """The looks at `rows`, each at its own points."""
    owner = np.repeat(np.arange(len(rows)), [len(own) for own in points])
    flat = [point for own in points for point in own]
    return PrefixSamples(tuple(rows), owner.astype(np.int64), np.array(flat, dtype=np.int64))


def prefix_counts(
    chat: Chat, answers: Sequence[str], buckets: int
) -> tuple[list[tuple[int, ...]], list[Mapping[int, int]]]:
    """For each answer the points it is looked at, and, laid end to end, the term counts at each look."""
    points, counts = [], []
    for answer in answers:
        ids = answer_ids(chat, answer)
        own = points_of(len(ids))
        points.append(own)
        for point in own:
            read = chat.tokenizer.decode(ids[:point], clean_up_tokenization_spaces=False)
            counts.append(WordReader().read(read.rstrip("\N{REPLACEMENT CHARACTER}"), point == own[-1], buckets).counts)
    return points, counts


def whole_counts(texts: Sequence[str], buckets: int) -> tuple[list[tuple[int, ...]], list[Mapping[int, int]]]:
    """The same with one look at each text, at its end: for prompts."""
    return [(0,) for _ in texts], [WordReader().read(text, True, buckets).counts for text in texts]
