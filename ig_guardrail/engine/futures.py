"""What an engine answers by: the future of work that can be given up while it runs, and the error of what is closed."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TypeVar

from ig_guardrail.errors import EngineClosed

R = TypeVar("R")


class WorkFuture(Future[R]):
    """What work comes to. Whoever cancels it after the work was begun does not wait for it any more.

    abandoned  whether nobody waits: the work may end where it is
    behind     what is waited for in its place, once it was begun; it is cancelled with it
    """

    def __init__(self) -> None:
        super().__init__()
        self.abandoned = False
        self.behind: Future[R] | None = None

    def cancel(self) -> bool:
        self.abandoned = True
        stopped = super().cancel()
        if not stopped and self.behind is not None:
            self.behind.cancel()
        return stopped

    def follow(self, behind: Future[R]) -> None:
        """Have it come to what another future does."""
        self.behind = behind
        if self.abandoned:
            behind.cancel()
        behind.add_done_callback(self._settle)

    def _settle(self, done: Future[R]) -> None:
        if done.cancelled():
            self.set_exception(closed_error("the request was closed"))
        elif (error := done.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(done.result())


def closed_error(what: str) -> EngineClosed:
    """The error of work asked of something closed."""
    return EngineClosed(
        what,
        where="engine",
        why="a cancel, or the end of the request, freed its cache",
        fix="open the prompt again",
    )
