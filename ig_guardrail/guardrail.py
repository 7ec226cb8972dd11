"""The flow on one screen: messages in, text out, a receipt at the end."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import TYPE_CHECKING, Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import BuiltCost
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.costs.workers import Worker
from ig_guardrail.drive.charging import ChargedAnswer, asked_of, charge_text
from ig_guardrail.drive.decode import cancel, decode, leave, open_answer, refuse
from ig_guardrail.drive.failures import as_guard_failure, generation_failed, ledger_failure
from ig_guardrail.drive.history import open_session
from ig_guardrail.drive.observer import Observer
from ig_guardrail.drive.prompt_check import check_prompt_text
from ig_guardrail.drive.request import GenerationRequest, check_timeout
from ig_guardrail.drive.run import Run, make_run
from ig_guardrail.drive.runners import DeadlinePassed, Wait, Waiting, finish, run_async, run_sync
from ig_guardrail.drive.scoring.approval import OverdrawnMessage, approve_messages, overdrawn_messages
from ig_guardrail.drive.scoring.cost_registry import bind_costs
from ig_guardrail.drive.usage import Usage
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import BudgetTaken, GenerationFailed, GuardrailError, ModelError, PolicyError, RequestError
from ig_guardrail.ledger import AccountKey, Ledger, LedgerSession, begin_session, process_ledger, shared_rules
from ig_guardrail.settings import Limits
from ig_guardrail.types import AssistantMessage, Chunk, CompiledPolicy, Receipt
from ig_guardrail.types.hazards import TOOLS

if TYPE_CHECKING:
    from ig_guardrail.drive.records.auditor import Auditor
    from ig_guardrail.drive.records.recorder import Recorder

LARGE = 20_000  # characters of a conversation that take so long to read that other work of an event loop would wait


class Guardrail:
    """A language model that decodes within a policy's budgets.

    engine   the model, opened
    policy   compiled; requests in flight keep the one they began with
    models   cost models, by the names the policy gives them
    values   a task model and a critic, for ranking only
    ledger   what conversations have spent; unless one is given, that of the process, which all guardrails share
    recorder notes what answers scored; None unless whoever opens the guardrail asks for one
    auditor  has a line written for every answer before its end is delivered; None unless it is asked for
    arm      `stable` or `canary`, where some requests are answered under another policy; receipts tell it
    verifier a second model, opened, that strategy `verifier` has read the drafts of the first; None: the same model
    """

    def __init__(
        self,
        engine: Engine,
        policy: CompiledPolicy,
        models: Mapping[str, CostModel | BuiltCost],
        values: Values | None = None,
        limits: Limits | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.engine = engine
        self.policy = policy
        self.costs = bind_costs(policy, models)
        self.values = values or Values()
        self.limits = limits or Limits()
        self.ledger = ledger or process_ledger()
        self.recorder: Recorder | None = None
        self.auditor: Auditor | None = None
        self.arm = ""
        self.verifier: Engine | None = None
        self._observer: Observer | None = None
        self._executor = Worker("ledger", ledger_failure)
        self._approved = threading.Event()

    def __deepcopy__(self, memo: dict[int, Any]) -> Guardrail:
        """Copies share what is open."""
        return self

    def over(self, engine: Engine) -> Guardrail:
        """The same guardrail over another engine: policy, cost models and ledger are shared, and what was approved."""
        other = copy.copy(self)
        other.engine = engine
        return other

    def observed(self, observer: Observer) -> Guardrail:
        """The same guardrail, whose answers somebody of the program watches while they are decoded."""
        other = copy.copy(self)
        other._observer = observer
        return other

    def approve(self) -> None:
        """Try the policy's messages against its budgets now, and not with the first request.

        Raises PolicyError naming each that is over one, CostFailure or EngineError where that cannot be told.
        """
        finish(approve_messages(self.engine, self.costs, tuple(self.policy.messages)))
        self._approved.set()

    def overdrawn_messages(self, shadow: bool = False) -> tuple[OverdrawnMessage, ...]:
        """The policy's messages that are over a budget of it, for which it does not start.

        shadow: of those in shadow mode too, as if they were enforced

        Raises CostFailure or EngineError where that cannot be told.
        """
        costs = self.costs.enforcing_all() if shadow else self.costs
        return finish(overdrawn_messages(self.engine, costs, tuple(self.policy.messages)))

    def flush(self) -> None:
        """Wait a little until what is recorded and logged beside the answers is written."""
        for sink in (self.recorder, self.auditor):
            if sink is not None:
                sink.flush()

    def stream(self, request: GenerationRequest, timeout: float | None = None) -> Generator[Chunk, None, None]:
        """Chunks as they are released; the last one carries the receipt.

        timeout: seconds, past which the outcome is `cancelled`. Closing the iterator stops decoding within a step.
        Raises RequestError before anything is decoded; GenerationFailed, with the receipt, on outcome `failed`.
        """
        return run_sync(self._flow(request), _deadline(timeout))

    def astream(self, request: GenerationRequest, timeout: float | None = None) -> AsyncGenerator[Chunk, None]:
        """The same on the running event loop; cancelling the task stops decoding within a step."""
        large = sum(len(turn.text) + len(turn.thought) for turn in request.turns) > LARGE
        return run_async(self._flow(request), _deadline(timeout), beside=large)

    def judge(self, asked: str, said: AssistantMessage, payer: AccountKey) -> Waiting[ChargedAnswer]:
        """What an answer would cost its payer now; nothing is decoded, and nothing is spent.

        asked: what it answers; "" where that is not known
        """
        prompt = asked_of(self.engine, asked)
        rules, opening = shared_rules(self.costs.rules), None
        if rules:
            begun = self._executor.call(begin_session, self._executor, self.ledger, self.policy.name, payer, rules)
            session: LedgerSession = yield Wait(begun)
            opening = session.opening()
        return (yield from charge_text(self.engine, self.costs, self.policy.prompt, asked, said, opening, prompt))

    def _flow(self, request: GenerationRequest) -> Waiting[Chunk]:
        usage = Usage()
        run = make_run(
            request,
            self.policy,
            self.engine,
            self.costs,
            self.values,
            self.limits,
            arm=self.arm,
            observer=self._observer,
            verifier=self.verifier,
        )
        try:
            last = yield from self._serve(run, usage)
        except GenerationFailed as failure:
            yield from self._note(run, usage, failure.receipt)
            raise
        yield from self._note(run, usage, last.receipt)
        return last

    def _serve(self, run: Run, usage: Usage) -> Waiting[Chunk]:
        request = run.request
        failure: GuardrailError | None = None
        try:
            if self.auditor is not None:
                yield from self.auditor.ready()
            yield from self._approve_once(run)
            usage.prompt_check = yield from check_prompt_text(run)
            if usage.prompt_check.action == "refuse":
                return refuse(run, usage, "prompt check", usage.prompt_check.hazards)
            if request.barred and run.guarded:
                return refuse(run, usage, request.barred, (TOOLS,))
            session = yield from open_session(run, self.ledger, self._executor)
            server = yield from open_answer(run, usage, session)
        except DeadlinePassed:
            return cancel(run, usage)
        except BudgetTaken as taken:
            return refuse(run, usage, taken.what, taken.hazards)
        except (RequestError, PolicyError, ModelError):
            raise
        except GeneratorExit:
            self._note_left(run, usage, leave(run, usage))
            raise
        except Exception as error:
            failure = as_guard_failure(error)
        if failure is not None:  # raised here, where nothing of the error of others is its context
            raise generation_failed(failure, run, usage) from failure
        try:
            return (yield from decode(server))
        except GeneratorExit:
            self._note_left(run, usage, leave(run, usage, server))
            raise
        finally:
            server.close()

    def _note(self, run: Run, usage: Usage, receipt: Receipt | None) -> Waiting[None]:
        if self.recorder is not None and receipt is not None:
            self.recorder.note(run, usage, receipt)
        if self.auditor is not None and receipt is not None:
            yield from self.auditor.note(run, usage, receipt)

    def _note_left(self, run: Run, usage: Usage, receipt: Receipt) -> None:
        if self.auditor is not None:
            self.auditor.note_left(run, usage, receipt)

    def _approve_once(self, run: Run) -> Waiting[None]:
        if run.guarded and not self._approved.is_set():
            yield from approve_messages(self.engine, run.costs, tuple(self.policy.messages))
            self._approved.set()


def _deadline(timeout: float | None) -> float | None:
    seconds = check_timeout(timeout)
    return None if seconds is None else time.monotonic() + seconds
