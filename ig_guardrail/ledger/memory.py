"""A ledger that lives as long as the process."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence

from ig_guardrail.ledger.books import TOLERANCE, Entry, Limit, total


class MemoryLedger:
    """Charges in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, int] = defaultdict(int)
        self._charges: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)

    def begin(self, account: str) -> int:
        with self._lock:
            self._turns[account] += 1
            return self._turns[account]

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        with self._lock:
            return total(self._charges[account, limit.budget], turn, limit)

    def charge(self, entries: Sequence[Entry], limits: Mapping[str, Limit]) -> bool:
        with self._lock:
            for entry in entries:
                limit = limits[entry.budget]
                spent = total(self._charges[entry.account, entry.budget], entry.turn, limit)
                if spent + entry.cost > limit.granted + TOLERANCE:
                    return False
            for entry in entries:
                self._charges[entry.account, entry.budget].append((entry.turn, entry.cost))
            return True
