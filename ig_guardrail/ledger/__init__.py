"""Budgets over whole conversations: what every answer of one has spent, kept in memory or on disk.

A charge is written before the text that it pays for is shown, and only if the budget lasts. So no crash loses a charge,
two answers at once cannot spend the same money twice, and an answer that is drawn again is charged again.
"""

from ig_guardrail.ledger.books import Books, Entry, Ledger, Limit, open_books, shared
from ig_guardrail.ledger.memory import MemoryLedger
from ig_guardrail.ledger.sqlite import SQLiteLedger

__all__ = ["Books", "Entry", "Ledger", "Limit", "MemoryLedger", "SQLiteLedger", "open_books", "shared"]
