"""Work on several processes, several pieces at a time in each; they end with the one that began them, however it ends.

The processes are servers of `multiprocessing.managers`: each answers every caller in a thread of its own, so answers
side by side share a model's steps. (`ProcessPoolExecutor` gives a process one piece at a time.)
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from itertools import cycle, islice
from multiprocessing.managers import BaseManager, RemoteError
from typing import Any, TypeVar

from ig_guardrail.errors import EngineError

Work = TypeVar("Work")
Result = TypeVar("Result")


def in_processes(
    run: Callable[[Work], Result], tasks: Sequence[Work], workers: int, streams: int = 1
) -> Iterator[Result]:
    """`run` of every task, as soon as it is done, `streams` at a time in each of `workers` processes; 0: in this one.

    Leaving early ends the processes at once. Raises what `run` raises, and EngineError if a process is killed.
    """
    with ExitStack() as stack:
        do = run if workers == 0 else _elsewhere(run, workers, streams, stack)
        threads = ThreadPoolExecutor(max(1, workers) * streams)
        stack.callback(threads.shutdown, wait=workers == 0, cancel_futures=True)  # before the processes are ended
        for future in as_completed([threads.submit(do, task) for task in tasks]):
            yield future.result()


class Runner:
    """What a process offers: to run a task, in the thread of whoever asks."""

    def run(self, work: Callable[[Any], Any], task: Any) -> tuple[bool, Any]:
        """Whether it was done, and the result or the error."""
        try:
            return True, work(task)
        except BaseException as error:
            error.add_note(f"in a process of its own:\n{traceback.format_exc()}")
            return False, error


class WorkerProcess(BaseManager):
    """A process that holds a Runner."""


WorkerProcess.register("runner", Runner, exposed=("run",))


def _elsewhere(run: Callable[[Work], Result], workers: int, streams: int, stack: ExitStack) -> Callable[[Work], Result]:
    """`run` in one of the processes, the same one for every call from a thread. They end with the stack."""
    runners = [_begun(stack) for _ in range(workers)]
    free = iter(list(islice(cycle(runners), workers * streams)))
    own, choosing = threading.local(), threading.Lock()

    def do(task: Work) -> Result:
        with choosing:
            own.runner = getattr(own, "runner", None) or next(free)
        try:
            done, outcome = own.runner.run(run, task)
        except RemoteError as error:
            what = f"what came of a task cannot be sent: {error}"
            raise EngineError(what, where="eval", fix="report this error") from error
        except (EOFError, OSError) as error:
            raise _killed() from error
        if not done:
            raise outcome
        result: Result = outcome
        return result

    return do


def _begun(stack: ExitStack) -> Any:
    """The Runner of a new process."""
    process: Any = WorkerProcess(ctx=multiprocessing.get_context("spawn"))
    try:
        process.start(_end_with_parent)
    except EOFError as error:
        raise _killed() from error
    stack.callback(process.shutdown)
    return process.runner()


def _end_with_parent() -> None:
    """End this process as soon as the one that began it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _killed() -> EngineError:
    return EngineError(
        "a process of the comparison was killed",
        where="eval",
        why="answers that were under way are lost; finished ones are kept",
        fix="run the same command again, with fewer `--workers` or `--streams` if memory ran out",
    )
