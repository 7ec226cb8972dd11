"""Makes each decision of an audit log again, from the scores that its lines hold, by the account that decoding keeps.

Under the policy by which a line was written, all of it must come out as it was: the prompt check, what every budget had
left, that nothing shown overdraws one, and that every draft that was denied does. Under another policy, an answer is
only denied or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ig_guardrail.audit.chain import DECISIONS, AuditLine
from ig_guardrail.audit.kept import KeptLog, readable_lines
from ig_guardrail.audit.places import logs_of
from ig_guardrail.budget import BudgetRule, BudgetState, SafetyState, charge, remaining
from ig_guardrail.costs.combine import evaluate
from ig_guardrail.drive.scoring.cost_registry import rule_of
from ig_guardrail.errors import AuditError, CostFailure, RequestError, brief
from ig_guardrail.policy import load_policy
from ig_guardrail.policy.compiler import policy_in
from ig_guardrail.policy.expression import NotAnExpression
from ig_guardrail.policy.sources import folder_of
from ig_guardrail.stream.recording import Recording, recording_in
from ig_guardrail.types import Charge, CompiledPolicy
from ig_guardrail.workbench.traffic.replay import CannotJudge, PolicyReplay, as_recorded, charges_of

SHOWN = 50  # differences that are listed for people


@dataclass(frozen=True, slots=True)
class ChangedDecision:
    """A line whose decision does not come out as it was written, and how."""

    place: str
    what: str


@dataclass(frozen=True, slots=True)
class LogReplay:
    """What came of a log. same: lines whose decision came out again; apart: those not tried, by reason."""

    same: int
    differences: tuple[ChangedDecision, ...]
    apart: Mapping[str, int]

    @property
    def fails(self) -> bool:
        """Whether a decision differs, or none could be made."""
        return bool(self.differences) or not self.same

    def as_json(self) -> str:
        """Everything, as one object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def as_text(self) -> str:
        """The differences, what was not tried, and how many came out."""
        lines = [f"{one.place}: {one.what}" for one in self.differences[:SHOWN]]
        if len(self.differences) > SHOWN:
            lines.append(f"and {len(self.differences) - SHOWN} more; `--format json` lists all")
        lines += [f"not tried: {count}, since {reason}" for reason, count in self.apart.items()]
        differ = len({one.place for one in self.differences})
        return "\n".join([*lines, f"{self.same} decisions came out as they were written, {differ} did not"])


def replay_log(places: Sequence[str | Path], policy: str | None = None) -> LogReplay:
    """Make the decisions of a log again.

    policy: under which; None: each under its own, as it was kept beside the log
    Raises RequestError for a log that cannot be read, PolicyError.
    """
    logs = logs_of(places)
    shelf = _Shelf(logs)
    given = None if policy is None else load_policy(policy)
    other = None if given is None or policy is None else PolicyReplay(given, folder_of(policy))
    same, differences, apart = 0, list[ChangedDecision](), dict[str, int]()
    try:
        for place, line in (one for log in logs for one in _lines(log)):
            if line.values.get("kind") not in DECISIONS:
                continue
            try:
                own = line.values["recording"]["policy"]["sha256"]
                if other is None or other.policy.sha256 == own:
                    found = list(_repeated(line.values, shelf.find(own) if other is None else other.policy))
                else:
                    found = list(_flipped(line.values, other))
            except CannotJudge as reason:
                apart[str(reason)] = apart.get(str(reason), 0) + 1
                continue
            except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
                found = [f"it is not whole: {type(error).__name__} {brief(error)}"]
            same += not found
            differences += [ChangedDecision(place, what) for what in found]
    except (OSError, AuditError) as error:
        raise RequestError("the log cannot be read", where=logs[0].name, why=brief(error)) from error
    return LogReplay(same, tuple(differences), apart)


def _lines(log: KeptLog) -> Iterator[tuple[str, AuditLine]]:
    with log.reading() as reading:
        for _, lines in reading.parts:
            yield from readable_lines(lines)


class _Shelf:
    """Policies that were kept beside logs, by hash."""

    def __init__(self, logs: Sequence[KeptLog]) -> None:
        self._logs = logs
        self._found: dict[str, CompiledPolicy | None] = {}

    def find(self, sha256: str) -> CompiledPolicy:
        """Raises CannotJudge where it was not kept."""
        if sha256 not in self._found:
            texts = (log.policy(sha256) for log in self._logs)
            text = next((one for one in texts if one is not None), None)
            self._found[sha256] = None if text is None else _policy_in(text)
        policy = self._found[sha256]
        if policy is None:
            raise CannotJudge(f"policy {sha256[:12]} is not kept beside the log; name its file with `--policy`")
        return policy


