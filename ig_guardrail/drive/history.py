"""What stands before the first token: earlier answers, and a beginning that the caller wrote.

Budgets that a conversation shares are charged for all of its answers. One that is not known to the ledger, since it was
made up, or given by another model, is charged as if it had just been written, before anything new is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ig_guardrail.budget import EXACT, NOTHING, SafetyState, charge_points, settle
from ig_guardrail.drive.contexts import read_text
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.runners import Wait, Waiting
from ig_guardrail.drive.scoring.scorer import Scorer
from ig_guardrail.errors import BudgetTaken
from ig_guardrail.ledger import (
    AccountKey,
    Executor,
    Ledger,
    LedgerSession,
    begin_session,
    hazards_of,
    join_messages,
    shared_rules,
)
from ig_guardrail.stream.gate import behind
from ig_guardrail.text.calls import format_message, parse_message
from ig_guardrail.types import AssistantMessage, Message, Messages, Prompt

# by budget, the messages it has not been charged for
New: TypeAlias = Mapping[str, Sequence[tuple[AssistantMessage, ...]]]

NO_TURN = Message("user", "")  # before an answer that begins a conversation


def open_session(run: Run, ledger: Ledger, executor: Executor) -> Waiting[LedgerSession | None]:
    """The ledger's session of this answer, with all before it charged; None where no budget is shared.

    Raises LedgerError; BudgetTaken if earlier answers cost more than is left.
    """
    rules = shared_rules(run.costs.rules)
    if not rules:
        return None
    key = AccountKey(run.request.conversation, run.request.tenant)
    session: LedgerSession = yield Wait(executor.call(begin_session, executor, ledger, run.policy.name, key, rules))
    yield from charge_history(run, session)
    return session


def charge_history(run: Run, session: LedgerSession) -> Waiting[None]:
    """Charge every earlier answer that the ledger does not know. Raises BudgetTaken if too little is left."""
    rules, turns = shared_rules(run.costs.rules), run.prompt.turns
    spend = {rule.budget.id: NOTHING for rule in rules}
    unknown: list[AssistantMessage] = []
    for index, turn in enumerate(turns):
        said = _said(run, turn)
        if turn.role != "assistant" or not (turn.text or said):
            continue
        new_to = yield from _new(session, turn, said)
        for messages in _each(new_to):
            one, own = join_messages(messages), [own_words(each, run.policy.messages) for each in messages]
            own = [each for each in own if each.words or each.calls or each.thought]
            prompt = run.engine.encode(turns[:index] or (NO_TURN,), run.prompt.thinking, run.prompt.notation)
            prompt = replace(prompt, cache_salt=run.prompt.cache_salt)
            state = (yield from _charged(run, prompt, join_messages(own))) if own else SafetyState()
            for rule in rules:
                total = state.account(rule.budget).total if messages in new_to[rule.budget.id] else NOTHING
                spend[rule.budget.id] = EXACT.add(spend[rule.budget.id], total)
            unknown += [one, *messages] if len(messages) > 1 else messages
    if unknown and not (yield Wait(session.executor.call(session.take_over, spend, unknown))):
        why = "earlier answers, which were not given under this budget, spend more than is left of it"
        raise BudgetTaken(why, hazards_of(rules, session.lacking))


def _said(run: Run, turn: Message) -> tuple[AssistantMessage, ...]:
    """The messages of an assistant's turn that are known; a thought, where the model has any, is one of its own."""
    parts = tuple(part for one in turn.said for part in one.parts)
    return parts if run.engine.info.thinks else tuple(replace(one, thought="") for one in turn.said)


def _new(session: LedgerSession, turn: Message, said: tuple[AssistantMessage, ...]) -> Waiting[New]:
    """What of an assistant's turn is new. Where only its text is known, calls in it may have been said as words."""
    found: New = yield Wait(session.executor.call(session.new_to, said or (parse_message(turn.text),)))
    if said or not any(found.values()):
        return found
    spoken: New = yield Wait(session.executor.call(session.new_to, (AssistantMessage(turn.text),)))
    return {budget: runs if spoken[budget] else [] for budget, runs in found.items()}


def _charged(run: Run, prompt: Prompt, said: AssistantMessage) -> Waiting[SafetyState]:
    """What a message of the assistant costs as an answer to a prompt."""
    rules = shared_rules(run.costs.rules)
    read = yield from read_text(run.engine, prompt, format_message(said, prompt.notation), run.costs.layers)
    node = replace(read, finish="stop", words=len(said.words) if read.text.startswith(said.words) else None)
    due = [(rule.budget.id, point) for rule in rules for point in charge_points(rule, 0, node.position, ended=True)]
    measures = yield from Scorer.of_written(run.engine, run.costs, prompt).measure(node, due)
    state, _ = settle(rules, SafetyState(), measures)
    return state


def own_words(said: AssistantMessage, messages: Messages) -> AssistantMessage:
    """A message without a text of the policy: all of it in place of an answer, or a closing behind a beginning.

    Nothing but exactly such a text is left out, so what a model said is always charged.
    """
    if said.calls or any(said.words == message.text for message in messages):
        return said if said.calls else replace(said, words="")
    closings = (behind(message.text) for message in messages if message.part == "closing")
    return replace(said, words=min((said.words.removesuffix(one) for one in closings), key=len))


def _each(new_to: New) -> list[tuple[AssistantMessage, ...]]:
    """What any budget is new to, once each."""
    found: list[tuple[AssistantMessage, ...]] = []
    for runs in new_to.values():
        found += [messages for messages in runs if messages not in found]
    return found
