"""What a request fails by, in words of ours: nothing of what others said, and the receipt of what was done."""

from __future__ import annotations

from ig_guardrail.causes import log_cause, name_cause
from ig_guardrail.drive.records.receipts import receipt
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.server import SearchServer
from ig_guardrail.drive.usage import Usage
from ig_guardrail.errors import GenerationFailed, GuardrailError, LedgerError


def generation_failed(
    error: GuardrailError, run: Run, usage: Usage, server: SearchServer | None = None
) -> GenerationFailed:
    """The error that the caller sees, with the receipt. server: None where nothing was decoded."""
    verdict = run.verdict("failed", None, str(error))
    record = receipt(run, usage, verdict, server.gate.text if server else "", (), server)
    return GenerationFailed(error.what, receipt=record, where=error.where, why=error.why, fix=error.fix)


def as_guard_failure(error: Exception) -> GuardrailError:
    """An error of ours for one that ended a request; what others said is not repeated."""
    if isinstance(error, GuardrailError):
        return error
    log_cause(error)
    return GuardrailError(
        f"the guard failed: {name_cause(error)}",
        where="guardrail",
        why="nothing after the failure may be shown",
        fix="report this error; a log of causes tells more, see `ig_guardrail.causes`",
    )


def ledger_failure(reason: str) -> LedgerError:
    """The error of a ledger that raised another than ours. reason: what may be said of that."""
    return LedgerError(
        f"the ledger failed: {reason}",
        where="ledger",
        why="what a conversation has spent must be known before anything of it is shown",
        fix="repair the ledger",
    )
