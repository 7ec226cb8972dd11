"""Recordings: what one answer scored, in plain values, so that other budgets can be tried on it later.

One JSON object a line, in the format `ig-guardrail/recording/v1`. No text is in it unless that was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from ig_guardrail.types import Charge, Granularity, ScoreKind

FORMAT = "ig-guardrail/recording/v1"
MOST_TOKENS = 1 << 20  # of an answer
SCORED = "scored"  # the outcome of a text that was charged, and not decoded


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """What a cost model declared, and the hash of it and of what its scores counted as."""

    sha256: str
    granularity: Granularity
    reading: ScoreKind
    hazards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreTrack:
    """A cost model's score for some hazards, the highest over these, at every charge point of one spacing.

    points  (position in tokens, whether the answer ends there, score), in order
    """

    model: str
    hazards: tuple[str, ...]
    granularity: Granularity
    every: int
    points: tuple[tuple[int, bool, float], ...]


@dataclass(frozen=True, slots=True)
class RecordedPrompt:
    """What the worst turn of the prompt scored under a cost expression, and what followed."""

    cost: str
    scores: Mapping[str, float]
    score: float
    action: str


@dataclass(frozen=True, slots=True)
class DeniedCandidates:
    """Drafts over a budget. highest: of all their scores; tenths: how many scored in [0, 0.1), ... [0.9, 1] at most."""

    count: int
    highest: float
    tenths: tuple[int, ...]

    def joined(self, other: DeniedCandidates) -> DeniedCandidates:
        """Those of both."""
        tenths = tuple(mine + others for mine, others in zip(self.tenths, other.tenths, strict=True))
        return DeniedCandidates(self.count + other.count, max(self.highest, other.highest), tenths)


@dataclass(frozen=True, slots=True)
class ShadowAccount:
    """A budget in shadow mode. over: where it would have denied what was said, a position; None where nowhere.

    score: the highest at any charge point
    """

    hazards: tuple[str, ...]
    over: int | None
    score: float


def shadow_account(hazards: tuple[str, ...], charges: Sequence[Charge]) -> ShadowAccount:
    """What would have come of a budget, by all its charges, in order."""
    over = next((line.position for line in charges if line.z_after < 0), None)
    return ShadowAccount(hazards, over, max((line.score for line in charges), default=0.0))


@dataclass(frozen=True, slots=True)
class Recording:
    """One answer.

    at         when, ISO 8601
    policy     name, version, sha256
    engine     name, sha256 and numerics of the model, and the hash of what its tokens spell
    outcome    as in receipts, or `scored`; reason: in words
    tokens     of the answer that was charged last; released: how many were shown; ended: whether it is whole
    searched   whether any draft was replaced, or might have been, so that this is not what the model said by itself
    over       by enforced budget, where it was overdrawn; of an answer that was decoded, there is none
    denied     by budget, drafts that were over it
    fail_open  what failed, and was passed over
    text       what was shown; None unless that was asked for
    shadow     by budget in shadow mode, what would have come of it; None where an older version recorded
    arm        `stable` or `canary`, where some requests were answered under another policy
    prompt_sha256  names the prompt, as in receipts; None where nothing is to tell it again
    sampling   how it was drawn, as in receipts; `stop` None: strings that are not kept; None in older recordings
    """

    at: str
    policy: Mapping[str, str]
    engine: Mapping[str, str]
    cost_models: Mapping[str, RecordedModel]
    outcome: str
    reason: str
    language: str
    tokens: int
    released: int
    ended: bool
    searched: bool
    tracks: tuple[ScoreTrack, ...]
    prompt: RecordedPrompt | None = None
    over: Mapping[str, int] = field(default_factory=dict)
    denied: Mapping[str, DeniedCandidates] = field(default_factory=dict)
    fail_open: tuple[str, ...] = ()
    text_sha256: str | None = None
    text: str | None = None
    shadow: Mapping[str, ShadowAccount] | None = None
    arm: str = ""
    prompt_sha256: str | None = None
    sampling: Mapping[str, Any] | None = None

    def as_line(self) -> str:
        """One line of JSON, without the line break."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, allow_nan=False)


