"""The flow on one screen: messages in, text out, a receipt at the end."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from ig_guardrail.causes import named, note
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.workers import Worker
from ig_guardrail.drive.alternatives import tellable
from ig_guardrail.drive.cost_registry import bind_costs
from ig_guardrail.drive.fallback import Ending, run_with_fallbacks
from ig_guardrail.drive.history import TextReader, open_account
from ig_guardrail.drive.prompt_check import approve_messages, check_prompt_text
from ig_guardrail.drive.receipts import Terms, receipt
from ig_guardrail.drive.request import GenerationRequest, beginning_of, check, check_payer, check_timeout, earlier
from ig_guardrail.drive.run import Plan, context_of, plan_of
from ig_guardrail.drive.runners import DeadlinePassed, Wait, Waiting, finish, run, run_async
from ig_guardrail.drive.scorer import Scorer
from ig_guardrail.drive.server import Case, Server, Values
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import (
    BudgetTaken,
    EngineError,
    GenerationFailed,
    GuardrailError,
    LedgerError,
    ModelError,
    PolicyError,
    RequestError,
)
from ig_guardrail.ledger import Ledger, LedgerSession, process_ledger, shared
from ig_guardrail.settings import Limits
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.text.calls import begun, utterance
from ig_guardrail.types import (
    HURRIED,
    AssistantMessage,
    Chunk,
    CompiledPolicy,
    Finish,
    Node,
    Outcome,
    Prompt,
    Sampling,
    TokenLogprob,
    Verdict,
)


class Guardrail:
    """A language model that decodes within a policy's budgets.

    engine   the model, opened
    policy   compiled; requests in flight keep the one they began with
    models   cost models, by the names the policy gives them
    values   a task model and a critic, for ranking only
    ledger   what conversations have spent; unless one is given, that of the process, which all guardrails share
    """

    def __init__(
        self,
        engine: Engine,
        policy: CompiledPolicy,
        models: Mapping[str, CostModel],
        values: Values | None = None,
        limits: Limits | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.engine = engine
        self.policy = policy
        self.panel = bind_costs(policy, models)
        self.values = values or Values()
        self.limits = limits or Limits()
        self.ledger = ledger or process_ledger()
        self._clerk = Worker("ledger", _ledger_failure)
        self._approved = threading.Event()

    def over(self, engine: Engine) -> Guardrail:
        """The same guardrail over another engine: policy, cost models and ledger are shared, and what was approved."""
        other = copy.copy(self)
        other.engine = engine
        return other

    def approve(self) -> None:
        """Try the policy's messages against its budgets now, and not with the first request.

        Raises PolicyError naming each that is over one, CostFailure or EngineError where that cannot be told.
        """
        finish(approve_messages(self.engine, self.panel, self.policy.messages))
        self._approved.set()

    def stream(self, ask: GenerationRequest, timeout: float | None = None) -> Generator[Chunk, None, None]:
        """Chunks as they are released; the last one carries the receipt.

        timeout: seconds, past which the outcome is `cancelled`. Closing the iterator stops decoding within a step.
        Raises RequestError before anything is decoded; GenerationFailed, with the receipt, on outcome `failed`.
        """
        return run(self._flow(ask), _deadline(timeout))

    def astream(self, ask: GenerationRequest, timeout: float | None = None) -> AsyncGenerator[Chunk, None]:
        """The same on the running event loop; cancelling the task stops decoding within a step."""
        return run_async(self._flow(ask), _deadline(timeout))

    def _flow(self, ask: GenerationRequest) -> Waiting[Chunk]:
        began = time.monotonic()
        check(ask, self.limits)
        plan = plan_of(ask, self.policy, self.panel, self.values, self.engine.info)
        check_payer(ask, shared(plan.panel.rules))
        prompt = self.engine.encode(earlier(ask.turns))
        terms = Terms(self.policy, self.engine, plan.panel, ask.sampling, plan.settings, plan.name, prompt, began)
        reader = TextReader(self.engine, plan.panel)
        failure: GuardrailError | None = None
        try:
            yield from self._approve_once(plan)
            rule = self.policy.prompt if plan.panel.rules else None
            terms = replace(terms, screening=(yield from check_prompt_text(rule, plan.panel, prompt)))
            if terms.screening.action == "refuse":
                return self._refused(ask, plan, terms, "prompt check")
            if ask.barred and plan.panel.rules:
                return self._refused(ask, plan, terms, ask.barred)
            books = yield from open_account(reader, self.ledger, self._clerk, self.policy.name, ask)
            sampling = yield from _room(reader, ask, prompt)
            root = yield from _opened(self.engine, self.engine.open(prompt, sampling, plan.layers))
        except DeadlinePassed:
            return Chunk("", receipt(terms, _verdict("cancelled", None, "deadline", plan), "", (), None))
        except BudgetTaken as taken:
            return self._refused(ask, plan, terms, taken.what)
        except (RequestError, PolicyError, ModelError):
            raise
        except Exception as error:
            failure = _ours(error)
        if failure is not None:  # raised here, where nothing of the error of others is its context
            raise _failed(failure, terms, plan, None) from failure
        try:
            return (yield from self._decode(ask, plan, terms, root, books))
        finally:
            self.engine.close(root)

    def _decode(
        self, ask: GenerationRequest, plan: Plan, terms: Terms, root: Node, books: LedgerSession | None
    ) -> Waiting[Chunk]:
        hold = Hold(plan.settings.hold, plan.panel.longest_match, ask.sampling.stop, ask.unit, ask.json)
        gate = Gate(root, plan.panel.rules, hold, books.opening() if books else None)
        case = Case(
            engine=self.engine,
            panel=plan.panel,
            values=plan.values.of(terms.prompt),
            limits=self.limits,
            prompt=terms.prompt,
            sampling=ask.sampling,
            root=root,
            gate=gate,
            scorer=Scorer(plan.panel, terms.prompt, ask.json),
            retries=plan.settings.retries,
            books=books,
        )
        server = Server(case)
        failure: GuardrailError | None = None
        try:
            ending = yield from run_with_fallbacks(
                server, plan.strategy, context_of(plan, terms), beginning_of(ask.turns)
            )
        except DeadlinePassed:
            ending = Ending("cancelled", (), "deadline")
        except Exception as error:
            failure = _ours(error)
        if failure is not None:
            gate.close()
            raise _failed(failure, terms, plan, server) from failure
        message = self.policy.messages.of(ending.outcome, ask.language)
        shown = server.start.visible + len(gate.text)
        cut = _cut_call(ask, gate) if ending.outcome in ("completed", "cancelled") else None
        said = gate.close(message if ask.prose else "")
        if books is not None and gate.text:
            yield from _remembered(books, _given_back(ask, gate, books, ending.outcome == "completed"))
        verdict = _verdict(ending.outcome, *_ended(gate.tip, ending), plan)
        try:
            chances = (yield from _chances(server, ask.chances, shown)) if ask.chances is not None else ()
        except EngineError as error:
            raise _failed(error, terms, plan, server) from error
        return Chunk(said, receipt(terms, verdict, gate.text, ending.rungs, server, message), chances, cut)

    def _refused(self, ask: GenerationRequest, plan: Plan, terms: Terms, reason: str) -> Chunk:
        """What is said where nothing was decoded."""
        message = self.policy.messages.of("refused", ask.language)
        said = message if ask.prose else ""
        return Chunk(said, receipt(terms, _verdict("refused", None, reason, plan), said, ("refusal",), None, message))

    def _approve_once(self, plan: Plan) -> Waiting[None]:
        if plan.panel.rules and not self._approved.is_set():
            yield from approve_messages(self.engine, plan.panel, self.policy.messages)
            self._approved.set()


def _room(reader: TextReader, ask: GenerationRequest, prompt: Prompt) -> Waiting[Sampling]:
    """The sampling of an answer: it may be as long beside what it begins with."""
    begun = beginning_of(ask.turns)
    given = (yield from reader.read(prompt, begun)).position if begun else 0
    return replace(ask.sampling, max_tokens=ask.sampling.max_tokens + given)


def _given_back(ask: GenerationRequest, gate: Gate, books: LedgerSession, whole: bool) -> list[AssistantMessage]:
    """What was shown, as it may come back: alone, and behind its beginning where that was paid for with it."""
    said = utterance(gate.text, gate.tip.words) if ask.unit is not None and whole else AssistantMessage(gate.text)
    begun = beginning_of(ask.turns) if books.shown else ""
    return [said, AssistantMessage(begun + said.words, said.calls)] if begun else [said]


def _chances(server: Server, likeliest: int, characters: int) -> Waiting[tuple[TokenLogprob, ...]]:
    """What the model thought of every token that was shown, up to so many characters; none past the deadline."""
    case, start = server.case, server.start
    shown = case.gate.tip.answer_ids()[start.position : case.gate.released]
    if start.finish is not None:
        return ()
    try:
        chances = yield Wait(case.engine.chances(start, shown, likeliest))
        return (yield from tellable(case, start.position, characters, chances))
    except DeadlinePassed:
        return ()


def _remembered(books: LedgerSession, answers: Sequence[AssistantMessage]) -> Waiting[None]:
    """Note an answer before its receipt is out, since the next request may give it back to another guardrail.

    One that cannot be noted in time is charged again when it comes back.
    """
    try:
        yield Wait(books.clerk.call(books.remember, *answers))
    except (DeadlinePassed, LedgerError):
        return


def _ended(tip: Node, ending: Ending) -> tuple[Finish | None, str]:
    """What ended the text, and why the answer ended so."""
    if ending.outcome != "completed":
        return None, ending.reason
    return ("length", HURRIED) if tip.hurried is not None else (tip.finish, ending.reason)


def _cut_call(ask: GenerationRequest, gate: Gate) -> str | None:
    """The name of a call that was begun and never shown; see `Chunk`."""
    node = gate.tip
    whole = node.finish == "stop" and node.visible == len(node.text) and node.hurried is None
    return None if ask.unit is None or whole else begun(node.text[: node.visible], len(gate.text), node.words)


def _opened(engine: Engine, opening: Future[Node]) -> Waiting[Node]:
    """The root; if the caller leaves before it is there, it is closed as soon as it is."""
    try:
        root: Node = yield Wait(opening)
    except BaseException:
        opening.add_done_callback(lambda done: _close_late(engine, done))
        raise
    return root


def _close_late(engine: Engine, opening: Future[Node]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        engine.close(opening.result())


def _ours(error: Exception) -> GuardrailError:
    """What a request failed by, in words of ours."""
    if isinstance(error, GuardrailError):
        return error
    note(error)
    return GuardrailError(
        f"the guard failed: {named(error)}",
        where="guardrail",
        why="nothing after the failure may be shown",
        fix="report this error; a log of causes tells more, see `ig_guardrail.causes`",
    )


def _ledger_failure(reason: str) -> LedgerError:
    return LedgerError(
        f"the ledger failed: {reason}",
        where="ledger",
        why="what a conversation has spent must be known before anything of it is shown",
        fix="mend the ledger",
    )


def _failed(error: GuardrailError, terms: Terms, plan: Plan, server: Server | None) -> GenerationFailed:
    verdict = _verdict("failed", None, str(error), plan)
    record = receipt(terms, verdict, server.case.gate.text if server else "", (), server)
    return GenerationFailed(error.what, receipt=record, where=error.where, why=error.why, fix=error.fix)


def _verdict(outcome: Outcome, finish: Finish | None, reason: str, plan: Plan) -> Verdict:
    return Verdict(outcome, finish, reason, bool(plan.panel.rules))


def _deadline(timeout: float | None) -> float | None:
    seconds = check_timeout(timeout)
    return None if seconds is None else time.monotonic() + seconds
