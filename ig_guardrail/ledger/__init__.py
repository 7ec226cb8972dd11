"""Budgets that several answers share: what a conversation or a tenant has spent, in memory, a file or a database.

A charge is written before the text that it pays for is shown, and only if the budget lasts. So no crash loses a charge,
two answers at once cannot spend the same money twice, and an answer that is drawn again is charged again.
"""

from ig_guardrail.ledger.answers import join_messages
from ig_guardrail.ledger.memory import MemoryLedger, process_ledger
from ig_guardrail.ledger.places import kept_at, ledger_at
from ig_guardrail.ledger.session import (
    AccountKey,
    Executor,
    Ledger,
    LedgerEntry,
    LedgerSession,
    Limit,
    begin_session,
    hazards_of,
    shared_rules,
)
from ig_guardrail.ledger.sqlite import SQLiteLedger

__all__ = [
    "LedgerSession",
    "Executor",
    "LedgerEntry",
    "Ledger",
    "Limit",
    "MemoryLedger",
    "AccountKey",
    "SQLiteLedger",
    "hazards_of",
    "join_messages",
    "kept_at",
    "ledger_at",
    "begin_session",
    "process_ledger",
    "shared_rules",
]
