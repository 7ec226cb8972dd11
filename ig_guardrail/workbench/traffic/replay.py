"""A policy's budgets over recorded scores: what would be denied, and where, by the account that decoding keeps.

A replay tells what becomes of the drafts that were recorded. It cannot tell what a search would have said in their
place, nor score what was not scored: such recordings are counted apart, and never judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from ig_guardrail.budget import BudgetRule, Point, SafetyState
from ig_guardrail.costs.adoption import read_adoption
from ig_guardrail.costs.catalog import build_costs
from ig_guardrail.costs.combine import evaluate
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.drive.charging import account_of, open_account
from ig_guardrail.drive.records.recorder import policy_facts
from ig_guardrail.drive.scoring.cost_registry import counted_sha256, rule_of
from ig_guardrail.errors import GuardrailError
from ig_guardrail.policy.expression import written
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.stream.recording import SCORED, DeniedCandidates, Recording, ScoreTrack
from ig_guardrail.types import Charge, CompiledPolicy, Measure, Node

PROMPT = "prompt check"
ANSWERED = ("completed", "refused", "ended")  # outcomes of answers that were decoded to their end


@dataclass(frozen=True, slots=True)
class DraftVerdict:
    """What a policy does with a recorded draft. by: the budget that denies it, or the prompt check; None: it passes.

    at    the position, tokens
    over  every budget that the whole draft overdraws, those in shadow too
    """

    by: str | None = None
    at: int = 0
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedDraft:
    """A recorded draft, judged before and after. It flips where one passes it, and the other does not.

    text  what was said; None unless the recording keeps it
    """

    place: str
    before: DraftVerdict
    after: DraftVerdict
    language: str
    text: str | None = None

    @property
    def to_denied(self) -> bool:
        return self.before.by is None and self.after.by is not None

    @property
    def to_passed(self) -> bool:
        return self.before.by is not None and self.after.by is None


class CannotJudge(Exception):
    """Why a recording cannot be judged under a policy, in words."""


class PolicyReplay:
    """One policy over recordings. folder: where relative paths of the policy start."""

    def __init__(self, policy: CompiledPolicy, folder: Path | None) -> None:
        self.policy = policy
        self._folder = folder
        self.budgets = [budget for budget in policy.budgets if budget.scope == "response"]
        self._hash = cache(self._hash_beside)

    @property
    def facts(self) -> Mapping[str, str]:
        """How recordings name the policy."""
        return policy_facts(self.policy)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Budgets that cannot be tried on one answer at a time."""
        return tuple(budget.id for budget in self.policy.budgets if budget.scope != "response")

    def judge(self, recording: Recording) -> DraftVerdict:
        """What the policy does with the draft. Raises CannotJudge."""
        if self._refuses(recording):
            return DraftVerdict(PROMPT, over=(PROMPT,))
        if recording.outcome == "refused" and not recording.tokens:
            raise CannotJudge("nothing of an answer was recorded")
        enforced = {budget.id for budget in self.budgets if budget.mode == "enforce"}
        overdrawn = [line for line in self.charges(recording) if line.z_after < 0]
        over = next((line for line in overdrawn if line.budget in enforced), None)
        if over is None and recording.outcome in ("refused", "ended"):
            raise CannotJudge("drafts were denied when it was recorded, and their scores are not in it")
        budgets = tuple(dict.fromkeys(line.budget for line in overdrawn))
        return DraftVerdict(over=budgets) if over is None else DraftVerdict(over.budget, over.position, budgets)

    def charges(self, recording: Recording) -> tuple[Charge, ...]:
        """The account of a recorded answer under the policy's budgets. Raises CannotJudge."""
        self._check(recording)
        if not recording.tokens:
            return ()
        return charges_of(recording, [self._rule(recording, budget.id) for budget in self.budgets])

    def _check(self, recording: Recording) -> None:
        """Raises CannotJudge for an answer whose scores are not those of this policy's cost models."""
        if recording.outcome == "failed" or recording.fail_open:
            raise CannotJudge("a cost model failed when it was recorded")
        self._demand(recording, [name for budget in self.budgets for name in budget.cost.models()])

    def _demand(self, recording: Recording, names: Iterable[str]) -> None:
        engine = (recording.engine["sha256"], recording.engine["numerics"], recording.engine["language"])
        for name in dict.fromkeys(names):
            recorded = recording.cost_models.get(name)
            if recorded is None:
                raise CannotJudge(f"it has no scores of cost model '{name}'")
            if self._hash(name, engine) != recorded.sha256:
                raise CannotJudge(f"cost model '{name}' is another one now")

    def _refuses(self, recording: Recording) -> bool:
        rule, recorded = self.policy.prompt, recording.prompt
        if rule is None or rule.on_exceed != "refuse":
            return False
        if recorded is None or recorded.cost != written(rule.cost):
            raise CannotJudge("it has no score of its prompt")
        self._demand(recording, rule.cost.models())
        return recorded.score > rule.threshold

    def _rule(self, recording: Recording, budget_id: str) -> BudgetRule:
        budget = next(budget for budget in self.budgets if budget.id == budget_id)
        return rule_of(budget, [recording.cost_models[name] for name in budget.cost.models()])

    def _hash_beside(self, name: str, engine: tuple[str, str, str]) -> str | None:
        """The hash of a cost model as it is made beside a model; None where it cannot be made here."""
        model, numerics, language = engine
        facts = EngineFacts(model, numerics, language) if model else None
        adoption = read_adoption(model, numerics) if model else None
        specs = [spec for spec in self.policy.cost_models if spec.kind != "provided"]
        try:
            built = build_costs(specs, (name,), engine=facts, base_dir=self._folder, adoption=adoption)
        except (GuardrailError, KeyError):
            return None
        return counted_sha256(built[name])


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One line of a table: the share of judged drafts that are over a budget, or denied, with its exact interval.

    to_denied, to_passed  how many flip, and are or were over it
    """

    name: str
    over: Estimate
    to_denied: int
    to_passed: int


class ServedAnswer(Protocol):
    """An answer that was decoded to its end: of a recording, or of a receipt. denied: budgets that denied drafts."""

    @property
    def outcome(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def searched(self) -> bool: ...
    @property
    def denied(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class ServedRow:
    """What became of answers when they were recorded, of all, or for a hazard, or in a language.

    searched  for which a draft was replaced, or might have been
    rescued   of these, the share that completed; None where there are none
    refused   answers that the policy refused or ended; for a hazard, those of which it denied a draft
    """

    name: str
    searched: Estimate
    rescued: Estimate | None
    refused: Estimate


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a policy does with recorded drafts.

    against   the policy it is compared with, by name and hash; None: with what was recorded
    denied    the share of judged drafts that it denies
    flips     drafts that are judged differently
    apart     recordings that were not judged, by reason
    drafts    by budget, drafts that were denied when they were recorded, of all recordings
    served    what became of answers when they were recorded
    """

    policy: str
    against: str | None
    denied: Estimate | None
    flips: tuple[JudgedDraft, ...]
    apart: Mapping[str, int]
    by_budget: tuple[ShareRow, ...] = ()
    by_hazard: tuple[ShareRow, ...] = ()
    by_language: tuple[ShareRow, ...] = ()
    left_out: tuple[str, ...] = ()
    drafts: Mapping[str, DeniedCandidates] = field(default_factory=dict)
    served: tuple[ServedRow, ...] = ()

    @property
    def judged(self) -> int:
        return 0 if self.denied is None else self.denied.n


