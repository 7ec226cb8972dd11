"""What a command's exit code says of an answer: 0 only where the answer is complete.

An answer whose guard failed ends the command with an error, as everything does that could not be done.
"""

from __future__ import annotations

from collections.abc import Mapping

from ig_guardrail.errors import GuardrailError
from ig_guardrail.types import Outcome, Receipt

FAILED = GuardrailError.exit_code
CODES: Mapping[Outcome, int] = {"completed": 0, "refused": 3, "ended": 4, "cancelled": 5, "failed": FAILED}


def exit_code(receipt: Receipt) -> int:
    """Of the outcome: 0 completed, 3 refused, 4 ended with a closing message, 5 cancelled at the deadline."""
    return CODES[receipt.verdict.outcome]
