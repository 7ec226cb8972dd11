"""What the charges of one budget in one account come to, and how they are kept short.

A row is a turn and what was charged in it. Turns that no charge can be weighed apart in any more are one row: all of
them where a limit forgets nothing, those long overtaken where it decays. What has left its window is no row at all. So
the rows of an account are at most `OVERTAKEN` and its limit's window, however many answers it was charged for, and
their sum stays what it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext

from ig_guardrail.budget import EXACT, NOTHING, affords, exact
from ig_guardrail.ledger.session import LedgerEntry, Limit

OVERTAKEN = 1_000  # turns by which an answer may be overtaken and still be charged, where a limit forgets


def account_name(account: str) -> str:
    """What an account is called where it is written: the SHA-256 of its name, in hex."""
    return hashlib.sha256(account.encode()).hexdigest()


def written_cost(text: str) -> Decimal:
    """A cost as it was written. Raises ValueError, ArithmeticError for what is none."""
    cost = EXACT.create_decimal(text)
    if not cost.is_finite() or cost < 0:
        raise ValueError(f"a charge of '{text:.20}' is no cost")
    return cost


def total(rows: Iterable[tuple[int, Decimal]], turn: int, limit: Limit) -> Decimal:
    """The sum of (turn, cost) as it counts in a turn."""
    counted = [(own, cost) for own, cost in rows if not limit.window or turn - own < limit.window]
    with localcontext(EXACT):
        if limit.decay == 1:
            return sum((cost for _, cost in counted), NOTHING)
        spent, at, decay = NOTHING, 0, exact(limit.decay)
        for own, cost in sorted((min(own, turn), cost) for own, cost in counted):
            spent, at = spent * decay ** (own - at) + cost, own
        return spent * decay ** max(0, turn - at)


def charged(rows: Mapping[int, Decimal], entry: LedgerEntry, limit: Limit) -> dict[int, Decimal] | None:
    """The rows with one charge more, kept short; None if it overdraws the limit.

    None too if its turn was overtaken by so many that what it may spend is no longer known.
    """
    newest = max(rows, default=entry.turn)
    if overtaken(entry.turn, newest, limit):
        return None
    more = {**rows, entry.turn: EXACT.add(rows.get(entry.turn, NOTHING), exact(entry.cost))}
    if not affords(limit.granted, total(more.items(), entry.turn, limit)):
        return None
    return _short(more, settled_until(max(newest, entry.turn), limit), limit)


def overtaken(turn: int, newest: int, limit: Limit) -> bool:
    """Whether a turn lies so far behind the newest that what may be spent in it is no longer known."""
    return limit.forgets and turn < newest - OVERTAKEN


def settled_until(newest: int, limit: Limit) -> int:
    """The last turn of those that no charge can be weighed apart in."""
    return newest - limit.window - OVERTAKEN if limit.forgets else newest


def _short(rows: dict[int, Decimal], until: int, limit: Limit) -> dict[int, Decimal]:
    settled = {turn: cost for turn, cost in rows.items() if turn <= until}
    if not settled:
        return rows
    kept = {turn: cost for turn, cost in rows.items() if turn > until}
    if limit.window:
        return kept
    last = max(settled)
    return {last: total(settled.items(), last, limit), **kept}
