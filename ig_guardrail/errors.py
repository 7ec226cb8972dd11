"""Every error the package raises, and what each one tells.

GuardrailError                what, where, why, fix; `exit_code` 2
  PolicyError                 a policy was refused; carries every fault
  RequestError                the call itself cannot be served (bad option, prompt too long, max_tokens 0)
    PromptTooLong             the conversation does not fit what the model reads at once
    UnguardedNotAllowed       strategy `none` under a policy that does not allow it
  ModelError                  the language model cannot be had
    MissingExtra              what it needs comes with an extra of the package that is not installed
    HeadMismatch              a latent head, or an index, was made for another model or other numerics
  EngineError                 the engine failed while it worked
    EngineClosed              the node or engine was closed, by a cancel or on exit
    StreamFailed              the stream that an answer is read from broke; its cause is what was raised there
  StrategyError               a search strategy broke its contract or crashed
  CostFailure                 a cost model erred, timed out or answered nonsense: the guard fails closed
    CostTimeout
  LedgerError                 the ledger cannot be read or written
    BudgetTaken               another answer has spent what this one needed; no failure, the answer ends there
  AuditError                  the audit log cannot be written, or cannot be read
  GenerationFailed            a request ended `failed`; carries the receipt
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ig_guardrail.types import Receipt


class GuardrailError(Exception):
    """An error that says what is wrong, where, why it matters, and how to mend it."""

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        self.what, self.where, self.why, self.fix = what, where, why, fix
        super().__init__(what)

    def __str__(self) -> str:
        named = not self.where or self.what.startswith((f"{self.where} ", f"{self.where}: "))
        lines = [self.what if named else f"{self.where}: {self.what}"]
        lines += [f"  why: {self.why}"] if self.why else []
        lines += [f"  fix: {self.fix}"] if self.fix else []
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        """Whole in another process, whatever arguments a kind of error takes."""
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[GuardrailError], args: tuple[object, ...]) -> GuardrailError:
    return kind.__new__(kind, *args)


def brief(error: object, most: int = 300) -> str:
    """What an error of someone else's says, on one line of at most `most` characters."""
    return " ".join(str(error).split())[:most]


class PolicyError(GuardrailError):
    """A policy was refused. `what` is the rendered report of every fault."""


class RequestError(GuardrailError):
    """The request cannot be served as asked."""


class PromptTooLong(RequestError):
    """The conversation has more tokens than the model reads at once; a shorter one could be served."""


class UnguardedNotAllowed(RequestError):
    """Strategy `none` was asked for under a policy without `allow_unguarded: true`."""


class ModelError(GuardrailError):
    """The language model is missing, unreadable or unfit."""


class MissingExtra(ModelError):
    """What is asked for needs packages that come with an extra, and they are not installed. `fix` installs them."""


class HeadMismatch(ModelError):
    """A latent head or an index belongs to another model, or to other numerics, than the one that is loaded."""


class EngineError(GuardrailError):
    """The engine failed while it worked."""


class EngineClosed(EngineError):
    """The node or the engine was closed while work was asked of it."""


class StreamFailed(EngineError):
    """The stream that an answer is read from broke. The cause is what the model behind it raised."""


class StrategyError(GuardrailError):
    """A search strategy crashed, or yielded something outside its contract."""


class CostFailure(GuardrailError):
    """A cost model erred, timed out or gave something that is not a score."""


class LedgerError(GuardrailError):
    """The ledger cannot be read or written."""


class BudgetTaken(LedgerError):
    """Other answers have spent what this one needed, so it ends where it is. hazards: of the budgets that are spent."""

    def __init__(self, what: str, hazards: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.hazards = hazards


class AuditError(GuardrailError):
    """The audit log cannot be written, or cannot be read."""


class CostTimeout(CostFailure):
    """A cost model did not answer within its time limit."""


class GenerationFailed(GuardrailError):
    """A request ended `failed`; nothing after the failure was shown."""

    def __init__(self, what: str, *, receipt: Receipt, where: str = "", why: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, why=why, fix=fix)
        self.receipt = receipt
