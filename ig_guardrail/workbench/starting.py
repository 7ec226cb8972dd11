"""What only a start shows of policies: whether they start, and which of their messages are over their budgets.

Beside a model, as a guardrail starts; without one, as far as cost models that weigh words tell for certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ig_guardrail.errors import GuardrailError
from ig_guardrail.policy import FileReport, Report
from ig_guardrail.policy.compiler import ReadPolicy, placed, read_policy
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation.cautions.messages import over_budget
from ig_guardrail.types import CompiledPolicy, Expression

if TYPE_CHECKING:  # a plain check of a policy that weighs no words needs none of these
    from ig_guardrail.drive.scoring.approval import OverdrawnMessage
    from ig_guardrail.guardrail import Guardrail

WEIGHS_WORDS = "lexical"
AT_THE_END = 4096  # tokens between two charge points, which no message is long enough to have
NOTHING = Expression("number", number=0.0)


def start_each(report: Report, model: str) -> Report:
    """A report on policy files, with what happens where each valid one starts beside a model."""
    return replace(report, files=tuple(_started(one, model) if one.ok and one.policy else one for one in report.files))


def try_words(report: Report) -> Report:
    """The same with each message that a cost model of words lets no guardrail start with, whatever else judges it."""
    return replace(report, files=tuple(_tried(one) if one.ok and one.policy else one for one in report.files))


def _started(file: FileReport, model: str) -> FileReport:
    from ig_guardrail import assembly
    from ig_guardrail.spec import GuardrailSpec

    try:
        guardrail = assembly.open_guardrail(GuardrailSpec(model, Path(file.path)))
        faults = _over_budget(guardrail, read_policy(file.source, file.path, warn=False))
    except GuardrailError as error:
        return replace(file, start=str(error))
    starts = all(fault.severity == "warning" for fault in faults)
    return replace(file, start="" if starts else None, faults=(*file.faults, *faults))


def _tried(file: FileReport) -> FileReport:
    read = read_policy(file.source, file.path, warn=False)
    policy = None if read.policy is None else by_words(read.policy)
    if policy is None or not policy.budgets:
        return file
    from ig_guardrail.costs.catalog import build_costs
    from ig_guardrail.guardrail import Guardrail
    from ig_guardrail.workbench.traffic.bench import text_engine

    try:
        built = build_costs(policy.cost_models, policy.asked, engine=None, base_dir=Path(file.path).parent)
        guardrail = Guardrail(text_engine("words"), policy, built)
        return replace(file, faults=(*file.faults, *_over_budget(guardrail, read)))
    except GuardrailError:  # what it needs cannot be had here; a start tells why
        return file


def by_words(policy: CompiledPolicy) -> CompiledPolicy:
    """The least that a policy asks of a text: what the words in it cost where nothing else is said against it.

    Expressions only rise with their scores, and a whole message is charged at its end, however it is cut into tokens.
    """
    specs = tuple(replace(one, otherwise=None) for one in policy.cost_models if one.kind == WEIGHS_WORDS)
    names = {one.name for one in specs}
    told = [one for one in policy.budgets if names & set(one.cost.models()) and (one.discount == 1 or not one.budget)]
    budgets = tuple(replace(one, cost=_least(one.cost, names), every=AT_THE_END) for one in told)
    used = {name for one in budgets for name in one.cost.models()}
    return replace(policy, cost_models=tuple(one for one in specs if one.name in used), budgets=budgets, prompt=None)


def _least(cost: Expression, names: set[str]) -> Expression:
    """An expression in which cost models of other names say that nothing is wrong."""
    if cost.op == "model":
        return cost if cost.model in names else NOTHING
    return replace(cost, args=tuple(_least(one, names) for one in cost.args))


def _over_budget(guardrail: Guardrail, policy: ReadPolicy) -> tuple[Diagnostic, ...]:
    """Messages that a start refuses, and those that one would refuse once budgets in shadow mode are enforced."""
    refused = guardrail.overdrawn_messages()
    shadows = {one.id for one in guardrail.policy.budgets if one.mode == "shadow"}
    later = [one for one in guardrail.overdrawn_messages(shadow=True) if one.budget in shadows] if shadows else []
    draft = policy.draft or PolicyDraft({})
    return placed([*_told(draft, refused, False), *_told(draft, later, True)], policy)


def _told(draft: PolicyDraft, found: Sequence[OverdrawnMessage], shadow: bool) -> Iterator[Diagnostic]:
    for one in found:
        yield over_budget(draft, one.name, one.budget, one.told, shadow)
