"""What stands before the first token: earlier answers, and a beginning that the caller wrote.

Budgets that a conversation shares are charged for all of its answers. One that is not known to the ledger, since it was
made up, or given by another model, is charged as if it had just been written, before anything new is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ig_guardrail.budget import EXACT, NOTHING, SafetyState, charge_points, settle
from ig_guardrail.drive.panel import Panel
from ig_guardrail.drive.request import Ask, earlier
from ig_guardrail.drive.scorer import Scorer
from ig_guardrail.drive.waiting import Wait, Waiting
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import BudgetTaken, PromptTooLong
from ig_guardrail.ledger import Books, Clerk, Ledger, Payer, open_books, shared
from ig_guardrail.types import Node, Prompt, Sampling, Turn

NO_TURN = Turn("user", "")  # before an answer that begins a conversation


@dataclass(frozen=True, slots=True)
class Reader:
    """Puts a given text where an answer would stand, so that cost models read it as one."""

    engine: Engine
    panel: Panel

    def read(self, prompt: Prompt, text: str) -> Waiting[Node]:
        """The text as an answer to a prompt; its caches are freed. Raises PromptTooLong if the context is full."""
        sampling = Sampling(max_tokens=self.engine.info.context)
        root: Node = yield Wait(self.engine.open(prompt, sampling, self.panel.layers))
        try:
            nodes: list[Node] = yield Wait(self.engine.append([(root, text)]))
        finally:
            self.engine.close(root)
        (node,) = nodes
        if node.finish == "length":
            raise PromptTooLong(
                "what the assistant said does not fit the model's context",
                where="messages",
                why="what cannot be read cannot be charged",
                fix="leave out earlier turns",
            )
        return node


def open_account(reader: Reader, ledger: Ledger, clerk: Clerk, policy: str, ask: Ask) -> Waiting[Books | None]:
    """The books that an answer is kept in, with all before it charged; None where no budget is shared.

    Raises LedgerError; BudgetTaken if earlier answers cost more than is left.
    """
    rules = shared(reader.panel.rules)
    if not rules:
        return None
    payer = Payer(ask.conversation, ask.tenant)
    books: Books = yield Wait(clerk.call(open_books, clerk, ledger, policy, payer, rules))
    yield from charge_history(reader, books, earlier(ask.turns))
    return books


def charge_history(reader: Reader, books: Books, turns: Sequence[Turn]) -> Waiting[None]:
    """Charge every answer among `turns` that the books do not know. Raises BudgetTaken if too little is left."""
    rules = shared(reader.panel.rules)
    spend = {rule.budget.id: NOTHING for rule in rules}
    unknown: list[str] = []
    for index, turn in enumerate(turns):
        if turn.role != "assistant" or not turn.text:
            continue
        new_to = yield Wait(books.clerk.call(books.new_to, turn.text))
        if not new_to:
            continue
        prompt = reader.engine.encode(turns[:index] or (NO_TURN,))
        node = replace((yield from reader.read(prompt, turn.text)), finish="stop")
        due = [(rule.budget.id, point) for rule in rules for point in charge_points(rule, 0, node.position, ended=True)]
        measures = yield from Scorer(reader.panel, prompt).measure(node, due)
        state, _ = settle(rules, SafetyState(), sorted(measures, key=lambda one: (one.position, one.ended)))
        for rule in rules:
            total = state.account(rule.budget).total if rule.budget.id in new_to else NOTHING
            spend[rule.budget.id] = EXACT.add(spend[rule.budget.id], total)
        unknown.append(turn.text)
    if unknown and not (yield Wait(books.clerk.call(books.take_over, spend, unknown))):
        raise BudgetTaken("earlier answers, which were not given under this budget, spend more than is left of it")
