"""Who asks: what a key may use, and whose budgets its requests spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ig_guardrail.integrations.openai_server.events import RefusalStyle

ShownReceipt: TypeAlias = Literal["full", "verdict", "none"]
IN_VERDICT = ("verdict", "policy")  # of a receipt: how the answer ended, and under which policy; no scores


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key.

    policies       names of those he may ask for; the first holds where a request names none
    tenant         whose budgets are spent; None for nobody's
    key            the first digits of his key's digest, which tell keys apart in logs; "" where there are no keys
    seconds        most that one request may take
    tokens         most that one request may ask for, over all of its answers
    answers        most to one request
    at_once        most requests that are served at a time; None is as many as the server serves
    per_minute     most requests in a minute, in a row or spread; None sets no limit
    refusal_style  how chat completions tell him of a refusal; None is as the server does
    receipt        what of an answer's receipt is sent to him: raw scores help whoever probes a guard
    """

    policies: tuple[str, ...]
    tenant: str | None = None
    key: str = ""
    seconds: float | None = 300.0
    tokens: int = 32_768
    answers: int = 16
    at_once: int | None = None
    per_minute: int | None = None
    refusal_style: RefusalStyle | None = None
    receipt: ShownReceipt = "full"

    def shown(self, receipt: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is sent to him of a receipt."""
        if self.receipt == "full":
            return receipt
        return {name: receipt[name] for name in IN_VERDICT if self.receipt == "verdict" and name in receipt}
