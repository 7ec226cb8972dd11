"""A linear head on hashed words and word pairs: reads text only, so it fits any model, and prompts as well.

With term counts n, inverse document frequencies f and weights w, by bucket: logit = sum(n f w) / |n f| + bias. The
fold keeps counts, so a charge point costs the words of its own piece and one sum over the terms so far.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.artifact import Artifact, read_artifact
from ig_guardrail.costs.heads.brief import BRIEF, BRIEF_WORDS, has_brief
from ig_guardrail.costs.heads.latent import read_scale
from ig_guardrail.costs.heads.linear import Scale
from ig_guardrail.costs.heads.words import WordReader, bucket, count_terms, terms_of, words_in
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.types import Granularity, Piece, Prompt, ScoreKind


@dataclass(frozen=True, slots=True, eq=False)
class WordLine:
    """The logit of term counts; `frequency` and `weight` have one number a bucket."""

    frequency: NDArray[np.float64]
    weight: NDArray[np.float64]
    bias: float

    def logit(self, counts: Mapping[int, int]) -> float:
        return logit_of(counts, self.frequency, self.weight) + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class LexicalHead:
    """A level in [0, 1], charged at block points: the same score for each of its hazards.

    A word at the very end of the text so far waits until it is complete; a text without words scores 0.

    brief: reads texts that end with fewer than `BRIEF_WORDS`; None where `line` reads these, too
    """

    name: str
    hazards: tuple[str, ...]
    sha256: str
    line: WordLine
    scale: Scale
    brief: WordLine | None = None
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> WordReader:
        """Nothing of the answer was read; the prompt is not scored."""
        return WordReader()

    def advance(self, steps: Sequence[tuple[WordReader, Piece]]) -> list[tuple[WordReader, tuple[float, ...]]]:
        """Read each piece's words; the score is of the whole text so far."""
        read = [(reader.read(piece.text, piece.ended, self._buckets), piece.ended) for reader, piece in steps]
        return [(reader, (self._score(reader.counts, ended),) * len(self.hazards)) for reader, ended in read]

    def weigh(self, text: str) -> dict[str, float]:
        """What each word and pair of a whole text adds to its logit; the line's bias is what is added besides."""
        terms, line = Counter(terms_of(text)), self.line_of(count_terms(text, self._buckets))
        values = {term: count * float(line.frequency[self._bucket(term)]) for term, count in terms.items()}
        buckets: dict[int, float] = {}
        for term, value in values.items():
            buckets[self._bucket(term)] = buckets.get(self._bucket(term), 0.0) + value
        length = math.sqrt(math.fsum(value * value for value in buckets.values())) or 1.0
        return {term: value * float(line.weight[self._bucket(term)]) / length for term, value in values.items()}

    def _bucket(self, term: str) -> int:
        return bucket(term, self._buckets)

    def line_of(self, counts: Mapping[int, int], ended: bool = True) -> WordLine:
        """The line that reads a text of these terms; ended: whether it is a whole one."""
        return self.brief if self.brief is not None and ended and words_in(counts) < BRIEF_WORDS else self.line

    @property
    def _buckets(self) -> int:
        return len(self.line.weight)

    def _score(self, counts: Mapping[int, int], ended: bool) -> float:
        if not counts:
            return 0.0
        return self.scale.score(self.line_of(counts, ended).logit(counts))


def logit_of(counts: Mapping[int, int], frequency: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """sum(n f w) / |n f|; exact summation, so the order in which words were read does not matter."""
    values = {index: count * float(frequency[index]) for index, count in counts.items()}
    length = math.sqrt(math.fsum(value * value for value in values.values()))
    return math.fsum(value * float(weight[index]) for index, value in values.items()) / length if length else 0.0


def read_lexical_head(folder: Traversable, name: str, hazards: tuple[str, ...]) -> LexicalHead:
    """The head in an artifact folder. Raises ModelError if the folder does not hold one."""
    artifact = read_artifact(folder, "lexical")
    line = _read_words(artifact)
    return LexicalHead(
        name=name,
        hazards=hazards,
        sha256=options_sha256(artifact.sha256, hazards=hazards),
        line=line,
        scale=read_scale(artifact),
        brief=_read_words(artifact, BRIEF, len(line.weight)) if has_brief(artifact) else None,
    )


def _read_words(artifact: Artifact, name: str = "", buckets: int | None = None) -> WordLine:
    weight = artifact.vector(f"{name}weight", buckets)
    if not len(weight):
        raise artifact.unfit("it has no buckets")
    return WordLine(artifact.vector(f"{name}frequency", len(weight)), weight, artifact.scalar(f"{name}bias"))
