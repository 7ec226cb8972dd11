"""Provenance: an answer that recites a corpus it should not, and that a harmless reference does not have, costs.

After each token, let u be the length of the longest suffix of the answer that stands in the unsafe corpus, and r the
same in the reference. The score is (u - max(r, common)) / norm, within [0, 1], and 1 wherever the last `hard` tokens
stand in the unsafe corpus and not in the reference. Words that everybody uses are long in both, so they are free.

Source: TraceAlign (arXiv 2508.02063), whose Belief Conflict Index sums -log p of a matched span's words under the
unsafe corpus alone. Departures: the score is a contrast of two corpora, as rare harmless words would otherwise count as
unsafe ones; it is in tokens of the served model, charged at each of them; runs of more than `hard` tokens count as that
many; and no span is free for occurring often, since a corpus may hold a text several times.

The runs that the end of a text has in a corpus are kept as the text grows. A trail holds the places of every suffix of
the text that stands in the corpus, longest first. One more token narrows each; those that the corpus does not have are
dropped. It is an immutable tuple, so a branch of a search costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.provenance.index import SuffixRun, TokenIndex, read_index
from ig_guardrail.errors import CostFailure, HeadMismatch
from ig_guardrail.types import Granularity, Piece, Prompt, QuotedSource, ScoreKind


@dataclass(frozen=True, slots=True)
class Contrast:
    """How long shared runs become a score: see the module. All in tokens."""

    common: int = 6
    norm: int = 8
    hard: int = 12

    def score(self, unsafe: int, reference: int) -> float:
        """In [0, 1], for runs of at most `hard` tokens."""
        if unsafe >= self.hard > reference:
            return 1.0
        return min(1.0, max(0, unsafe - max(reference, self.common)) / self.norm)


@dataclass(frozen=True, slots=True)
class Traced:
    """An answer as it was read: how many tokens, its trails in both corpora, and the worst run of the newest piece."""

    tokens: int = 0
    unsafe: Trail = ()
    reference: Trail = ()
    score: float = 0.0
    source: QuotedSource | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ProvenanceCost:
    """An event, charged at every token: the worst run that ends in the newest piece."""

    name: str
    hazards: tuple[str, ...]
    sha256: str
    unsafe: TokenIndex
    reference: TokenIndex
    contrast: Contrast
    granularity: Granularity = "token"
    reading: ScoreKind = "event"
    layers: tuple[int, ...] = ()
    longest_match: int = 0  # every token is charged before it is shown, so no shown text holds a whole run

    def start(self, prompt: Prompt) -> Traced:
        """Nothing was read; the prompt is not traced."""
        return Traced()

    def advance(self, steps: Sequence[tuple[Traced, Piece]]) -> list[tuple[Traced, tuple[float, ...]]]:
        """Trace each piece on. Raises CostFailure for text that comes without its tokens."""
        states = [self._read(state, piece) for state, piece in steps]
        return [(state, (state.score,) * len(self.hazards)) for state in states]

    def source(self, state: Traced) -> QuotedSource | None:
        """Where the worst run of the newest piece stands in the unsafe corpus; None where it costs nothing."""
        return state.source

    def _read(self, state: Traced, piece: Piece) -> Traced:
        if piece.text and not piece.ids and not (piece.ended and state.tokens):
            raise CostFailure(
                "a text came without its tokens",
                where=f"cost_models.{self.name}",
                why="runs of tokens are looked up, so what is only text cannot be judged",
                fix="use a cost model that reads text here",
            )
        worst = now = Traced(state.tokens, state.unsafe, state.reference)
        for token in piece.ids:
            now = self._step(now, token)
            worst = max(worst, now, key=lambda one: one.score)
        return Traced(now.tokens, now.unsafe, now.reference, worst.score, worst.source)

    def _step(self, state: Traced, token: int) -> Traced:
        unsafe = grown(self.unsafe, state.unsafe, token, self.contrast.hard)
        reference = grown(self.reference, state.reference, token, self.contrast.hard)
        score = self.contrast.score(length(unsafe), length(reference))
        return Traced(state.tokens + 1, unsafe, reference, score, self.unsafe.source(unsafe[0]) if score else None)


def provenance_cost(
    name: str, hazards: tuple[str, ...], unsafe: TokenIndex, reference: TokenIndex, contrast: Contrast
) -> ProvenanceCost:
    """A cost model over two indexes."""
    sha256 = options_sha256(
        unsafe.sha256,
        reference=reference.sha256,
        hazards=hazards,
        common=contrast.common,
        norm=contrast.norm,
        hard=contrast.hard,
    )
    return ProvenanceCost(name, hazards, sha256, unsafe, reference, contrast)


def read_fitting_index(folder: Path, language: str, where: str) -> TokenIndex:
    """The index in a folder. Raises ModelError if there is none, HeadMismatch if its tokens are another language's."""
    index = read_index(folder)
    if index.language != language:
        raise HeadMismatch(
            f"the index was made for another tokenizer, that of '{index.model}'",
            where=where,
            why="the same token ids mean other words there, so nothing would be found, or the wrong thing",
            fix="build it for this model with `ig-guardrail index build`",
        )
    return index


Trail: TypeAlias = tuple[SuffixRun, ...]


def grown(index: TokenIndex, trail: Trail, token: int, longest: int) -> Trail:
    """The trail after one more token; runs are followed up to `longest` tokens, and longer ones count as that."""
    started = (*(run for run in trail if run.depth < longest), index.everywhere)
    return tuple(run for run in (index.narrow(before, token) for before in started) if run is not None)


def length(trail: Trail) -> int:
    """Tokens of the longest suffix of the text that stands in the corpus."""
    return trail[0].depth if trail else 0
