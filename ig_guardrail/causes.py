"""What becomes of errors of others: they are named by their type, and what they say is kept out of everyone's sight.

An error of a cost model, a strategy or a ledger may quote what it was given, which nobody has been shown yet. So our
own errors say which type it was, carry no cause of it, and hold no locals. What it said goes to the logger
`ig_guardrail.causes` at level DEBUG. That one writes nowhere, and passes nothing on, until it is given a handler:

    causes = logging.getLogger("ig_guardrail.causes")
    causes.addHandler(logging.FileHandler("causes.log"))
    causes.setLevel(logging.DEBUG)
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

from ig_guardrail.errors import GuardrailError

Ours = TypeVar("Ours", bound=BaseException)

LOG = logging.getLogger("ig_guardrail.causes")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False  # a root logger at DEBUG must not be told texts that were never shown


def named(error: BaseException) -> str:
    """What may be said of an error of others."""
    return f"it raised {type(error).__name__}"


def ours(error: BaseException, failure: Callable[[str], GuardrailError]) -> GuardrailError:
    """An error of ours for one that others raised; one of ours is taken as it is. It has no cause, and no locals.

    failure: makes it of what may be said
    """
    note(error)
    told = error if isinstance(error, GuardrailError) else failure(named(error))
    told.__cause__ = told.__context__ = None
    return bared(told)


def note(error: BaseException) -> None:
    """Keep an error, as it is, for whoever has asked for it."""
    LOG.debug("an error of others", exc_info=(type(error), error, error.__traceback__))


def bared(error: Ours) -> Ours:
    """An error without the locals of the frames it went through, nor those of its causes. Line numbers stay."""
    for one in _chain(error):
        traceback.clear_frames(one.__traceback__)
    return error


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
