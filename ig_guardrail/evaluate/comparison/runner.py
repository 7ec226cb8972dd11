"""Runs a comparison: every cell once, on several processes, kept in a file as soon as it is done."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ig_guardrail.costs.adoption import adoptions_sha256
from ig_guardrail.evaluate.comparison.config import UNGUARDED, Config, StrategyEntry, policy_of, read_sets
from ig_guardrail.evaluate.comparison.records import (
    PACKAGES,
    Cell,
    Record,
    add_line,
    arm_of,
    as_fields,
    code_sha256,
    from_fields,
    read_lines,
    run_cell,
)
from ig_guardrail.evaluate.comparison.workers import in_processes
from ig_guardrail.evaluate.prompts import PromptRow
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Sampling

RECORDS = "records.jsonl"
_OPENING = threading.Lock()  # what one answer opens, the others of its process share


@dataclass(frozen=True, slots=True)
class CellTask:
    """A cell, with all that a process needs to run it."""

    config: Config
    cell: Cell
    row: PromptRow
    entry: StrategyEntry


def tasks_of(config: Config) -> list[CellTask]:
    """Every cell of a comparison, prompt by prompt, so that a run that is cut short is still paired."""
    asked = read_sets(config.prompts)
    return [
        CellTask(config, Cell(model, policy, entry.title, one.name, row.id, seed), row, entry)
        for seed in config.seeds
        for one, row in asked
        for model in config.models
        for policy in config.policies
        for entry in config.strategies
    ]


def run_comparison(
    tasks: Sequence[CellTask], out: Path, workers: int, streams: int, done: Callable[[], None]
) -> list[Record]:
    """The records of all tasks, in their order; what `out` holds already is not run again.

    Tasks that are asked only where the unguarded answer is over budget come last, and have no record elsewhere.
    streams: answers at a time in each of the processes, which share the model's steps
    done: called once for every task: kept, new, or left out
    """
    settings = {task.cell.key: setting_of(task, streams) for task in tasks}
    known = {record.cell.key: record for record in _kept(out / RECORDS, settings)}
    for late in (False, True):
        asked = [task for task in tasks if task.entry.where_over == late]
        left = [task for task in asked if task.cell.key not in known and (not late or _over(task, known))]
        for _ in range(len(asked) - len(left)):
            done()
        for record in in_processes(_run, left, workers, streams):
            add_line(out / RECORDS, {"setting": settings[record.cell.key], "record": as_fields(record)})
            known[record.cell.key] = record
            done()
    return [known[task.cell.key] for task in tasks if task.cell.key in known]


def _over(task: CellTask, known: Mapping[str, Record]) -> bool:
    """Whether the unguarded answer to the same is over budget."""
    return known[replace(task.cell, strategy=UNGUARDED).key].over is not None


def setting_of(task: CellTask, streams: int) -> str:
    """A short name of all that its answer and its times depend on beside the prompt and the seed. 16 hex digits."""
    config = task.config.model_dump_json(
        exclude={"name", "models", "policies", "prompts", "seeds", "judge", "strategies", "bounds"}
    )
    return _setting(task.cell.policy, config, task.entry.model_dump_json(), streams, adoptions_sha256())


@cache
def _setting(policy: str, config: str, entry: str, streams: int, adoptions: str) -> str:
    versions = {name: version(name) for name in PACKAGES}
    text = json.dumps([code_sha256(), versions, policy_of(policy).sha256, config, entry, streams, adoptions])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kept(path: Path, settings: Mapping[str, str]) -> list[Record]:
    """Records that were made under these very settings; others stay in the file and are not taken up."""
    found = []
    for line in read_lines(path):
        try:
            record = from_fields(line["record"])
            if settings.get(record.cell.key) == line["setting"]:
                found.append(record)
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _run(task: CellTask) -> Record:
    config, sampling = task.config, task.config.sampling
    drawn = Sampling(temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=sampling.max_tokens)
    with _OPENING:
        guardrail = _guardrail(task.cell.model, task.cell.policy, config)
        arm = _arm(task.cell.model, task.cell.policy, config.model_dump_json(), task.entry.model_dump_json())
    return run_cell(guardrail, arm, task.entry, task.cell, task.row, drawn, config.recheck)


@cache
def _arm(model: str, policy: str, config: str, entry: str) -> Any:
    whole = Config.model_validate_json(config)
    return arm_of(_guardrail(model, policy, whole), StrategyEntry.model_validate_json(entry))


def _guardrail(model: str, policy: str, config: Config) -> Any:
    ranking = (config.reward, config.critic, config.exit)
    return _opened(model, policy, config.device, *ranking, config.verifier)


@cache
def _opened(
    model: str,
    policy: str,
    device: str,
    reward: str | None,
    critic: str | None,
    exit: str | None,
    verifier: str | None,
) -> Any:
    """A guardrail in this process, opened at its first cell; one thread for each, since there are several."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from ig_guardrail.assembly import open_guardrail

    torch.set_num_threads(1)
    spec = GuardrailSpec(model, policy, device, reward=reward, critic=critic, exit=exit, verifier=verifier)
    return open_guardrail(spec, policy_of(policy))