def _policy_in(text: str) -> CompiledPolicy | None:
    """The policy in a file that was kept; None for a file that another made, which no policy's normal form is."""
    try:
        return policy_in(text, "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, NotAnExpression):
        return None


def _repeated(values: Mapping[str, Any], policy: CompiledPolicy) -> Iterator[str]:
    """How a line's decisions differ from what its scores lead to under its own policy. Raises CannotJudge."""
    recording = recording_in(values["recording"])
    if not values["receipt"]["verdict"]["guarded"]:
        raise CannotJudge("it was not guarded")
    yield from _prompt(recording, policy)
    rules = _rules(values, recording, policy)
    yield from _account(values, recording, rules)
    for budget, drafts in values["drafts"].items():
        for number, draft in enumerate(drafts, 1):
            if not _denied(rules[budget], draft):
                yield f"draft {number} that '{budget}' denied is within it"


def _rules(values: Mapping[str, Any], recording: Recording, policy: CompiledPolicy) -> dict[str, BudgetRule]:
    """How budgets were charged: as cost models declare, or those that a line names once, with a whole text."""
    if "budgets" in values:
        judged = [one for one in policy.budgets if one.id in values["budgets"]]
        return {one.id: BudgetRule(one, "final", "level") for one in judged}
    models = recording.cost_models
    return {one.id: rule_of(one, [models[name] for name in one.cost.models()]) for one in policy.budgets}


def _prompt(recording: Recording, policy: CompiledPolicy) -> Iterator[str]:
    rule, recorded = policy.prompt, recording.prompt
    if rule is None or recorded is None:
        return
    score = evaluate(rule.cost, recorded.scores)
    action = rule.on_exceed if score > rule.threshold else "none"
    if (score, action) != (recorded.score, recorded.action):
        yield f"the prompt scores {score:g} ({action}), and was told to score {recorded.score:g} ({recorded.action})"
    if action == "refuse" and recording.outcome not in ("refused", "failed", "cancelled"):
        yield f"the prompt is refused, and the answer was {recording.outcome}"


def _account(values: Mapping[str, Any], recording: Recording, rules: Mapping[str, BudgetRule]) -> Iterator[str]:
    opening = SafetyState({budget: _books(one) for budget, one in values["opening"].items()})
    try:
        charges: tuple[Charge, ...] = charges_of(recording, list(rules.values()), opening) if recording.tokens else ()
    except CostFailure as error:
        raise CannotJudge(brief(error)) from error
    left = {line.budget: line.z_after for line in charges}
    for budget in left.keys() | values["left"].keys():
        if left.get(budget) != values["left"].get(budget):
            yield f"'{budget}' has {_told(left.get(budget))} left, and was told to have {values['left'].get(budget)}"
    over = next((line for line in charges if line.z_after < 0 and rules[line.budget].enforced), None)
    if over is not None:
        yield f"'{over.budget}' is overdrawn at token {over.position}, and the text was let through"


def _denied(rule: BudgetRule, draft: Mapping[str, Any]) -> bool:
    """Whether a draft overdraws a budget."""
    state, position = _books(draft["before"]), 0
    for position, _, raw in draft["points"]:
        state, _ = charge(rule, state, position, evaluate(rule.budget.cost, raw))
    return remaining(rule.budget, state, position) < 0


def _flipped(values: Mapping[str, Any], other: PolicyReplay) -> Iterator[str]:
    """How another policy decides on a line. Raises CannotJudge."""
    recording = recording_in(values["recording"])
    before, after = as_recorded(recording), other.judge(recording)
    if (before.by is None) != (after.by is None):
        came = "passed" if before.by is None else f"was {recording.outcome} ({before.by})"
        goes = "passes" if after.by is None else f"is denied by '{after.by}' at token {after.at}"
        yield f"it {came} under {recording.policy['sha256'][:12]}, and {goes}"


def _books(told: Sequence[Any]) -> BudgetState:
    total, peak, left, position = told
    return BudgetState(Decimal(total), Decimal(peak), None if left is None else Decimal(left), int(position))


def _told(left: float | None) -> str:
    return "nothing recorded" if left is None else f"{left}"
