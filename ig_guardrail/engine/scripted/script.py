"""Scripts: what a scripted model would say, as next-token probabilities that a test can enumerate.

Their vocabulary is small: named pieces, marks between turns, and every byte.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, get_args

from ig_guardrail.engine.text.detokenize import Detokenizer
from ig_guardrail.engine.text.thought_reader import ThoughtReader
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.types import Message, Prompt, Role, Sampling

Distribution: TypeAlias = Sequence[tuple[int, float]]
Biases: TypeAlias = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where a token is asked for: after which prompt and answer tokens, for whom, in the first context or a twin."""

    prompt: Prompt
    prefix: tuple[int, ...]
    lane: int
    attempt: int
    twin: bool


class Script(Protocol):
    """A model made of words."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    def next_tokens(self, place: TokenPlace) -> Distribution:
        """The tokens that may come next, with probabilities that sum to 1."""
        ...


@dataclass(frozen=True, slots=True)
class TokenTree:
    """A finite tree: answer tokens so far -> possible next tokens. A prefix that is not listed ends the answer."""

    table: Mapping[tuple[int, ...], Distribution]
    vocabulary: Vocabulary

    def next_tokens(self, place: TokenPlace) -> Distribution:
        return self.after(place.prefix)

    def after(self, prefix: tuple[int, ...]) -> Distribution:
        """What may follow `prefix`."""
        return self.table.get(prefix, ((self.vocabulary.end, 1.0),))

    def answers(self, prefix: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], float]]:
        """Every whole answer that begins with `prefix`, and its probability after it."""
        for token, chance in self.after(prefix):
            if token == self.vocabulary.end:
                yield prefix, chance
            else:
                yield from ((answer, chance * rest) for answer, rest in self.answers((*prefix, token)))


@dataclass(frozen=True, slots=True)
class Continuations:
    """What is said on each (lane, attempt): whole answers, as token texts or as one text that is cut into words.

    A token's place in its answer is what counts: a block drawn on lane 1 after 4 tokens takes up lane 1's text at its
    fifth token. An (lane, attempt) that is missing falls back on (lane, 0), then on (0, 0). `steered` is what twin
    contexts say where it has an entry. `thoughts`: how it writes them, if it thinks.
    """

    told: Mapping[tuple[int, int], str | Sequence[str | bytes]]
    steered: Mapping[tuple[int, int], str | Sequence[str | bytes]] = field(default_factory=dict)
    thoughts: ThoughtFormat | None = None
    vocabulary: Vocabulary = field(init=False)
    _tokens: Sequence[Mapping[tuple[int, int], Sequence[int]]] = field(init=False, repr=False)  # of told and steered

    def __post_init__(self) -> None:
        tables = [{key: _pieces(answer) for key, answer in table.items()} for table in (self.told, self.steered)]
        vocabulary = Vocabulary(
            dict.fromkeys(piece for table in tables for answer in table.values() for piece in answer), self.thoughts
        )
        tokens = [
            {key: [vocabulary.ids(one)[0] for one in answer] for key, answer in table.items()} for table in tables
        ]
        object.__setattr__(self, "vocabulary", vocabulary)
        object.__setattr__(self, "_tokens", tokens)

    def next_tokens(self, place: TokenPlace) -> Distribution:
        answer = self._answer(place)
        at = len(place.prefix)
        return ((answer[at] if at < len(answer) else self.vocabulary.end, 1.0),)

    def _answer(self, place: TokenPlace) -> Sequence[int]:
        for table in reversed(self._tokens) if place.twin else self._tokens[:1]:
            for key in ((place.lane, place.attempt), (place.lane, 0), (0, 0)):
                if key in table:
                    return table[key]
        return ()


def shaped(
    options: Distribution, sampling: Sampling, bias: Biases, prompt: Sequence[int] = (), answer: Sequence[int] = ()
) -> list[tuple[int, float]]:
    """`options` after penalties, bias, temperature, top-k, top-p and min-p, likeliest first.

    The same rules as for real models, whose logits are here the logs of `options`. Penalties are on what prompt and
    answer hold.
    """
    raised = dict.fromkeys((token for token, _ in options), 0.0)
    for token, value in (*sampling.logit_bias, *bias):
        if token in raised:
            raised[token] += value
    held, said = {*prompt, *answer}, Counter(answer)

    def penalised(token: int, logit: float) -> float:
        repeated = logit * sampling.repetition_penalty if token in held else logit
        return repeated - sampling.frequency_penalty * said[token] - sampling.presence_penalty * (said[token] > 0)

    logits = [(token, penalised(token, math.log(chance)) + raised[token]) for token, chance in options if chance > 0]
    logits.sort(key=lambda option: (-option[1], option[0]))
    if sampling.temperature == 0:
        return [(logits[0][0], 1.0)]
    weights = [(token, math.exp((logit - logits[0][1]) / sampling.temperature)) for token, logit in logits]
    weights = _normal(weights[: sampling.top_k or None])
    kept, before = [], 0.0
    for token, weight in weights:
        if weight > 0 and before < sampling.top_p and weight >= sampling.min_p * weights[0][1]:
            kept.append((token, weight))
        before += weight
    return _normal(kept)


def pick(options: Sequence[tuple[int, float]], uniform: float) -> int:
    """The token at `uniform` in the cumulative distribution of ranked options."""
    reached = 0.0
    for token, chance in options:
        reached += chance
        if uniform < reached:
            return token
    return options[-1][0]


def _normal(weights: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    total = sum(weight for _, weight in weights)
    return [(token, weight / total) for token, weight in weights]


def _pieces(answer: str | Sequence[str | bytes]) -> Sequence[str | bytes]:
    return words(answer) if isinstance(answer, str) else answer


_WORD = re.compile(r"\s*\S+|\s+")


class Vocabulary:
    """Tokens of a scripted model.

    Ids 0, 1, ... are `pieces` as given (text, or bytes for parts of a character); then come `end`, one mark for each
    role and one for the end of a turn, and the 256 bytes, so that any text can be written.

    thoughts: how a scripted model writes them; it writes none where that is None
    """

    def __init__(self, pieces: Iterable[str | bytes], thoughts: ThoughtFormat | None = None) -> None:
        self.thoughts = thoughts
        given = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
        roles: tuple[str, ...] = get_args(Role)
        self.end = len(given)
        self._marks = {role: self.end + 1 + i for i, role in enumerate(roles)}
        self._turn_end = self.end + 1 + len(roles)
        self._spelled = [*given, *[b""] * (len(roles) + 2), *(bytes([byte]) for byte in range(256))]
        self._ids: dict[bytes, int] = {}
        for token, spelled in enumerate(self._spelled):
            self._ids.setdefault(spelled, token)
        self._lengths: dict[int, list[int]] = {}  # of the pieces that begin with a byte, longest first
        for spelled in sorted(filter(None, self._ids), key=len, reverse=True):
            lengths = self._lengths.setdefault(spelled[0], [])
            if len(spelled) not in lengths:
                lengths.append(len(spelled))
        detokenizer = Detokenizer(self.bytes_of)
        reader = None if thoughts is None else self._reader(thoughts, detokenizer)
        self.language = TokenVocabulary(detokenizer, frozenset({self.end}), len(self._spelled), reader)

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a token; none for `end` and the marks. Raises IndexError for ids the vocabulary has not."""
        return self._spelled[token]

    def ids(self, text: str | bytes) -> tuple[int, ...]:
        """The tokens of a text, longest pieces first."""
        data, found, at = text.encode() if isinstance(text, str) else text, [], 0
        while at < len(data):
            piece = next(piece for n in self._lengths[data[at]] if (piece := data[at : at + n]) in self._ids)
            found.append(self._ids[piece])
            at += len(piece)
        return tuple(found)

    def _reader(self, thoughts: ThoughtFormat, detokenizer: Detokenizer) -> ThoughtReader:
        markers = thoughts.opening, thoughts.closing, thoughts.plain
        return ThoughtReader(detokenizer, *markers, self.ids(thoughts.opening), self.ids(thoughts.closing))

    def prompt_ids(self, turns: Sequence[Message]) -> tuple[int, ...]:
        """A conversation between marks, up to where the answer begins. No text contains a mark."""
        ids = [id for turn in turns for id in (self._marks[turn.role], *self.ids(turn.text), self._turn_end)]
        return (*ids, self._marks["assistant"])

    @property
    def protected(self) -> frozenset[int]:
        """End, marks, and pieces of white space only."""
        return frozenset(i for i, piece in enumerate(self._spelled) if not piece.decode("utf-8", "replace").strip())


def words(text: str) -> list[str]:
    """A text cut before the white space of each word: `"I do."` is `["I", " do."]`."""
    return _WORD.findall(text)
