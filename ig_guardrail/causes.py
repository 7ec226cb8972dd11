"""What becomes of errors of others: they are named by their type, and what they say is kept out of everyone's sight.

An error of a cost model, a strategy or a ledger may quote what it was given, which nobody has been shown yet. So our
own errors say which type it was, carry no cause of it, and hold no locals. What it said goes to the logger
`ig_guardrail.causes` at level DEBUG. That one writes nowhere, and passes nothing on, until it is given a handler:

    causes = logging.getLogger("ig_guardrail.causes")
    causes.addHandler(logging.FileHandler("causes.log"))
    causes.setLevel(logging.DEBUG)
"""

from __future__ import annotations

import contextlib
import dis
import inspect
import logging
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

from ig_guardrail.errors import GuardrailError

Ours = TypeVar("Ours", bound=BaseException)

_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_YIELD = dis.opmap["YIELD_VALUE"]

LOG = logging.getLogger("ig_guardrail.causes")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False  # a root logger at DEBUG must not be told texts that were never shown


def name_cause(error: BaseException) -> str:
    """What may be said of an error of others."""
    return f"it raised {type(error).__name__}"


def ours(error: BaseException, failure: Callable[[str], GuardrailError]) -> GuardrailError:
    """An error of ours for one that others raised; one of ours is taken as it is. It has no cause, and no locals.

    failure: makes it of what may be said
    """
    log_cause(error)
    told = error if isinstance(error, GuardrailError) else failure(name_cause(error))
    told.__cause__ = told.__context__ = None
    return strip_tracebacks(told)


def log_cause(error: BaseException) -> None:
    """Keep an error, as it is, for whoever has asked for it."""
    LOG.debug("an error of others", exc_info=(type(error), error, error.__traceback__))


def strip_tracebacks(error: Ours) -> Ours:
    """An error without the locals of the frames it went through, nor those of its causes. Line numbers stay."""
    for one in _chain(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if _is_ours(frame) or not _goes_on(frame):
                with contextlib.suppress(RuntimeError):  # it is at work
                    frame.clear()
    return error


def _is_ours(frame: FrameType) -> bool:
    """Whether a frame is of this package, which ends what an error goes through."""
    return str(frame.f_globals.get("__name__")).partition(".")[0] == __name__.partition(".")[0]


def _goes_on(frame: FrameType) -> bool:
    """Whether a frame is of a generator or coroutine that waits to be resumed; clearing it would end that.

    One can stand in the traceback of an error that was raised, caught and kept, and is now raised again.
    """
    code = frame.f_code
    return bool(code.co_flags & _RESUMED) and code.co_code[frame.f_lasti] == _YIELD


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it came from, each once."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]
            waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
