"""Fallbacks: what happens when a strategy has no further safe continuation.

the strategy's own retries and backing up
-> one restart under the policy's stricter system text, if nothing was shown yet
-> the pre-approved message: a refusal if nothing was shown, else a closing message
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ig_guardrail.drive.run import search_context
from ig_guardrail.drive.runners import Waiting
from ig_guardrail.drive.server import Server
from ig_guardrail.errors import BudgetTaken
from ig_guardrail.types import Outcome


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended, the fallback steps it took, and why."""

    outcome: Outcome
    fallbacks: tuple[str, ...]
    reason: str = ""


def run_with_fallbacks(server: Server) -> Waiting[Ending]:
    """Run the strategy, and the fallbacks as far as they are needed. Shows model text only, never a message."""
    gate, beginning = server.gate, server.run.beginning
    try:
        if beginning and not (yield from server.adopt(beginning)):
            return Ending("refused", ("refusal",), "the beginning that was given is over budget")
        return (yield from _steps(server))
    except BudgetTaken as taken:
        server.usage.note_denied(taken.hazards)
        return _spoken(gate.shown, (), taken.what)


def _steps(server: Server) -> Waiting[Ending]:
    gate, strategy = server.gate, server.run.strategy
    context = search_context(server.run, server.usage.prompt_check.action == "search")
    if gate.tip.finish is not None or (yield from server.serve(strategy(server.start, context))):
        return Ending("completed", ())
    if server.overtime:
        limit = server.run.limits.searching
        return _spoken(gate.shown, (), f"no safe continuation was found in {limit:g} s of searching")
    if gate.shown or context.settings.restart is None:
        return _spoken(gate.shown, ())
    server.usage.denials = 0
    stricter = replace(context, strict=True, steer=context.settings.restart)
    if (yield from server.serve(strategy(server.start, stricter))):
        return Ending("completed", ("restart",), "a stricter system text")
    return _spoken(gate.shown, ("restart",))


def _spoken(shown: bool, fallbacks: tuple[str, ...], reason: str = "no safe continuation was found") -> Ending:
    return (
        Ending("ended", (*fallbacks, "closing message"), reason)
        if shown
        else Ending("refused", (*fallbacks, "refusal"), reason)
    )
