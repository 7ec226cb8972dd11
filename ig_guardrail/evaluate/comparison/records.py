"""One cell of a comparison: one prompt, answered once by one strategy, as a record of plain values.

A file of JSON lines that is only ever added to, so that a run may be stopped at any time and go on from there.

It also holds what a measurement was made under, so that figures name their origin and stale results are never taken up.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ig_guardrail.costs.rewards.base import RewardModel
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.drive.contexts import read_answers
from ig_guardrail.drive.run import method_for
from ig_guardrail.evaluate.answers import Answer, Arm
from ig_guardrail.evaluate.arms import under, watching
from ig_guardrail.evaluate.comparison.config import StrategyEntry
from ig_guardrail.evaluate.prompts import PromptRow
from ig_guardrail.evaluate.replay import Audit, audit_answer
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Message, Sampling

AGAIN = 1_000_003  # added to the seed for a second draw


@dataclass(frozen=True, slots=True)
class Cell:
    """What is asked of whom: names of a model, a policy and a strategy, a set's prompt, and a seed."""

    model: str
    policy: str
    strategy: str
    set: str
    prompt: str
    seed: int

    @property
    def key(self) -> str:
        return "\t".join(map(str, (self.model, self.policy, self.strategy, self.set, self.prompt, self.seed)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Answer):
    """What came of it: an answer, and what is measured of it beside.

    reward   the task value of the words; None without a reward model, or without words
    checked  the account once more, from the words' tokens alone; None where it was not asked for
    """

    cell: Cell
    reward: float | None
    checked: Audit | None = None

    @property
    def peak(self) -> float:
        """The highest score as a share of its threshold."""
        return self.audit.peak

    @property
    def cost(self) -> float:
        """What the budgets were charged, in all."""
        return sum(self.audit.spend.values())


def arm_of(guardrail: Guardrail, entry: StrategyEntry) -> Arm:
    """A strategy with its search settings in place of the policy's; no values if unguided.

    Raises RequestError if the strategy lacks what it needs.
    """
    settings: dict[str, Any] = dict(entry.search)
    if entry.name not in ("none", "inference_guard"):  # the fallbacks' fresh start is a part of that search
        settings["restart"] = None
    policy = replace(guardrail.policy, search=replace(guardrail.policy.search, **settings))
    arm = under(guardrail, watching(policy) if entry.name == "none" else policy)
    if not entry.guided:
        arm.values = Values()
    method = method_for(entry.name, arm.policy, arm.costs, arm.values, arm.engine.info, arm.verifier is not None)
    return Arm(entry.title, arm, method.search, guardrail.policy.budgets)


def run_cell(
    whole: Guardrail, arm: Arm, entry: StrategyEntry, cell: Cell, row: PromptRow, sampling: Sampling, recheck: bool
) -> Record:
    """Answer one prompt, and write down what it took. A failure is a record too.

    whole: with the policy and the reward model that answers are measured by
    arm: what `arm_of` made of it, which answers
    recheck: whether the answer is charged once more
    """
    answer = arm.answer(row.turns, replace(sampling, seed=cell.seed + (AGAIN if entry.again else 0)))
    return Record(
        **{field.name: getattr(answer, field.name) for field in fields(answer)},
        cell=cell,
        reward=_reward(whole, row.turns, answer.ids),
        checked=audit_answer(whole, row.turns, answer.ids, ended=answer.completed) if recheck else None,
    )


def as_fields(record: Record) -> dict[str, Any]:
    """A record as JSON keeps it."""
    return asdict(record)


def from_fields(stored: Mapping[str, Any]) -> Record:
    """Raises KeyError or TypeError for fields of another version."""
    trace = [(int(position), float(left)) for position, left in stored["trace"]]
    checked = Audit(**stored["checked"]) if stored["checked"] else None
    read = {"cell": Cell(**stored["cell"]), "trace": trace, "ids": tuple(stored["ids"]), "checked": checked}
    return Record(**{**stored, **read, "audit": Audit(**stored["audit"])})


def _reward(guardrail: Guardrail, turns: tuple[Message, ...], ids: tuple[int, ...]) -> float | None:
    """The task value of the answer alone, read again."""
    engine = guardrail.engine
    prompt = engine.encode(turns)
    reward = guardrail.values.of(prompt).reward
    if not isinstance(reward, RewardModel) or not ids:
        return None
    return float(reward.predict(read_answers(engine, prompt, [ids], reward.layers))[0])


def add_line(path: Path, fields: Mapping[str, Any]) -> None:
    """Add one object on a line of its own, whatever an interrupted run left; it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        torn = file.tell() > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
        file.write(b"\n" * torn + json.dumps(fields, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects that were written whole. The torn end of an interrupted run is not one of them."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else ():
        try:
            fields = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(fields, dict):
            found.append(fields)
    return found


PACKAGES = ("torch", "transformers", "numpy")
DECODING = (
    "budget.py",
    "guardrail.py",
    "text",
    "types",
    "costs",
    "drive",
    "engine",
    "ledger",
    "schemas",
    "search",
    "stream",
)
RECORDING = tuple(f"evaluate/{name}.py" for name in ("answers", "arms", "replay", "comparison/records"))


def code_sha256() -> str:
    """Hash of every module that decides what an answer is or what is written down of it."""
    digest = hashlib.sha256()
    package = files("ig_guardrail")
    for name in DECODING + RECORDING:
        for module in _modules(package.joinpath(name)):
            digest.update(module.name.encode() + b"\0" + module.read_bytes() + b"\0")
    return digest.hexdigest()


def _modules(entry: Traversable) -> list[Traversable]:
    if entry.is_dir():
        return [module for child in sorted(entry.iterdir(), key=lambda one: one.name) for module in _modules(child)]
    return [entry] if entry.name.endswith(".py") else []
