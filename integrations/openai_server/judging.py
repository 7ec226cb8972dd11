"""Texts and calls that exist already, judged under a policy: nothing is decoded, and nothing is spent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ig_guardrail.drive.charging import ChargedAnswer
from ig_guardrail.drive.request import check_size
from ig_guardrail.drive.runners import DeadlinePassed, finish_async
from ig_guardrail.errors import PromptTooLong
from ig_guardrail.guardrail import LARGE, Guardrail
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.faults import Fault, Refused, unfit
from ig_guardrail.ledger import AccountKey
from ig_guardrail.types import AssistantMessage, Charge


@dataclass(frozen=True, slots=True)
class Given:
    """What is to be judged: an answer, and what it answers ("": that is not known)."""

    said: AssistantMessage
    asked: str = ""


@dataclass(frozen=True, slots=True)
class JudgedText:
    """What became of it. denied: the first charge that overdraws an enforced budget"""

    charged: ChargedAnswer
    denied: Charge | None

    @property
    def refused(self) -> bool:
        """Whether the policy refuses the prompt outright."""
        return self.charged.prompt.action == "refuse"

    @property
    def allowed(self) -> bool:
        return self.denied is None and not self.refused


async def judge(
    guardrail: Guardrail, caller: Caller, given: Sequence[Given], where: str, conversation: str | None = None
) -> list[JudgedText]:
    """Each on its own, as the next answer of its conversation. where: their place in the body

    Raises RequestError where it is too long, CostFailure where a cost model fails, Refused past the caller's seconds.
    """
    check_size(len(given), sum(len(one.asked) + len(one.said.words) for one in given), guardrail.limits)
    payer = AccountKey(conversation, caller.tenant)
    deadline = None if caller.seconds is None else time.monotonic() + caller.seconds
    enforced = {rule.budget.id for rule in guardrail.costs.enforced}
    found = []
    for index, one in enumerate(given):
        try:
            charged = await finish_async(guardrail.judge(one.asked, one.said, payer), deadline, len(one.asked) > LARGE)
        except DeadlinePassed:
            raise Refused(Fault(408, "server_error", "timeout", "the time for this request was over", None)) from None
        except PromptTooLong:
            what = f"text {index}, counted from 0, does not fit what the model reads at once"
            raise unfit(what, where, "context_length_exceeded") from None
        denied = next((line for line in charged.charges if line.budget in enforced and line.z_after < 0), None)
        found.append(JudgedText(charged, denied))
    return found