def recording_in(values: Mapping[str, Any]) -> Recording:
    """The recording in an object of JSON. Raises ValueError, in words, for what is none."""
    if values.get("format") != FORMAT:
        raise ValueError(f"its format is {values.get('format')!r:.60}, not '{FORMAT}'")
    try:
        prompt = values["prompt"]
        found = Recording(
            at=_text(values["at"]),
            policy={key: _text(values["policy"][key]) for key in ("name", "version", "sha256")},
            engine={key: _text(values["engine"][key]) for key in ("name", "sha256", "numerics", "language")},
            cost_models={name: _model(one) for name, one in values["cost_models"].items()},
            outcome=_text(values["outcome"]),
            reason=_text(values["reason"]),
            language=_text(values["language"]),
            tokens=_count(values["tokens"]),
            released=_count(values["released"]),
            ended=bool(values["ended"]),
            searched=bool(values["searched"]),
            tracks=tuple(_track(one) for one in values["tracks"]),
            prompt=None if prompt is None else _prompt(prompt),
            over={name: _count(at) for name, at in values["over"].items()},
            denied={name: _denied(one) for name, one in values["denied"].items()},
            fail_open=tuple(map(_text, values["fail_open"])),
            text_sha256=values["text_sha256"],
            text=values["text"],
            shadow=_shadow(values.get("shadow")),
            arm=_text(values.get("arm", "")),
            prompt_sha256=None if values.get("prompt_sha256") is None else _text(values["prompt_sha256"]),
            sampling=_sampling(values.get("sampling")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not whole: {type(error).__name__} {error}") from error
    return found


def _shadow(values: Mapping[str, Any] | None) -> dict[str, ShadowAccount] | None:
    if values is None:
        return None
    return {
        name: ShadowAccount(
            tuple(map(_text, one["hazards"])),
            None if one["over"] is None else _count(one["over"]),
            _score(one["score"]),
        )
        for name, one in values.items()
    }


def _sampling(values: Any) -> Mapping[str, Any] | None:
    if not isinstance(values, Mapping | None):
        raise ValueError(f"{values!r:.40} is no sampling")
    return values


def _model(values: Mapping[str, Any]) -> RecordedModel:
    granularity, reading = _granularity(values["granularity"]), values["reading"]
    if reading not in ("level", "event"):
        raise ValueError(f"a score is a level or an event, not {reading!r:.40}")
    return RecordedModel(_text(values["sha256"]), granularity, reading, tuple(map(_text, values["hazards"])))


def _track(values: Mapping[str, Any]) -> ScoreTrack:
    points = tuple((_count(at), bool(ended), _score(score)) for at, ended, score in values["points"])
    return ScoreTrack(
        _text(values["model"]),
        tuple(map(_text, values["hazards"])),
        _granularity(values["granularity"]),
        _count(values["every"]),
        points,
    )


def _prompt(values: Mapping[str, Any]) -> RecordedPrompt:
    scores = {_text(name): _score(score) for name, score in values["scores"].items()}
    return RecordedPrompt(_text(values["cost"]), scores, _score(values["score"]), _text(values["action"]))


def _denied(values: Mapping[str, Any]) -> DeniedCandidates:
    tenths = tuple(map(_count, values["tenths"]))
    if len(tenths) != 10:
        raise ValueError(f"{len(tenths)} tenths are counted, not 10")
    return DeniedCandidates(_count(values["count"]), _score(values["highest"]), tenths)


def _granularity(value: Any) -> Granularity:
    if value not in ("token", "block", "final"):
        raise ValueError(f"{value!r:.40} is no granularity")
    return cast(Granularity, value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise ValueError(f"{value!r:.40} is no count up to {MOST_TOKENS:,}")
    return value


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r:.40} is no score in [0, 1]")
    return float(value)
