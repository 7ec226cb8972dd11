"""What a rollout did so far: budgets in shadow mode, had they been enforced; a canary beside what it may replace."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.workbench.rollout.answers import RecordedAnswer

EXAMPLES = 5
NO_ANSWER = "refused or ended"
OUTCOMES = ("completed", "refused", "ended", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often something is so of some answers, with the exact interval. since, until: of the answers, ISO 8601."""

    name: str
    count: int
    share: Estimate
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class DeniedExample:
    """An answer that would have been denied: where it stands, the hash of its text, at which token, its score."""

    place: str
    name: str
    at: int
    score: float


@dataclass(frozen=True, slots=True)
class ShadowRow:
    """A budget in shadow mode. now: under the policy's newest version; whole: of these, what was shown to its end.

    examples  of the newest version, those with the highest scores
    """

    budget: str
    policy: str
    now: Frequency
    whole: int
    hazards: tuple[str, ...]
    by_version: tuple[Frequency, ...]
    by_language: tuple[Frequency, ...]
    examples: tuple[DeniedExample, ...]

    @property
    def advice(self) -> str:
        """What turning it on would do, in plain words."""
        one, n = self.now.share, self.now.share.n
        if not self.now.count:
            return (
                f"Turned on, it would have denied none of {n} answers; at most {one.high:.1%} of such answers, as far "
                "as these can tell."
            )
        every = f", about 1 answer in {round(1 / one.value)}" if one.value <= 0.5 else ""
        shown = "all of them were" if self.whole == self.now.count else f"{self.whole} of them were"
        return (
            f"Turned on, it would have denied {self.now.count} of {n} answers{every}; {shown} shown to the end. "
            "The search would first look for another continuation, so at most so many are refused or cut short."
        )


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """hazards: by hazard, answers that a budget in shadow mode for it would have denied. apart: answers, by reason."""

    rows: tuple[ShadowRow, ...]
    hazards: tuple[Frequency, ...]
    apart: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Compared:
    """A share in both arms. change: canary less stable, with its interval."""

    name: str
    stable: Estimate
    canary: Estimate
    change: Estimate

    @property
    def told_apart(self) -> bool:
        """Whether the arms differ beyond what chance explains."""
        return self.change.low > 0 or self.change.high < 0


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """policies: by arm, which versions answered. rows: of what was so in any arm. apart: answers, by reason."""

    policies: Mapping[str, tuple[Frequency, ...]]
    rows: tuple[Compared, ...]
    apart: Mapping[str, int]


def shadow_report(answers: Iterable[RecordedAnswer]) -> ShadowReport:
    """What each budget in shadow mode would have denied."""
    judged: list[RecordedAnswer] = []
    apart: dict[str, int] = {}
    for one in answers:
        reason = _why_apart(one)
        if reason:
            apart[reason] = apart.get(reason, 0) + 1
        else:
            judged.append(one)
    keys = dict.fromkeys((one.policy["name"], budget) for one in judged for budget in one.shadow or ())
    return ShadowReport(
        rows=tuple(_shadow_row(budget, name, judged) for name, budget in keys),
        hazards=tuple(_hazard_rows(judged)),
        apart=apart,
    )


def canary_report(answers: Iterable[RecordedAnswer]) -> CanaryReport:
    """Both arms of a rollout, side by side."""
    arms: dict[str, list[RecordedAnswer]] = {"stable": [], "canary": []}
    apart: dict[str, int] = {}
    for one in answers:
        if one.arm in arms:
            arms[one.arm].append(one)
        else:
            apart["there was no canary then"] = apart.get("there was no canary then", 0) + 1
    if not all(arms.values()):
        return CanaryReport({name: _versions(of) for name, of in arms.items()}, (), apart)
    budgets = sorted({budget for of in arms.values() for one in of for budget in one.denied})
    asked: dict[str, Callable[[RecordedAnswer], bool]] = {
        NO_ANSWER: lambda one: one.outcome in ("refused", "ended"),
        **{outcome: partial(_ended, outcome) for outcome in OUTCOMES},
        "searched": lambda one: one.searched,
        **{f"drafts denied by '{name}'": partial(_denied, name) for name in budgets},
    }
    return CanaryReport(
        {name: _versions(of) for name, of in arms.items()},
        tuple(
            _compared(name, arms["stable"], arms["canary"], so)
            for name, so in asked.items()
            if name == NO_ANSWER or any(map(so, (*arms["stable"], *arms["canary"])))
        ),
        apart,
    )


