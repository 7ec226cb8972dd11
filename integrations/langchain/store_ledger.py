"""`StoreLedger`: a ledger in LangGraph's store, for agents that are deployed with one.

A store has no transactions. So a charge is written first and counted then: if all that is written is more than was
granted, this charge is taken back. Two processes that charge at the same moment may both take theirs back, and neither
can overdraw, as long as a process sees what another has written.

A charge is an item, and stays one until it has left its limit's window: items that several processes write cannot be
put together without transactions. So under a limit without a window a charge takes longer the more came before it, and
more than in proportion, since a store finds each page of items again: 0.4 seconds and more behind 10,000, in a store in
memory. Keep long conversations, and tenants, in a file.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import uuid4

from ig_guardrail.errors import LedgerError, brief
from ig_guardrail.extras import absence
from ig_guardrail.ledger import LedgerEntry, Limit
from ig_guardrail.ledger.rows import overtaken, settled_until, total

try:
    from langgraph.store.base import BaseStore
except ModuleNotFoundError as error:
    raise absence("agents", "langgraph", by="StoreLedger") from error

PAGE = 1_000  # items asked for at once
StorePath: TypeAlias = tuple[str, ...]


class StoreLedger:
    """Charges as items of a store, under the namespace "ig-guardrail"; accounts are named by their hash."""

    def __init__(self, store: BaseStore) -> None:
        self._store = store
        self._lock = threading.Lock()

    def turn(self, account: str) -> int:
        with _failing():
            return max((int(item["turn"]) for _, item in self._items(_place(account, "turns"))), default=0) + 1

    def advance(self, account: str, turn: int) -> None:
        place = _place(account, "turns")
        self._put(place, str(turn), {"turn": turn})
        for key in [key for key, item in self._items(place) if int(item["turn"]) < turn]:
            self._delete(place, key)

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        with _failing():
            found = [item for _, item in self._items(_charges(account, limit.budget))]
            rows = [(int(item["turn"]), Decimal(str(item["cost"]))) for item in found]
            return float(total(rows, turn, limit))

    def knows(self, account: str, answer: str) -> bool:
        with _failing():
            return self._store.get(_place(account, "answers"), answer) is not None

    def remember(self, account: str, answer: str) -> None:
        self._put(_place(account, "answers"), answer, {"known": True})

    def charge(self, entries: Sequence[LedgerEntry], limits: Mapping[str, Limit]) -> bool:
        with self._lock:
            written = [(_charges(entry.account, entry.budget), uuid4().hex, entry) for entry in entries]
            for place, key, entry in written:
                self._put(place, key, {"turn": entry.turn, "cost": str(entry.cost)})
            if all(self._lasts(entry, limits[entry.budget]) for entry in entries):
                return True
            for place, key, _ in written:
                self._delete(place, key)
            return False

    def _lasts(self, entry: LedgerEntry, limit: Limit) -> bool:
        """Whether a budget lasts with an entry that is written. Deletes what no longer counts in any turn to come."""
        lasts = self.spent(entry.account, entry.turn, limit) <= limit.granted
        if not limit.forgets:
            return lasts
        place = _charges(entry.account, entry.budget)
        turns = {key: int(item["turn"]) for key, item in self._items(place)}
        newest = max(turns.values())
        gone = settled_until(newest, limit) if limit.window else 0
        for key in [key for key, turn in turns.items() if turn <= gone]:
            self._delete(place, key)
        return lasts and not overtaken(entry.turn, newest, limit)

    def _delete(self, place: StorePath, key: str) -> None:
        with _failing():
            self._store.delete(place, key)

    def _put(self, place: StorePath, key: str, value: dict[str, Any]) -> None:
        with _failing():
            self._store.put(place, key, value, index=False)

    def _items(self, place: StorePath) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Everything that lies directly in a place."""
        offset = 0
        while True:
            with _failing():
                page = self._store.search(place, limit=PAGE, offset=offset)
            yield from ((item.key, item.value) for item in page if item.namespace == place)
            if len(page) < PAGE:
                return
            offset += PAGE


@contextmanager
def _failing() -> Iterator[None]:
    """Whatever a store raises, as LedgerError."""
    try:
        yield
    except LedgerError:
        raise
    except Exception as error:
        raise LedgerError(
            f"the store of the ledger failed: {brief(error)}",
            where="ledger",
            why="what a conversation has spent must be known before anything of it is shown",
            fix="repair the store, or keep the ledger in a file",
        ) from error


def _charges(account: str, budget: str) -> StorePath:
    return _place(account, "charges", budget)


def _place(account: str, *parts: str) -> StorePath:
    return ("ig-guardrail", hashlib.sha256(account.encode()).hexdigest(), *parts)
