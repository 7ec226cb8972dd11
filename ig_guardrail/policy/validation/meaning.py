"""Every warning about a draft, by subject."""

from __future__ import annotations

from itertools import chain

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation.budget_cautions import budget_cautions
from ig_guardrail.policy.validation.hazard_cautions import hazard_cautions
from ig_guardrail.policy.validation.message_cautions import message_cautions
from ig_guardrail.policy.validation.pattern_cautions import pattern_cautions
from ig_guardrail.policy.validation.setting_cautions import setting_cautions
from ig_guardrail.policy.validation.tool_cautions import tool_cautions
from ig_guardrail.policy.validation.warnings import check_cautions

BESIDE = frozenset({"P034", "P035", "P040", "P041"})  # faults that leave every value sound
_SUBJECTS = (
    check_cautions,
    budget_cautions,
    hazard_cautions,
    pattern_cautions,
    tool_cautions,
    setting_cautions,
    message_cautions,
)


def check_doubts(draft: PolicyDraft) -> tuple[Diagnostic, ...]:
    """Every warning about a draft whose values are all sound."""
    return tuple(chain.from_iterable(subject(draft) for subject in _SUBJECTS))
