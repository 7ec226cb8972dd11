"""A ledger that lives as long as the process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ig_guardrail.ledger.books import Entry, Limit, lasts, total
from ig_guardrail.threads import Turn


class MemoryLedger:
    """Charges in memory."""

    def __init__(self) -> None:
        self._lock = Turn()
        self._turns: dict[str, int] = defaultdict(int)
        self._answers: set[tuple[str, str]] = set()
        self._charges: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)

    def __deepcopy__(self, memo: dict[int, Any]) -> MemoryLedger:
        return self

    def __reduce__(self) -> tuple[type[MemoryLedger], tuple[()]]:
        """Another process begins with an empty one."""
        return MemoryLedger, ()

    def turn(self, account: str) -> int:
        with self._lock:
            return self._turns[account] + 1

    def advance(self, account: str, turn: int) -> None:
        with self._lock:
            self._turns[account] = max(self._turns[account], turn)

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        with self._lock:
            return self._spent(account, turn, limit)

    def knows(self, account: str, answer: str) -> bool:
        with self._lock:
            return (account, answer) in self._answers

    def remember(self, account: str, answer: str) -> None:
        with self._lock:
            self._answers.add((account, answer))

    def charge(self, entries: Sequence[Entry], limits: Mapping[str, Limit]) -> bool:
        with self._lock:
            if not lasts(entries, limits, lambda entry, limit: self._spent(entry.account, entry.turn, limit)):
                return False
            for entry in entries:
                self._charges[entry.account, entry.budget].append((entry.turn, entry.cost))
            return True

    def _spent(self, account: str, turn: int, limit: Limit) -> float:
        return total(self._charges[account, limit.budget], turn, limit)
