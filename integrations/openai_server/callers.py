"""Who asks: what a key may use, and whose budgets its requests spend."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key.

    tenant    whose budgets are spent; None for nobody's
    policies  names of those he may ask for; the first holds where a request names none
    seconds   most that one request may take
    tokens    most that one request may ask for, over all of its answers
    """

    policies: tuple[str, ...]
    tenant: str | None = None
    seconds: float | None = 300.0
    tokens: int = 32_768
