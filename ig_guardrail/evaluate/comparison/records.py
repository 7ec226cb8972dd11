"""One cell of a comparison: one prompt, answered once by one strategy, as a record of plain values.

A file of JSON lines that is only ever added to, so that a run may be stopped at any time and go on from there.

What a measurement was made under, so that figures name their origin and stale results are never taken up.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ig_guardrail.costs.rewards.base import RewardModel
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.drive.history import reread
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.run import method_for
from ig_guardrail.errors import GenerationFailed
from ig_guardrail.evaluate.answers import own_words
from ig_guardrail.evaluate.arms import under, watching
from ig_guardrail.evaluate.comparison.config import StrategyEntry
from ig_guardrail.evaluate.prompts import PromptRow
from ig_guardrail.evaluate.replay import audit_charges
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.recorder import Follower
from ig_guardrail.search.registry import METHODS
from ig_guardrail.types import Message, Receipt, Sampling


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


@dataclass(frozen=True, slots=True)
class Record:
    """What came of it.

    outcome  completed, refused, ended or failed
    text     the model's own words that were shown
    over     the budget that is overdrawn, or None; only the unguarded stream can overdraw one
    peak     the highest score as a share of its threshold
    cost     what the budgets were charged, in all
    reward   the task value of the words; None without a reward model, or without words
    trace    at each charge point, its position and the least that remains of a budget (z)
    tokens   released, generated, discarded, and read by the model in all rows
    work     layers times tokens read
    scored   calls of cost models, and of reward model and critic
    seconds  wall time, and until the first text was shown
    """

    cell: Cell
    outcome: str
    text: str
    over: str | None
    peak: float
    cost: float
    reward: float | None
    trace: Sequence[tuple[int, float]]
    tokens: Mapping[str, int]
    work: int
    scored: Mapping[str, int]
    seconds: Mapping[str, float | None]


def arm_of(guardrail: Guardrail, entry: StrategyEntry) -> Guardrail:
    """The guardrail that a strategy runs on: its search settings in place of the policy's; no values if unguided.

    Raises RequestError if the strategy lacks what it needs.
    """
    settings: dict[str, Any] = dict(entry.search)
    if entry.name not in ("none", "inference_guard"):  # the ladder's fresh start is a part of that search
        settings["restart"] = None
    policy = replace(guardrail.policy, search=replace(guardrail.policy.search, **settings))
    arm = under(guardrail, watching(policy) if entry.name == "none" else policy)
    if not entry.guided:
        arm.values = Values()
    method_for(entry.name, arm.policy, arm.costs, arm.values, arm.engine.info)
    return arm


def run_cell(
    whole: Guardrail, arm: Guardrail, entry: StrategyEntry, cell: Cell, row: PromptRow, sampling: Sampling
) -> Record:
    """Answer one prompt, and write down what it took. A failure is a record too.

    whole: with the policy and the reward model that answers are measured by
    arm: what `arm_of` made of it, which answers
    """
    follower = Follower(METHODS[entry.name].search)
    try:
        *_, last = arm.stream(GenerationRequest(row.turns, replace(sampling, seed=cell.seed), follower))
        receipt = last.receipt
    except GenerationFailed as error:
        receipt = error.receipt
    assert receipt is not None
    text = own_words(receipt, arm.policy.messages)
    audit = audit_charges(receipt.charges, whole.policy.budgets)
    return Record(
        cell=cell,
        outcome=receipt.verdict.outcome,
        text=text,
        over=audit.over,
        peak=audit.peak,
        cost=sum(audit.spend.values()),
        reward=_reward(whole, row.turns, follower.ids[: receipt.tokens["released"]]),
        trace=_trace(receipt),
        tokens=dict(receipt.tokens),
        work=receipt.tokens["read"] * max(1, whole.engine.info.layers),
        scored={"cost": receipt.cost_calls, "value": receipt.value_calls},
        seconds=dict(receipt.seconds),
    )


def as_fields(record: Record) -> dict[str, Any]:
    """A record as JSON keeps it."""
    return asdict(record)


def from_fields(fields: Mapping[str, Any]) -> Record:
    """Raises KeyError or TypeError for fields of another version."""
    trace = [(int(position), float(left)) for position, left in fields["trace"]]
    return Record(**{**fields, "cell": Cell(**fields["cell"]), "trace": trace})


def _trace(receipt: Receipt) -> list[tuple[int, float]]:
    least: dict[int, float] = {}
    for line in receipt.charges:
        least[line.position] = min(least.get(line.position, line.z_after), line.z_after)
    return sorted(least.items())


def _reward(guardrail: Guardrail, turns: tuple[Message, ...], ids: tuple[int, ...]) -> float | None:
    """The task value of the answer alone, read anew."""
    engine = guardrail.engine
    prompt = engine.encode(turns)
    reward = guardrail.values.of(prompt).reward
    if not isinstance(reward, RewardModel) or not ids:
        return None
    return float(reward.predict(reread(engine, prompt, [ids], reward.layers))[0])


def add_line(path: Path, fields: Mapping[str, Any]) -> None:
    """Add one object; it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(fields, ensure_ascii=False))
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects that were written whole. The torn end of an interrupted run is not one of them."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
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
    "search",
    "stream",
)
RECORDING = (
    *(f"evaluate/{name}.py" for name in ("answers", "arms", "replay")),
    "evaluate/comparison/records.py",
    "evaluate/quality/trials.py",
)


def setting_of(guardrail: Guardrail, sampling: Sampling) -> dict[str, Any]:
    """Model, policy, cost models, search, sampling and versions, as plain values."""
    info, policy = guardrail.engine.info, guardrail.policy
    return {
        "model": {"name": info.model, "sha256": info.model_sha256, "engine": info.mode, "numerics": info.numerics},
        "device": info.device,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "cost_models": dict(guardrail.costs.hashes),
        "search": asdict(policy.search),
        "sampling": {key: value for key, value in asdict(sampling).items() if key != "seed"},
        "versions": {name: version(name) for name in PACKAGES},
        "code": code_sha256(),
    }


def fingerprint(setting: Mapping[str, Any]) -> str:
    """A short name of a setting: 12 hex digits. Equal settings have equal names."""
    return hashlib.sha256(json.dumps(setting, sort_keys=True, default=str).encode()).hexdigest()[:12]


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
