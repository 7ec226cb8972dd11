"""Ledgers that live as long as the process: one of its own, and the one that guardrails share that are given none.

Memory is bounded, and forgetting is no way to a fresh budget. Names that have spent nothing are forgotten first, which
refunds nothing; one that has spent is forgotten only after it was silent for `days`. Where so many have spent that no
room is left, a further name is refused its first charge.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

from ig_guardrail.errors import LedgerError
from ig_guardrail.ledger.rows import charged, total
from ig_guardrail.ledger.session import LedgerEntry, Limit
from ig_guardrail.threads.locks import ForkSafeLock

NAMES = 100_000  # accounts that are kept
ANSWERS = 10_000  # of an account, the newest; an older one that is given back is charged again
DAYS = 30.0  # of silence, after which an account is forgotten
_DAY_S = 86_400.0

_log = logging.getLogger(__name__)


class MemoryLedger:
    """Charges in memory.

    names  accounts that are kept; a further one is refused, if all of them have spent something
    days   after which an account is forgotten in which nothing was shown or charged
    clock  seconds that only grow
    """

    def __init__(self, names: int = NAMES, days: float = DAYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._names, self._silence_s, self._clock = names, days * _DAY_S, clock
        self._lock = ForkSafeLock()
        self._begin()

    def __deepcopy__(self, memo: dict[int, Any]) -> MemoryLedger:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise LedgerError(
            "a ledger in memory cannot be pickled",
            where="ledger",
            why="what is unpickled would begin with every budget whole",
            fix="keep the ledger in a file, which processes share; or give none, and each process keeps its own",
        )

    def turn(self, account: str) -> int:
        with self._opened():
            return self._turns.get(_name(account), 0) + 1

    def advance(self, account: str, turn: int) -> None:
        name = _name(account)
        with self._opened():
            if self._has_room(name):
                self._turns[name] = max(self._turns.get(name, 0), turn)
                self._use(name)

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        with self._opened():
            return float(total(self._rows(_name(account), limit.budget).items(), turn, limit))

    def knows(self, account: str, answer: str) -> bool:
        with self._opened():
            return answer in self._answers.get(_name(account), ())

    def remember(self, account: str, answer: str) -> None:
        name = _name(account)
        with self._opened():
            if self._has_room(name):
                answers = self._answers[name]
                answers[answer] = None
                if len(answers) > ANSWERS:
                    answers.popitem(last=False)
                self._use(name)

    def charge(self, entries: Sequence[LedgerEntry], limits: Mapping[str, Limit]) -> bool:
        """Raises LedgerError where no room is left for a name that has spent nothing yet."""
        with self._opened():
            written: dict[tuple[bytes, str], dict[int, Decimal]] = {}
            for entry in entries:
                page = _name(entry.account), entry.budget
                rows = charged(written.get(page, self._rows(*page)), entry, limits[entry.budget])
                if rows is None:
                    return False
                written[page] = rows
            for name in {name for name, _ in written}:
                if not self._has_room(name):
                    raise _full(self._names)
            for (name, budget), rows in written.items():
                self._charges[name][budget] = rows
                self._use(name)
            return True

    def clear(self) -> None:
        """Forget everything: every budget is whole again."""
        with self._lock:
            self._begin()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """The ledger for one caller, with all forgotten that was silent for too long."""
        with self._lock:
            earliest = self._clock() - self._silence_s
            for kept in (self._calm, self._spenders):
                while kept and next(iter(kept.values())) < earliest:
                    if kept is self._spenders:
                        _log.info("an account was silent for so long that what it had spent is forgotten")
                    self._forget(next(iter(kept)))
            yield

    def _begin(self) -> None:
        self._turns: dict[bytes, int] = {}
        self._answers: dict[bytes, OrderedDict[str, None]] = defaultdict(OrderedDict)
        self._charges: dict[bytes, dict[str, dict[int, Decimal]]] = defaultdict(dict)
        self._calm: OrderedDict[bytes, float] = OrderedDict()  # when names were used last, the newest last
        self._spenders: OrderedDict[bytes, float] = OrderedDict()  # the same of those that have spent something

    def _rows(self, name: bytes, budget: str) -> Mapping[int, Decimal]:
        return self._charges[name].get(budget, {}) if name in self._charges else {}

    def _use(self, name: bytes) -> None:
        """Note that a name was used now."""
        self._calm.pop(name, None)
        self._spenders.pop(name, None)
        kept = self._spenders if any(self._charges.get(name, {}).values()) else self._calm
        kept[name] = self._clock()

    def _has_room(self, name: bytes) -> bool:
        """Whether a name is kept, or can be, once one is forgotten that has spent nothing."""
        if name in self._calm or name in self._spenders:
            return True
        if len(self._calm) + len(self._spenders) >= self._names and self._calm:
            self._forget(next(iter(self._calm)))
        return len(self._calm) + len(self._spenders) < self._names

    def _forget(self, name: bytes) -> None:
        for kept in (self._turns, self._answers, self._charges, self._calm, self._spenders):
            kept.pop(name, None)


class _ProcessLedger(MemoryLedger):
    """The one ledger of a process. Pickled, it is that of the process that unpickles it; a fork begins with a copy."""

    def __init__(self) -> None:
        super().__init__()
        if hasattr(os, "register_at_fork"):  # a fork amid a charge would copy half of it; in the child the lock is free
            os.register_at_fork(before=self._lock.take, after_in_parent=self._lock.give)

    def __reduce__(self) -> tuple[Callable[[], MemoryLedger], tuple[()]]:
        return process_ledger, ()


def process_ledger() -> MemoryLedger:
    """The ledger of all guardrails of this process that are given none. Policies and scopes have their own accounts."""
    return _OF_THIS_PROCESS


_OF_THIS_PROCESS: Final = _ProcessLedger()


def _name(account: str) -> bytes:
    return hashlib.sha256(account.encode()).digest()


def _full(names: int) -> LedgerError:
    return LedgerError(
        f"the ledger in memory is full: {names} names have spent something",
        where="ledger",
        why="to forget one of them would give it a whole budget again",
        fix="keep the ledger in a file (`ledger=`), or give a `MemoryLedger` with more `names` or fewer `days`",
    )
