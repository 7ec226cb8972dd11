"""A line through the vectors of a sentence encoder, and the words beside them: a text cost that fits any model.

With the vector e of a window, its term counts n, inverse document frequencies f and weights u and w:
logit = u . e + sum(n f w) / |n f| + bias. The worst window of the answer so far counts, and nothing goes unread. A
charge point reads the window that is open, and each one that was filled since the last, once.

A head that reads exchanges has one more line, v . q, for the vector q of what was asked: of a long request the worst
window's. It is read once, and raises or lowers the logits of all answers to that request.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable

from ig_guardrail.costs.encoder.sentences import SentenceEncoder, Vector
from ig_guardrail.costs.encoder.windows import TextWindows, WindowShape, windows_of
from ig_guardrail.costs.heads.artifact import Artifact, read_artifact
from ig_guardrail.costs.heads.brief import BRIEF, BRIEF_PIECES, has_brief
from ig_guardrail.costs.heads.latent import read_scale
from ig_guardrail.costs.heads.lexical import logit_of
from ig_guardrail.costs.heads.linear import Floats, LinearMap, Scale
from ig_guardrail.costs.heads.words import count_terms
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.kinds.encoder import ANSWER, EXCHANGE
from ig_guardrail.errors import HeadMismatch, ModelError
from ig_guardrail.types import Granularity, Piece, Prompt, ScoreKind

MOST_ASKED = 2_000  # characters of a request that are read: of a longer one the half of them from either end


@dataclass(frozen=True, slots=True)
class EncoderState:
    """What was read of the answer, and the worst logit of its full windows.

    asked  what the request adds to the logit
    """

    windows: TextWindows = field(default_factory=TextWindows)
    worst: float = -math.inf
    asked: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class EncoderHead:
    """The logit of a window: of its vector (size,), and of its words, by frequency and weight of a bucket.

    request  weights (size,) for the vector of what was asked; None in a head that reads the answer alone
    """

    line: LinearMap
    frequency: Floats
    weight: Floats
    request: Floats | None = None

    def logit(self, text: str, vector: Vector) -> float:
        """The logit of one window; it does not depend on what else is asked."""
        return self.line.at(vector) + logit_of(count_terms(text, len(self.weight)), self.frequency, self.weight)

    def of_request(self, vectors: Sequence[Vector]) -> float:
        """What a request adds, by the vectors of its windows; 0 where nothing was asked."""
        if self.request is None or not vectors:
            return 0.0
        return _worse(*(float(self.request @ vector) for vector in vectors))


@dataclass(frozen=True, slots=True, eq=False)
class EncoderCost:
    """A level in [0, 1], charged at block points: the same score for each of its hazards. No words score 0.

    brief: reads an answer that ends with fewer than `BRIEF_PIECES`; None where `head` reads these, too
    """

    name: str
    hazards: tuple[str, ...]
    sha256: str
    encoder: SentenceEncoder
    shape: WindowShape
    head: EncoderHead
    scale: Scale
    brief: EncoderHead | None = None
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> EncoderState:
        """Nothing of the answer was read; what was asked is, by a head of exchanges, and scores nothing by itself."""
        asked = request_of(prompt) if self.head.request is not None else ""
        windows = request_windows(asked, self.shape, self.encoder)
        return EncoderState(asked=self.head.of_request(self.encoder.vectors(windows)))

    def advance(self, steps: Sequence[tuple[EncoderState, Piece]]) -> list[tuple[EncoderState, tuple[float, ...]]]:
        """Read each piece's words; equal windows of several answers are read once."""
        read = [state.windows.read(piece.text, piece.ended, self.shape, self.encoder.pieces) for state, piece in steps]
        texts = list(dict.fromkeys(text for windows, full in read for text in (*full, windows.open) if text))
        vectors = self.encoder.vectors(texts)
        vector_of = dict(zip(texts, vectors, strict=True))
        logits = {text: self.head.logit(text, vector) for text, vector in vector_of.items()}
        found = []
        for (state, piece), (windows, full) in zip(steps, read, strict=True):
            worst = _worse(state.worst, *(logits[text] for text in full))
            reached = _worse(worst, logits.get(windows.open, -math.inf)) + state.asked
            if self.brief is not None and piece.ended and windows.words and self._is_brief(windows, worst):
                reached = self.brief.logit(windows.open, vector_of[windows.open]) + state.asked
            found.append((EncoderState(windows, worst, state.asked), self._scores(reached)))
        return found

    def _is_brief(self, windows: TextWindows, worst: float) -> bool:
        """Whether no window was filled, and the open one holds few pieces."""
        return worst == -math.inf and sum(windows.sizes) < BRIEF_PIECES

    def _scores(self, logit: float) -> tuple[float, ...]:
        return (0.0 if logit == -math.inf else self.scale.score(logit),) * len(self.hazards)


