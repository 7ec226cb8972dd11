"""Where a ledger is kept, by the name that a program, a command or a file of settings gives it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from ig_guardrail.database import SCHEMES, demand_postgres, is_address
from ig_guardrail.errors import LedgerError
from ig_guardrail.ledger.session import Ledger
from ig_guardrail.ledger.sqlite import SQLiteLedger
from ig_guardrail.threads.locks import ForkSafeLock

if TYPE_CHECKING:
    from ig_guardrail.ledger.postgres import PostgresLedger


def ledger_at(place: str | Path | Ledger | None) -> Ledger | None:
    """A ledger in PostgreSQL for an address, else in the file of that path; a ledger, or None, as it is.

    Ledgers of one address are one in a process, so that its policies and models share a few connections.

    Raises LedgerError if it cannot be used or is none, MissingExtra where the extra 'postgres' is not installed.
    """
    if isinstance(place, str | Path):
        return kept_at(place)
    if place is None or isinstance(place, Ledger):
        return place
    raise LedgerError(
        f"ledger is of type {type(place).__name__}",
        where="ledger",
        why="what conversations have spent would be kept nowhere",
        fix="give a path, an address, or a ledger, or leave it out",
    )


def kept_at(place: str | Path) -> SQLiteLedger | PostgresLedger:
    """The same of a place. Raises LedgerError, MissingExtra."""
    if not isinstance(place, str) or not is_address(place):
        _demand_path(str(place))
        return SQLiteLedger(place)
    demand_postgres(place, LedgerError, "ledger", "a ledger")
    from ig_guardrail.ledger.postgres import PostgresLedger

    with _TURN:
        ledger = _OPEN.get(place)
        if ledger is None:
            ledger = _OPEN[place] = PostgresLedger(place)
        return ledger


def _demand_path(place: str) -> None:
    """Raises LedgerError for no file, and an address that lost a slash, as in a `Path`; its password is not told."""
    if not place.strip(". "):
        raise LedgerError(
            "the path of the ledger names no file",
            where="ledger",
            why="what conversations have spent is kept there",
            fix="give the path of a file, such as ledger.db",
        )
    if place.lower().startswith(tuple(scheme.rstrip("/") for scheme in SCHEMES)):
        raise LedgerError(
            "the address of the ledger is not written whole",
            where="ledger",
            why="it begins as PostgreSQL's do, and lacks the two slashes; a `Path` keeps one of them",
            fix="give it as a text, postgresql://USER@HOST/DATABASE",
        )


_TURN: Final = ForkSafeLock()
_OPEN: Final[WeakValueDictionary[str, PostgresLedger]] = WeakValueDictionary()  # of this process, by address
