"""Runs trials on several processes of one thread each: steadier than many threads, above all on a busy machine.

Every process opens the guardrail once; this one only hands out prompts and takes in trials.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from typing import Any

from ig_guardrail.evaluate.arms import Arms
from ig_guardrail.evaluate.prompts import PromptRow
from ig_guardrail.evaluate.quality.trials import Trial
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Sampling


@dataclass(frozen=True, slots=True)
class Job:
    """What every trial has in common: the policy, by name or file, and the sampling."""

    policy: str
    sampling: Sampling


class Workers:
    """A pool of `count` processes. Use as a context; leaving it by an error or Ctrl-C ends the processes at once."""

    def __init__(self, count: int, job: Job) -> None:
        self._job = job
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)
        for process in multiprocessing.active_children() if kind else ():
            process.terminate()

    def setting(self) -> dict[str, Any]:
        """What the trials are made under."""
        return self._pool.submit(_setting, self._job).result()

    def trials(self, rows: Sequence[PromptRow]) -> Iterator[Trial]:
        """The trials of all rows, each as soon as it is done."""
        for future in as_completed([self._pool.submit(_trial, self._job, row) for row in rows]):
            yield future.result()


def _trial(job: Job, row: PromptRow) -> Trial:
    from ig_guardrail.evaluate.quality.trials import run_trial

    return run_trial(_opened(job.policy), row, job.sampling)


def _setting(job: Job) -> dict[str, Any]:
    from ig_guardrail.evaluate.comparison.records import setting_of

    return setting_of(_opened(job.policy).guarded.guardrail, job.sampling)


@cache
def _opened(policy: str) -> Arms:
    """The arms in this process, opened at the first trial."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from ig_guardrail.assembly import open_guardrail
    from ig_guardrail.evaluate.arms import arms_of

    torch.set_num_threads(1)
    return arms_of(open_guardrail(GuardrailSpec(policy=policy)))
