"""Every warning about a draft, by subject."""

from __future__ import annotations

from itertools import chain

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation.cautions.arguments import argument_cautions
from ig_guardrail.policy.validation.cautions.budgets import budget_cautions
from ig_guardrail.policy.validation.cautions.effects import effect_cautions
from ig_guardrail.policy.validation.cautions.hazards import hazard_cautions
from ig_guardrail.policy.validation.cautions.messages import message_cautions
from ig_guardrail.policy.validation.cautions.patterns import pattern_cautions
from ig_guardrail.policy.validation.cautions.settings import setting_cautions
from ig_guardrail.policy.validation.cautions.texts import text_cautions
from ig_guardrail.policy.validation.cautions.tools import tool_cautions

_SUBJECTS = (
    effect_cautions,
    budget_cautions,
    hazard_cautions,
    pattern_cautions,
    tool_cautions,
    argument_cautions,
    setting_cautions,
    text_cautions,
    message_cautions,
)


def check_doubts(draft: PolicyDraft) -> tuple[Diagnostic, ...]:
    """Every warning about a draft whose values are all sound."""
    return tuple(chain.from_iterable(subject(draft) for subject in _SUBJECTS))