def _worse(*logits: float) -> float:
    """The highest; NaN if one of them is."""
    return math.nan if any(map(math.isnan, logits)) else max(logits)


def request_of(prompt: Prompt) -> str:
    """What was asked last: the text of the last turn of the user; "" without one."""
    return next((turn.text for turn in reversed(prompt.turns) if turn.role == "user"), "")


def request_windows(asked: str, shape: WindowShape, encoder: SentenceEncoder) -> list[str]:
    """The windows of a request, at most so many that `MOST_ASKED` characters fill them; none of a blank one."""
    half = MOST_ASKED // 2
    read = asked if len(asked) <= MOST_ASKED else f"{asked[:half]} {asked[-half:]}"
    return windows_of(read, shape, encoder.pieces)


def read_encoder_cost(
    folder: Traversable, encoder: SentenceEncoder, name: str, hazards: tuple[str, ...], reads: str = ANSWER
) -> EncoderCost:
    """The head in an artifact folder, on its encoder.

    reads  "answer", or "exchange": what was asked as well. The head must have been trained for it.
    Raises ModelError if the folder does not hold one, HeadMismatch if it was trained on another encoder.
    """
    artifact = read_artifact(folder, "encoder")
    _check_fits(artifact, encoder, name)
    _check_reads(artifact, reads, name)
    return EncoderCost(
        name=name,
        hazards=hazards,
        sha256=options_sha256(artifact.sha256, hazards=hazards, encoder=encoder.sha256),
        encoder=encoder,
        shape=_shape(artifact, encoder),
        head=_read_head(artifact, encoder, request=reads == EXCHANGE),
        scale=read_scale(artifact),
        brief=_read_head(artifact, encoder, BRIEF) if has_brief(artifact) else None,
    )


def _read_head(artifact: Artifact, encoder: SentenceEncoder, name: str = "", request: bool = False) -> EncoderHead:
    weight = artifact.vector(f"{name}words.weight")
    if not len(weight):
        raise artifact.unfit("it has no buckets")
    return EncoderHead(
        LinearMap(artifact.vector(f"{name}weight", encoder.size), artifact.scalar(f"{name}bias")),
        artifact.vector(f"{name}words.frequency", len(weight)),
        weight,
        artifact.vector("request.weight", encoder.size) if request else None,
    )


def _check_fits(artifact: Artifact, encoder: SentenceEncoder, name: str) -> None:
    made_for = artifact.section("encoder")
    if made_for.get("sha256") != encoder.sha256:
        raise HeadMismatch(
            f"the head was trained on encoder '{made_for.get('name')}', not on this one",
            where=f"cost_models.{name}",
            why=f"it names SHA-256 {made_for.get('sha256')}, and '{encoder.name}' has {encoder.sha256}",
            fix=f"name its own encoder, or train a head with `ig-guardrail train encoder --encoder {encoder.name}`",
        )


def _check_reads(artifact: Artifact, reads: str, name: str) -> None:
    """Not a mismatch that another cost model may serve for: the policy, or the folder, says what is not so."""
    made_for = artifact.section("encoder").get("reads", ANSWER)
    if made_for not in _A:
        raise artifact.unfit(f"it says that it reads {made_for!r:.40}, which is none of {', '.join(_A)}")
    if made_for != reads:
        raise ModelError(
            f"the head reads {_A[made_for]}, not {_A[reads]}",
            where=f"cost_models.{name}.reads",
            why="its scores mean nothing for what it was not trained on",
            fix=f"write `reads: {made_for}`, or train a head with `ig-guardrail train encoder --reads {reads}`",
        )


_A = {ANSWER: "an answer alone", EXCHANGE: "an answer after what was asked"}


def _shape(artifact: Artifact, encoder: SentenceEncoder) -> WindowShape:
    made_for = artifact.section("encoder")
    pieces, overlap = made_for.get("pieces"), made_for.get("overlap")
    if not isinstance(pieces, int) or not isinstance(overlap, int) or not 0 <= overlap < pieces <= encoder.room:
        raise artifact.unfit(
            f"its windows of {pieces} pieces, {overlap} of them again, are none that the encoder can read"
        )
    return WindowShape(pieces, overlap)