def replay(
    new: PolicyReplay, recordings: Iterable[tuple[str, Recording]], old: PolicyReplay | None = None
) -> ReplayReport:
    """Judge recordings under a policy, and compare with another one, or with what was recorded."""
    apart: dict[str, int] = {}
    judged: list[JudgedDraft] = []
    drafts: dict[str, DeniedCandidates] = {}
    decoded: list[Recording] = []
    for place, recording in recordings:
        decoded += [recording] if recording.outcome in ANSWERED else []
        for budget, denied in recording.denied.items():
            drafts[budget] = drafts[budget].joined(denied) if budget in drafts else denied
        try:
            after = new.judge(recording)
            before = as_recorded(recording) if old is None else old.judge(recording)
        except CannotJudge as reason:
            apart[str(reason)] = apart.get(str(reason), 0) + 1
            continue
        judged.append(JudgedDraft(place, before, after, recording.language, recording.text))
    budgets = [budget for budget in new.policy.budgets if budget.scope == "response"]
    hazards = budgets_by_hazard([new.policy] if old is None else [new.policy, old.policy])
    rows = {budget.id + (" (shadow)" if budget.mode == "shadow" else ""): {budget.id} for budget in budgets}
    rows |= {PROMPT: {PROMPT}} if new.policy.prompt and new.policy.prompt.on_exceed == "refuse" else {}
    return ReplayReport(
        policy=named(new.policy),
        against=None if old is None else named(old.policy),
        denied=_denied(judged),
        flips=tuple(one for one in judged if one.to_denied or one.to_passed),
        apart=apart,
        by_budget=tuple(_row(name, judged, of) for name, of in rows.items()) if judged else (),
        by_hazard=tuple(_row(name, judged, of) for name, of in hazards.items()) if judged else (),
        by_language=tuple(
            _row(name, [one for one in judged if one.language == name])
            for name in sorted({one.language for one in judged})
        ),
        left_out=new.left_out,
        drafts=drafts,
        served=tuple(_served(decoded, hazards)) if decoded else (),
    )


