"""Work on several processes: all of it is done, and none outlives the process that began it."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.errors import EngineError
from ig_guardrail.evaluate.comparison.workers import in_processes

ROOT = Path(__file__).parents[3]
SOON = 20_000  # milliseconds; they end in some
MEETING = threading.Barrier(2)


def meet(task: int) -> bool:
    """Wait for another task of this process."""
    MEETING.wait(SOON / 1000)
    return True


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("streams", [1, 4])
def test_every_task_is_done_once(workers: int, streams: int) -> None:
    assert sorted(in_processes(abs, range(-9, 0), workers, streams)) == list(range(1, 10))


@pytest.mark.parametrize("workers", [0, 1])
def test_tasks_of_a_process_run_side_by_side(workers: int) -> None:
    assert list(in_processes(meet, [2, 2], workers, streams=2)) == [True, True]


def test_leaving_early_ends_the_processes() -> None:
    others = set(multiprocessing.active_children())
    results = in_processes(abs, [-3, -1, -2], 1)
    next(results)
    (begun,) = set(multiprocessing.active_children()) - others
    results.close()
    assert wait([begun.sentinel], SOON / 1000)


def test_what_a_task_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(in_processes(int, ["1", "x"], 1))


class Unsendable(Exception):
    def __reduce__(self) -> str:
        raise RuntimeError("not even in pieces")


def fail(task: int) -> None:
    raise Unsendable


@pytest.mark.parametrize(("run", "task"), [(open, __file__), (fail, 1)])
def test_what_cannot_be_sent_back_is_told(run: Callable[[Any], Any], task: Any) -> None:
    with pytest.raises(EngineError, match="what came of a task cannot be sent"):
        list(in_processes(run, [task], 1))


def test_a_process_that_is_killed_is_told_in_words() -> None:
    with pytest.raises(EngineError, match="a process of the comparison was killed"):
        list(in_processes(os._exit, [9], 1))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the end of a process that is no child can't be awaited here")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_that_began_it(how: signal.Signals) -> None:
    open_pid: Callable[[int], int] = os.pidfd_open
    command = [sys.executable, "-m", "tests.unit.evaluate.endless"]
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True, env=unbuffered) as begun:
        assert begun.stdout is not None
        try:
            ends = [open_pid(int(begun.stdout.readline())) for _ in range(2)]
        finally:
            begun.send_signal(how)
    for end in ends:
        waiting = select.poll()
        waiting.register(end, select.POLLIN)
        assert waiting.poll(SOON)
        os.close(end)