def difference(one: Estimate, other: Estimate) -> Estimate:
    """one less other, with an interval made of both (MOVER: Zou and Donner, Statistics in Medicine 2008)."""
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, max(-1.0, low), min(1.0, high), one.n + other.n)


def _shadow_row(budget: str, policy: str, judged: Sequence[RecordedAnswer]) -> ShadowRow:
    own = [one for one in judged if one.policy["name"] == policy and budget in (one.shadow or {})]
    versions = _by(own, _version)
    newest = max(versions, key=lambda name: max(one.at for one in versions[name]))
    now = versions[newest]

    def over(one: RecordedAnswer) -> bool:
        return (one.shadow or {})[budget].over is not None

    denied = sorted((one for one in now if over(one)), key=lambda one: -(one.shadow or {})[budget].score)
    return ShadowRow(
        budget=budget,
        policy=policy,
        now=_share(newest, now, over),
        whole=sum(one.outcome in ("completed", "scored") for one in denied),
        hazards=(now[0].shadow or {})[budget].hazards,
        by_version=tuple(_share(name, of, over) for name, of in versions.items()),
        by_language=tuple(_share(name or "not told", of, over) for name, of in sorted(_by(now, _language).items())),
        examples=tuple(
            DeniedExample(one.place, one.name, (one.shadow or {})[budget].over or 0, (one.shadow or {})[budget].score)
            for one in denied[:EXAMPLES]
        ),
    )


def _why_apart(one: RecordedAnswer) -> str:
    if not one.judged:
        return "nothing of an answer was judged"
    return "nothing of budgets in shadow mode was kept, or can be told" if one.shadow is None else ""


def _hazard_rows(judged: Sequence[RecordedAnswer]) -> Iterator[Frequency]:
    accounts = [(one, account) for one in judged for account in (one.shadow or {}).values()]
    for hazard in dict.fromkeys(hazard for _, account in accounts for hazard in account.hazards):
        meant = [(one, account) for one, account in accounts if hazard in account.hazards]
        over = {one.place for one, account in meant if account.over is not None}
        answers = {one.place: one for one, _ in meant}
        yield _share(hazard, list(answers.values()), partial(_among, over))


def _ended(outcome: str, one: RecordedAnswer) -> bool:
    return one.outcome == outcome


def _denied(budget: str, one: RecordedAnswer) -> bool:
    return budget in one.denied


def _among(places: Container[str], one: RecordedAnswer) -> bool:
    return one.place in places


def _compared(
    name: str, stable: Sequence[RecordedAnswer], canary: Sequence[RecordedAnswer], so: Callable[[RecordedAnswer], bool]
) -> Compared:
    old, new = _share(name, stable, so).share, _share(name, canary, so).share
    return Compared(name, old, new, difference(new, old))


def _versions(answers: Sequence[RecordedAnswer]) -> tuple[Frequency, ...]:
    """How many answers each version gave, and when."""
    return tuple(
        Frequency(name, len(of), proportion(len(of), len(answers)), *_span(of))
        for name, of in _by(answers, _version).items()
    )


def _share(name: str, of: Sequence[RecordedAnswer], so: Callable[[RecordedAnswer], bool]) -> Frequency:
    count = sum(map(so, of))
    return Frequency(name, count, proportion(count, len(of)), *_span(of))


def _span(answers: Iterable[RecordedAnswer]) -> tuple[str, str]:
    """When the first and the last was given."""
    times = [one.at for one in answers if one.at]
    return min(times, default=""), max(times, default="")


def _by(answers: Iterable[RecordedAnswer], key: Callable[[RecordedAnswer], str]) -> dict[str, list[RecordedAnswer]]:
    found: dict[str, list[RecordedAnswer]] = {}
    for one in answers:
        found.setdefault(key(one), []).append(one)
    return found


def _version(one: RecordedAnswer) -> str:
    return f"{one.policy['version']} ({one.policy['sha256'][:12]})"


def _language(one: RecordedAnswer) -> str:
    return one.language
