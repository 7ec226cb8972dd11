"""Decodes one opened request to its last chunk: text as it is released, then what it came to.

Where a strategy has no further safe continuation, fallbacks follow:

the strategy's own retries and backing up
-> one restart under the policy's stricter system text, if nothing was shown yet
-> the pre-approved message: a refusal if nothing was shown, else a closing message
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ig_guardrail.drive.contexts import open_root, read_text
from ig_guardrail.drive.failures import as_guard_failure, generation_failed
from ig_guardrail.drive.records.receipts import receipt
from ig_guardrail.drive.run import Run, search_context
from ig_guardrail.drive.runners import DeadlinePassed, Wait, Waiting
from ig_guardrail.drive.server import SearchServer
from ig_guardrail.drive.usage import Usage
from ig_guardrail.engine.base import AnswerKeeper, Engine
from ig_guardrail.errors import BudgetTaken, EngineError, GuardrailError, LedgerError
from ig_guardrail.ledger import LedgerSession
from ig_guardrail.text.calls import begun_call, parse_message
from ig_guardrail.types import HURRIED, AssistantMessage, Chunk, Finish, Node, Outcome, Receipt, Sampling, TokenLogprob


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended, the fallback steps it took, and why."""

    outcome: Outcome
    fallbacks: tuple[str, ...]
    reason: str = ""


def open_answer(run: Run, usage: Usage, session: LedgerSession | None) -> Waiting[SearchServer]:
    """The root of the answer's token tree, and what serves its strategies. Closed by whoever opened it."""
    sampling = yield from _sampling(run)
    root = yield from open_root(run.engine, run.prompt, sampling, run.layers)
    try:
        return SearchServer(run, usage, root, session)
    except BaseException:
        run.engine.close(root)
        raise


def decode(server: SearchServer) -> Waiting[Chunk]:
    """Run the strategy and what stands behind it, show what is released; the last chunk carries the receipt."""
    run, gate, session = server.run, server.gate, server.session
    failure: GuardrailError | None = None
    try:
        ending = yield from _run_with_fallbacks(server)
    except DeadlinePassed:
        ending = Ending("cancelled", (), "deadline")
    except Exception as error:
        failure = as_guard_failure(error)
    if failure is not None:  # raised here, where nothing of the error of others is its context
        gate.close()
        raise generation_failed(failure, run, server.usage, server) from failure
    denied = server.usage.denied
    message = run.policy.messages.of(ending.outcome, run.request.language, denied)
    shown = gate.end
    cut = _cut_call(server) if ending.outcome in ("completed", "cancelled") else None
    said = gate.close(message.text if message and run.request.prose else "")
    if session is not None and gate.shown:
        yield from _remember(session, _given_back(server, session, ending.outcome == "completed"))
    verdict = run.verdict(ending.outcome, *_ended(gate.tip, ending))
    try:
        logprobs = yield from _logprobs(server, shown)
    except EngineError as error:
        raise generation_failed(error, run, server.usage, server) from error
    record = receipt(run, server.usage, verdict, gate.text, ending.fallbacks, server, message, denied)
    if ending.outcome == "completed" and shown == gate.tip.visible and not gate.tip.thought.characters:
        _keep(run.engine, gate.tip)
    stop = gate.tip.text[gate.tip.visible :] if ending.outcome == "completed" else ""
    return Chunk(said, record, logprobs, cut, stop=stop)


def _keep(engine: Engine, node: Node) -> None:
    """Have the next prompt begin with an answer of which nothing was held back, as a thought or half a call may be."""
    if isinstance(engine, AnswerKeeper):
        engine.keep(node)


def refuse(run: Run, usage: Usage, reason: str, denied: Sequence[str]) -> Chunk:
    """What is said where nothing was decoded. denied: the hazards that led to it."""
    message = run.policy.messages.find("refusal", run.request.language, denied)
    said = message.text if run.request.prose else ""
    verdict = run.verdict("refused", None, reason)
    return Chunk(said, receipt(run, usage, verdict, said, ("refusal",), message=message, denied=denied))


def cancel(run: Run, usage: Usage) -> Chunk:
    """What a request comes to whose time was over before anything was decoded."""
    return Chunk("", receipt(run, usage, run.verdict("cancelled", None, "deadline"), ""))


