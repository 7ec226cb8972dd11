"""Has a line of the audit log written for every answer, before its end is delivered.

Whoever judges whole texts has lines of his own written in the same way (`check`). A line holds no text: the scores of
the answer as a recording has them, the books of drafts that were denied, and the receipt without its texts. From that
each decision can be made again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import asdict, replace
from functools import partial
from typing import Any, TypeAlias

from ig_guardrail.audit.chain import ANSWER, BUSY_S
from ig_guardrail.audit.log import AuditLog
from ig_guardrail.budget import BudgetState
from ig_guardrail.drive.records.backlog import Backlog
from ig_guardrail.drive.records.recorder import recording_of
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.runners import DeadlinePassed, OutOfTime, Wait, Waiting, finish
from ig_guardrail.drive.usage import DeniedDraft, Usage
from ig_guardrail.errors import AuditError, GenerationFailed, brief
from ig_guardrail.settings import AuditFile
from ig_guardrail.stream.receipt import as_dict
from ig_guardrail.stream.recording import FORMAT, Recording
from ig_guardrail.types import CompiledPolicy, Measure, Receipt

LOG = logging.getLogger(__name__)

WRITE_S = BUSY_S + 5.0  # for which an answer waits for its line
LATE_S = 1.0  # the same past a request's deadline
MOST_DRAFTS = 16  # of a budget, whose scores are kept
TEXTS = ("text", "reasoning", "message")
ELSEWHERE = ("policy", "cost_models", "charges", "fail_open", "at", "language", "arm")  # in the recording
EntryOf: TypeAlias = Callable[[AuditLog], Mapping[str, Any]]  # what a line of a log says


class Auditor:
    """Writes lines on a thread of its own, in the order in which answers ended."""

    def __init__(self, file: AuditFile) -> None:
        """Raises AuditError where the log cannot be written, RequestError for a key that cannot be used."""
        self.log = AuditLog(file)
        self._closed = file.on_error == "closed"
        self._backlog = Backlog("audit lines", _failure)
        self._lost = 0

    def ready(self) -> Waiting[None]:
        """See that a line can be written, before anything is decoded. Raises AuditError where that is demanded."""
        error = yield from _missed(self._backlog.begin(self.log.check))
        if error is not None and self._closed:
            raise error

    def note(self, run: Run, usage: Usage, receipt: Receipt) -> Waiting[None]:
        """Write the line of an answer that has ended.

        Raises GenerationFailed where it cannot be written, that is demanded, and the answer has not failed already.
        """
        call = self._backlog.begin(self._write, run.policy, partial(audit_entry, run, usage, receipt))
        try:
            error = yield from _missed(call)
        except DeadlinePassed:
            wait([call], LATE_S)
            error = _error_of(call)
        if error is not None and self._closed and receipt.verdict.outcome != "failed":
            told = replace(receipt, verdict=run.verdict("failed", None, str(error)))
            raise GenerationFailed(error.what, receipt=told, where=error.where, why=error.why, fix=error.fix)

    def note_left(self, run: Run, usage: Usage, receipt: Receipt) -> None:
        """Write the line of an answer whose reader left. Waits for nothing."""
        self._backlog.begin(self._write, run.policy, partial(audit_entry, run, usage, receipt))

    def check(self, policy: CompiledPolicy, entry_of: EntryOf) -> None:
        """Write a line of what was decided under a policy. Waits; raises AuditError where it cannot and must be."""
        error = finish(_missed(self._backlog.begin(self._write, policy, entry_of)))
        if error is not None and self._closed:
            raise error

    def flush(self, seconds: float = 5.0) -> None:
        """Wait until what was begun is written, so many seconds at most."""
        self._backlog.flush(seconds)

    def _write(self, policy: CompiledPolicy, entry_of: EntryOf) -> None:
        try:
            self.log.keep_policy(policy.sha256, policy.normal_form)
            lost = {"lost": self._lost} if self._lost else {}
            self.log.append({**entry_of(self.log), **lost})
        except Exception as error:
            self._lost += 1
            LOG.error("an answer has no line in the audit log %s: %s", self.log.place, brief(error))
            raise
        self._lost = 0


def _missed(call: Future[Any]) -> Waiting[AuditError | None]:
    """Wait for a call, and tell what it failed by."""
    with contextlib.suppress(OutOfTime):
        yield Wait(_end_of(call), WRITE_S)
    return _error_of(call)


def _end_of(call: Future[Any]) -> Future[None]:
    """Done when a call is. Whoever stops waiting for it does not stop the call."""
    told: Future[None] = Future()

    def tell(_: Future[Any]) -> None:
        if told.set_running_or_notify_cancel():
            told.set_result(None)

    call.add_done_callback(tell)
    return told


def _error_of(call: Future[Any]) -> AuditError | None:
    if not call.done() or call.cancelled():
        return _failure("it takes too long")
    error = call.exception()
    return error if error is None or isinstance(error, AuditError) else _failure(brief(error))


def audit_entry(run: Run, usage: Usage, receipt: Receipt, log: AuditLog) -> dict[str, Any]:
    """What a line says of an answer."""
    recording = recording_of(run, usage, receipt, "plain" if log.file.texts else "none")
    told = as_dict(receipt)
    dropped = (*ELSEWHERE, *(() if log.file.texts else TEXTS))
    kept = {name: value for name, value in told.items() if name not in dropped}
    stops = [log.name(one) for one in receipt.sampling["stop"]]
    return {
        "kind": ANSWER,
        "recording": recorded(recording, receipt.text, log),
        "drafts": {budget: drafts_of(list(over.values())) for budget, over in usage.over.items()},
        "opening": {budget: _books(state) for budget, state in usage.opening.accounts.items()},
        "left": {line.budget: line.z_after for line in receipt.charges},
        "who": named(run.request.conversation, run.request.tenant, log),
        "receipt": {
            **kept,
            "prompt_sha256": log.name(receipt.prompt_sha256),
            "sampling": {**receipt.sampling, "stop": stops},
            "search": receipt.search["strategy"],
        },
    }


def recorded(recording: Recording, text: str, log: AuditLog) -> dict[str, Any]:
    """A recording as a log keeps it, of which the text is only named, unless it keeps texts.

    Prompt and sampling stand in its receipt.
    """
    recording = replace(recording, prompt_sha256=None, sampling=None)
    kept = recording if log.file.texts else replace(recording, text=None, text_sha256=log.name(text))
    return {"format": FORMAT, **asdict(kept)}


def named(conversation: str | None, tenant: str | None, log: AuditLog) -> dict[str, str | None]:
    """Whose answer it is, as a log names them."""
    return {
        name: None if told is None else log.name(told)
        for name, told in (("conversation", conversation), ("tenant", tenant))
    }


def drafts_of(denied: Sequence[DeniedDraft]) -> list[dict[str, Any]]:
    """The scores of drafts that were denied, and what was spent before each."""
    return [
        {"before": _books(one.before), "points": [_point(measure) for measure in one.measures]}
        for one in denied[:MOST_DRAFTS]
    ]


def _point(measure: Measure) -> tuple[int, bool, Mapping[str, float]]:
    return measure.position, measure.ended, measure.raw


def _books(state: BudgetState) -> tuple[str, str, str | None, int]:
    """total, peak, left and position, as exact as they are counted."""
    return str(state.total), str(state.peak), None if state.left is None else str(state.left), state.position


def _failure(reason: str) -> AuditError:
    return AuditError(
        f"the answer has no line in the audit log: {reason}",
        where="audit",
        why="an answer that nobody can check later is not delivered",
        fix="see that the log can be written; `on_error='open'` delivers such answers, and counts them",
    )
