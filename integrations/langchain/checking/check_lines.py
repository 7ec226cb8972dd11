"""What was decided on a whole text, as a line of the audit log: a recording that is charged once, at its end.

So `audit replay` makes such a decision again like any other, and reports on a rollout count such answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ig_guardrail.audit.chain import ANSWER, CALL
from ig_guardrail.audit.log import AuditLog
from ig_guardrail.budget import BudgetState
from ig_guardrail.drive.prompt_check import PromptCheck
from ig_guardrail.drive.records.auditor import drafts_of, named, recorded
from ig_guardrail.drive.records.receipts import now
from ig_guardrail.drive.records.recorder import denied_candidates, policy_facts, recorded_prompt, tracks_of
from ig_guardrail.drive.usage import DeniedDraft
from ig_guardrail.integrations.langchain.checking.answer_check import Refusal
from ig_guardrail.integrations.langchain.checking.text_checks import BudgetCheck, TextChecks
from ig_guardrail.ledger import AccountKey
from ig_guardrail.stream.recording import RecordedModel, Recording
from ig_guardrail.types import Measure

NO_ENGINE = dict.fromkeys(("name", "sha256", "numerics", "language"), "")


@dataclass(frozen=True, slots=True)
class CheckedText:
    """A decision on an input, an answer or a call.

    shown    what went on, or was said in its place
    told     more of it that is no text of a conversation: the tool's name, the message that was shown
    """

    what: Literal["input", "answer", "call"]
    shown: str
    budgets: tuple[BudgetCheck, ...] = ()
    prompt: PromptCheck = field(default_factory=PromptCheck)
    refusal: Refusal | None = None
    told: Mapping[str, Any] = field(default_factory=dict)


def check_entry(
    checks: TextChecks, checked: CheckedText, language: str, payer: AccountKey, log: AuditLog
) -> dict[str, Any]:
    """What a line says of it. Where it is refused, what was within budget is left out, as for any draft."""
    refusal, within = checked.refusal, () if checked.refusal else checked.budgets
    charges = [one.charge for one in within]
    over = {one.charge.budget: [_draft(one)] for one in checked.budgets if one.over}
    recording = Recording(
        at=now(),
        policy=policy_facts(checks.policy),
        engine=NO_ENGINE,
        cost_models=_models(checks),
        outcome="refused" if refusal else "completed",
        reason=refusal.reason if refusal else "",
        language=language,
        tokens=len(charges[:1]),
        released=len(charges[:1]),
        ended=bool(charges),
        searched=False,
        tracks=tracks_of(checks.costs, charges),
        prompt=recorded_prompt(checks.policy.prompt, checked.prompt),
        denied=denied_candidates(over),
        text=checked.shown,
        shadow={},
        arm=checks.arm,
    )
    verdict = {"outcome": recording.outcome, "reason": recording.reason, "finish": None, "guarded": True}
    return {
        "kind": CALL if checked.what == "call" else ANSWER,
        "recording": recorded(recording, checked.shown, log),
        "budgets": [budget.id for budget in checks.budgets],
        "drafts": {budget: drafts_of(drafts) for budget, drafts in over.items()},
        "opening": {},
        "left": {line.budget: line.z_after for line in charges},
        "who": named(payer.conversation, payer.tenant, log),
        "receipt": {"verdict": verdict, "checked": checked.what, **checked.told},
    }


def _models(checks: TextChecks) -> dict[str, RecordedModel]:
    """Cost models as they are charged here, whatever else they declare: once, with the whole text."""
    bound, hashes = checks.costs.by_name.items(), checks.costs.hashes
    return {name: RecordedModel(hashes[name], "final", "level", tuple(one.model.hazards)) for name, one in bound}


def _draft(check: BudgetCheck) -> DeniedDraft:
    line = check.charge
    measure = Measure(line.budget, line.position, line.ended, line.score, line.raw, hazards=check.hazards)
    return DeniedDraft(BudgetState(), (measure,))
