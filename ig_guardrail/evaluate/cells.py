"""One cell of a comparison: one prompt, answered once by one strategy, as a record of plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ig_guardrail.costs.critic import RewardModel
from ig_guardrail.drive.plan import demand
from ig_guardrail.drive.request import Ask
from ig_guardrail.drive.rereading import reread
from ig_guardrail.drive.serve import Values
from ig_guardrail.errors import GenerationFailed
from ig_guardrail.evaluate.answers import own_words
from ig_guardrail.evaluate.arms import under, watching
from ig_guardrail.evaluate.config import StrategyEntry
from ig_guardrail.evaluate.prompts import PromptRow
from ig_guardrail.evaluate.replay import audit_charges
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.catalog import METHODS
from ig_guardrail.search.follower import Follower
from ig_guardrail.types import Receipt, Sampling, Turn


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
    demand(entry.name, arm.policy, arm.panel, arm.values, arm.engine.info)
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
        *_, last = arm.stream(Ask(row.turns, replace(sampling, seed=cell.seed), follower))
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


def _reward(guardrail: Guardrail, turns: tuple[Turn, ...], ids: tuple[int, ...]) -> float | None:
    """The task value of the answer alone, read anew."""
    engine = guardrail.engine
    prompt = engine.encode(turns)
    reward = guardrail.values.of(prompt).reward
    if not isinstance(reward, RewardModel) or not ids:
        return None
    return float(reward.predict(reread(engine, prompt, [ids], reward.layers))[0])
