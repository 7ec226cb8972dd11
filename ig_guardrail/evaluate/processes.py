"""Work on several processes, which end with the one that began them, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ig_guardrail.errors import EngineError

Work = TypeVar("Work")
Result = TypeVar("Result")


def in_processes(run: Callable[[Work], Result], tasks: Sequence[Work], workers: int) -> Iterator[Result]:
    """`run` of every task, as soon as it is done; with 0 workers in this process, in order.

    Leaving early ends the processes at once. Raises what `run` raises, and EngineError if a process is killed.
    """
    if workers == 0:
        yield from map(run, tasks)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    try:
        for future in as_completed([pool.submit(run, task) for task in tasks]):
            yield future.result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise EngineError(
            "a process of the comparison was killed",
            where="eval",
            why="what it was at is lost; all other answers are kept",
            fix="run the same command again, with fewer `--workers` if memory ran out",
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


def _begin() -> None:
    """Ctrl-C is for the process that began this one; its end, by whatever signal, is the end of this one too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