def as_recorded(recording: Recording) -> DraftVerdict:
    """What became of an answer when it was recorded."""
    if recording.outcome == SCORED:
        if recording.prompt is not None and recording.prompt.action == "refuse":
            return DraftVerdict(PROMPT, over=(PROMPT,))
        first = min(recording.over.items(), key=lambda one: one[1], default=None)
        return DraftVerdict(*first, tuple(recording.over)) if first else DraftVerdict()
    denied = recording.outcome in ("refused", "ended")
    by = recording.reason or recording.outcome
    return DraftVerdict(by, recording.released, tuple(recording.denied)) if denied else DraftVerdict()


def _row(name: str, judged: Sequence[JudgedDraft], of: set[str] | None = None) -> ShareRow:
    """of: the budgets that are meant; None: all that deny."""

    def over(verdict: DraftVerdict) -> bool:
        return verdict.by is not None if of is None else bool(of & set(verdict.over))

    count = sum(over(one.after) for one in judged)
    return ShareRow(
        name,
        proportion(count, len(judged)),
        sum(one.to_denied and over(one.after) for one in judged),
        sum(one.to_passed and over(one.before) for one in judged),
    )


def _served(decoded: Sequence[Recording], hazards: Mapping[str, set[str]]) -> Iterator[ServedRow]:
    """Of all answers; for each hazard of which a draft was denied; in each language."""
    yield served_row("all", decoded, decoded)
    for hazard, budgets in hazards.items():
        denied = [one for one in decoded if budgets & one.denied.keys()]
        if denied:
            yield served_row(f"hazard {hazard}", decoded, denied)
    for language in sorted({one.language for one in decoded}):
        own = [one for one in decoded if one.language == language]
        yield served_row(f"language {language}", own, own)


def served_row(name: str, answers: Sequence[ServedAnswer], meant: Sequence[ServedAnswer]) -> ServedRow:
    """What became of those that are meant, as shares of all answers."""
    searched = [one for one in meant if one.searched]
    rescued = sum(one.outcome == "completed" for one in searched)
    refused = sum(one.outcome in ("refused", "ended") for one in meant)
    count = len(answers)
    return ServedRow(
        name=name,
        searched=proportion(len(searched), count),
        rescued=proportion(rescued, len(searched)) if searched else None,
        refused=proportion(refused, count),
    )


