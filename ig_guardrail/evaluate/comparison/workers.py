"""Work on several processes, several pieces at a time in each; they end with the one that began them, however it ends.

Each process has a line to the one that began it: tasks go there, outcomes come back, and when one of them ends, the
other one learns it from the line.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
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
    return _in_threads(run, tasks, streams) if workers == 0 else _elsewhere(run, tasks, workers, streams)


def _in_threads(run: Callable[[Work], Result], tasks: Sequence[Work], streams: int) -> Iterator[Result]:
    threads = ThreadPoolExecutor(streams)
    try:
        for future in as_completed([threads.submit(run, task) for task in tasks]):
            yield future.result()
    finally:
        threads.shutdown(cancel_futures=True)


def _elsewhere(run: Callable[[Work], Result], tasks: Sequence[Work], workers: int, streams: int) -> Iterator[Result]:
    hands = [WorkerProcess.begin(run, streams) for _ in range(workers)]
    left = iter(tasks)
    try:
        for hand, task in zip([*hands] * streams, left, strict=False):
            hand.give(task)
        while any(hand.owed for hand in hands):
            ready = wait([hand.line for hand in hands if hand.owed])
            for hand in [hand for hand in hands if hand.line in ready]:
                result = hand.take()
                for task in islice(left, 1):
                    hand.give(task)
                yield result
    finally:
        for hand in hands:
            hand.process.terminate()
            hand.line.close()


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A process, the line to it, and how many tasks it owes the outcome of."""

    process: SpawnProcess
    line: Connection
    owed: int = 0

    @classmethod
    def begin(cls, run: Callable[[Any], Any], streams: int) -> WorkerProcess:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(run, streams, there), daemon=True)
        process.start()
        there.close()  # so that its end is the line's end
        return cls(process, here)

    def give(self, task: Any) -> None:
        with _a_killed_one_is_told():
            self.line.send(task)
        self.owed += 1

    def take(self) -> Any:
        """A result. Raises what the task raised, or EngineError if the process is gone."""
        with _a_killed_one_is_told():
            done, outcome = self.line.recv()
        self.owed -= 1
        if not done:
            raise outcome
        return outcome


@contextmanager
def _a_killed_one_is_told() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise EngineError(
            "a process of the comparison was killed",
            where="eval",
            why="answers that were under way are lost; finished ones are kept",
            fix="run the same command again, with fewer `--workers` or `--streams` if memory ran out",
        ) from error


def _serve(run: Callable[[Any], Any], streams: int, line: Connection) -> None:
    """Do what comes on the line until it ends. Ctrl-C is for the process at its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    speaking = threading.Lock()

    def work(task: Any) -> None:
        try:
            outcome = True, run(task)
        except BaseException as error:
            error.add_note(f"in a process of its own:\n{traceback.format_exc()}")
            outcome = False, error
        with speaking:
            try:
                line.send(outcome)
            except OSError:  # the other end is gone, and this process with it
                os._exit(1)
            except Exception as error:
                what = f"what came of a task cannot be sent: {error}"
                line.send((False, EngineError(what, where="eval", fix="report this error")))

    threads = ThreadPoolExecutor(streams)
    while True:
        try:
            threads.submit(work, line.recv())
        except (EOFError, OSError):
            os._exit(1)