def leave(run: Run, usage: Usage, server: SearchServer | None = None) -> Receipt:
    """The record of a request whose caller left before its end. server: None where nothing was decoded yet."""
    verdict = run.verdict("cancelled", None, "the caller left")
    return receipt(run, usage, verdict, server.gate.text if server else "", (), server)


def _run_with_fallbacks(server: SearchServer) -> Waiting[Ending]:
    """Run the strategy, and the fallbacks as far as they are needed. Shows model text only, never a message."""
    gate, beginning = server.gate, server.run.beginning
    try:
        if beginning and not (yield from server.adopt(beginning)):
            return Ending("refused", ("refusal",), "the beginning that was given is over budget")
        return (yield from _steps(server))
    except BudgetTaken as taken:
        server.usage.note_denied(taken.hazards)
        return _stopped(gate.shown, (), taken.what)


def _steps(server: SearchServer) -> Waiting[Ending]:
    gate, strategy = server.gate, server.run.strategy
    context = search_context(server.run, server.usage.prompt_check.action == "search")
    if gate.tip.finish is not None or (yield from server.serve(strategy(server.start, context))):
        return Ending("completed", ())
    if server.overtime:
        limit = server.run.limits.searching
        return _stopped(gate.shown, (), f"no safe continuation was found in {limit:g} s of searching")
    if gate.shown or context.settings.restart is None:
        return _stopped(gate.shown, ())
    server.usage.denials = 0
    stricter = replace(context, strict=True, steer=context.settings.restart)
    if (yield from server.serve(strategy(server.start, stricter))):
        return Ending("completed", ("restart",), "a stricter system text")
    return _stopped(gate.shown, ("restart",))


def _stopped(shown: bool, fallbacks: tuple[str, ...], reason: str = "no safe continuation was found") -> Ending:
    return (
        Ending("ended", (*fallbacks, "closing message"), reason)
        if shown
        else Ending("refused", (*fallbacks, "refusal"), reason)
    )


def _sampling(run: Run) -> Waiting[Sampling]:
    """The sampling of an answer: it may be as long beside what it begins with."""
    if not run.beginning:
        return run.sampling
    given = yield from read_text(run.engine, run.prompt, run.beginning, ())
    return replace(run.sampling, max_tokens=run.sampling.max_tokens + given.position)


def _given_back(server: SearchServer, session: LedgerSession, whole: bool) -> list[AssistantMessage]:
    """What was shown, as it may come back: alone, and behind its beginning where that was paid for with it."""
    gate, beginning = server.gate, server.run.beginning if session.shown else ""
    of_calls = server.run.request.unit is not None and whole
    notation = server.run.prompt.notation
    said = parse_message(gate.text, gate.tip.words, notation) if of_calls else AssistantMessage(gate.text)
    thoughts = [AssistantMessage(gate.reasoning)] if gate.reasoning else []
    return [*thoughts, said, *([AssistantMessage(beginning + said.words, said.calls)] if beginning else [])]


def _logprobs(server: SearchServer, characters: int) -> Waiting[tuple[TokenLogprob, ...] | None]:
    """What was not told yet of the tokens that were shown; nothing past the deadline.

    characters: up to which the answer was shown
    """
    try:
        return (yield from server.tell(characters, ended=True))
    except DeadlinePassed:
        return ()


def _remember(session: LedgerSession, answers: Sequence[AssistantMessage]) -> Waiting[None]:
    """Note an answer before its receipt is out, since the next request may give it back to another guardrail.

    One that cannot be noted in time is charged again when it comes back.
    """
    try:
        yield Wait(session.executor.call(session.remember, *answers))
    except (DeadlinePassed, LedgerError):
        return


def _ended(tip: Node, ending: Ending) -> tuple[Finish | None, str]:
    """What ended the text, and why the answer ended so."""
    if ending.outcome != "completed":
        return None, ending.reason
    return ("length", HURRIED) if tip.hurried is not None else (tip.finish, ending.reason)


def _cut_call(server: SearchServer) -> str | None:
    """The name of a call that was begun and never shown; see `Chunk`."""
    node, unit = server.gate.tip, server.run.request.unit
    whole = node.finish == "stop" and node.visible == len(node.text) and node.hurried is None
    if unit is None or whole:
        return None
    thought = node.thought.characters
    words = None if node.words is None else node.words - thought
    text, notation = node.text[thought : node.visible], server.run.prompt.notation
    return begun_call(text, len(server.gate.text), words, notation)