def _denied(judged: Sequence[JudgedDraft]) -> Estimate | None:
    return proportion(sum(one.after.by is not None for one in judged), len(judged)) if judged else None


def budgets_by_hazard(policies: Iterable[CompiledPolicy]) -> dict[str, set[str]]:
    """By hazard, the enforced budgets that are for it."""
    found: dict[str, set[str]] = {}
    for policy in policies:
        for budget in policy.budgets:
            for hazard in budget.hazards if budget.scope == "response" and budget.mode == "enforce" else ():
                found.setdefault(hazard, set()).add(budget.id)
    return found


def named(policy: CompiledPolicy) -> str:
    """A policy by name, version and hash."""
    return f"{policy.name} {policy.version} ({policy.sha256[:12]})"


def charges_of(
    recording: Recording, rules: Sequence[BudgetRule], opening: SafetyState | None = None
) -> tuple[Charge, ...]:
    """The account of a recorded answer under rules. Raises CannotJudge where a score was not recorded.

    opening: what was spent before the first token, where budgets are shared with earlier answers
    """
    node = _node(recording)
    by_budget: dict[str, list[Point]] = {}
    for budget, point in open_account(node, rules).due(node):
        by_budget.setdefault(budget, []).append(point)
    measures = [measure for rule in rules for measure in _measures(recording, rule, by_budget.get(rule.budget.id, []))]
    return account_of(node, rules, measures, opening)


def _node(recording: Recording) -> Node:
    """A node with as many tokens as the answer had; the account asks for no more."""
    root = Node(id=0, root=0, parent=None, ids=(), position=0, text="", offsets=(), visible=0)
    count = recording.tokens
    return Node(
        id=1,
        root=0,
        parent=root,
        ids=tuple(range(count)),
        position=count,
        text="",
        offsets=(0,) * count,
        visible=0,
        finish="stop" if recording.ended else None,
    )


def _measures(recording: Recording, rule: BudgetRule, due: Sequence[Point]) -> list[Measure]:
    raws: list[dict[str, float]] = [{} for _ in due]
    for name in rule.budget.cost.models():
        for raw, score in zip(raws, _scores(recording, rule, name, due), strict=True):
            raw[name] = score
    return [
        Measure(rule.budget.id, point.position, point.ended, evaluate(rule.budget.cost, raw), raw)
        for point, raw in zip(due, raws, strict=True)
    ]


def _scores(recording: Recording, rule: BudgetRule, name: str, due: Sequence[Point]) -> list[float]:
    """A cost model's scores for a budget's hazards at these points. Raises CannotJudge where one was not recorded.

    A level is the same however an answer was cut; an event belongs to its piece, so it must have been cut alike.
    """
    declared = recording.cost_models[name]
    meant = {one for one in declared.hazards if one in rule.budget.hazards}
    spaced = (rule.granularity, rule.budget.every)
    usable = [
        _at_points(track, due)
        for track in recording.tracks
        if track.model == name
        and set(track.hazards) <= meant
        and (declared.reading == "level" or (track.granularity, track.every) == spaced)
    ]
    known = [(set(hazards), scores) for hazards, scores in usable if scores is not None]
    if set().union(*(hazards for hazards, _ in known)) != meant:
        raise CannotJudge(f"cost model '{name}' was not scored everywhere budget '{rule.budget.id}' asks for it")
    return [max(column) for column in zip(*(scores for _, scores in known), strict=True)] if known else [0.0] * len(due)


def _at_points(track: ScoreTrack, due: Sequence[Point]) -> tuple[tuple[str, ...], list[float] | None]:
    known = {(at, ended): score for at, ended, score in track.points}
    scores = [known.get((point.position, point.ended)) for point in due]
    return track.hazards, None if None in scores else [one for one in scores if one is not None]
