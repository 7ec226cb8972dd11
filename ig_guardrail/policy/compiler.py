"""From a policy's text to the one form in which it is used, and the hash that names it.

The normal form is JSON with sorted keys: defaults written out, presets and aliases resolved, no places, no comments.
Two texts that mean the same have the same normal form; a number that differs shows in it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ig_guardrail.costs.kinds.registry import KINDS, path_options
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, in_order, quoted
from ig_guardrail.policy.draft import PolicyDraft, search_settings
from ig_guardrail.policy.expression import Formula, reread, written
from ig_guardrail.policy.inheritance.merging import merge, moved
from ig_guardrail.policy.inheritance.parents import Parent, parent_files, parent_of, unfit_version, unsound
from ig_guardrail.policy.inheritance.tightening import Ancestor, loosened, not_there
from ig_guardrail.policy.language.budgets import BUDGET, COST_MODEL
from ig_guardrail.policy.language.policy import API_VERSION, KIND, POLICY
from ig_guardrail.policy.language.search import PLAIN
from ig_guardrail.policy.language.tools import ARGUMENT_RULE, TOOLS
from ig_guardrail.policy.messages import compiled_messages, normal_messages
from ig_guardrail.policy.sources import PolicySource, fetch, packaged_names
from ig_guardrail.policy.tools import by_call, tool_budgets, tool_models
from ig_guardrail.policy.validation.semantics import check_meaning
from ig_guardrail.policy.validation.structure import check_shape
from ig_guardrail.policy.validation.substitutions import swaps_of
from ig_guardrail.policy.yaml.decoding import decode, lines, readable
from ig_guardrail.policy.yaml.reader import read
from ig_guardrail.policy.yaml.tree import Table, YamlNode
from ig_guardrail.types import (
    Budget,
    CompiledPolicy,
    CostModelSpec,
    Expression,
    PromptRule,
    SearchSettings,
)
from ig_guardrail.types.hazards import spelled_out

BESIDE = frozenset({"P034", "P035", "P040", "P041"})  # faults that leave every value sound
IDLE = frozenset({"P101", "P114", "P129", "P131", "P132", "P143"})  # what they tell of is to be deleted where it stands
_COMMON = ("kind", "hazards", "timeout_ms", "on_error", "scale", "otherwise")


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """What a text is, with all that it extends.

    policy   None where it has errors
    tree     what it says and what it inherits; places know which file they are in
    draft    the sound values in it
    form     its normal form; None where it has errors
    faults   its own first, then those in files that it extends
    files    those that it extends, as far as they could be followed, the nearest first
    parents  the policies in them
    """

    file: str
    text: str
    faults: tuple[Diagnostic, ...]
    policy: CompiledPolicy | None = None
    tree: YamlNode | None = None
    draft: PolicyDraft | None = None
    form: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()
    parents: tuple[ReadPolicy, ...] = ()

    @property
    def folder(self) -> str:
        """Where its relative paths start."""
        return os.path.dirname(os.path.abspath(self.file))


def compile_text(
    text: str | bytes, file: str, *, look: bool = False, warn: bool = True
) -> tuple[CompiledPolicy | None, tuple[Diagnostic, ...]]:
    """The policy in a text, or None, and every fault in it, in the order of the file. Never raises.

    file  how faults call the text, and where folder paths in it start from
    warn  whether to tell what is doubtful, which takes longer than the rest
    look  whether to look for what it names outside of itself, as a start does: artifacts, folders, installed code
    """
    found = read_policy(text, file, look=look, warn=warn)
    return found.policy, found.faults


def read_policy(
    text: str | bytes, file: str, *, look: bool = False, warn: bool = True, line: tuple[str, ...] = ()
) -> ReadPolicy:
    """The same, with the tree of the policy and the policies that it extends.

    line: the files of policies that extend this one, the nearest first
    """
    own = ReadPolicy(file, readable(text), ())
    characters = decode(text)
    reading = None if isinstance(characters, Diagnostic) else read(characters)
    if reading is None or reading.tree is None:
        faults = [characters] if isinstance(characters, Diagnostic) else list(reading.faults if reading else ())
        return replace(own, faults=_told(faults, own))
    parent = parent_of(reading.tree, file, line)
    if isinstance(parent, tuple):
        return replace(own, faults=_told([*reading.faults, *parent], own), files=parent_files(reading.tree, file))
    above = read_policy(parent.source.content, parent.source.file, warn=warn, line=(file, *line)) if parent else None
    if parent and above:
        own = replace(own, files=(above.file, *above.files), parents=(above, *above.parents))
        if above.policy is None:
            faults = [*reading.faults, unsound(parent, above.faults)]
            return replace(own, faults=(*_told(faults, own), *placed(above.faults, own)))
    return _checked(own, reading.tree, reading.faults, parent, look, warn)


def _checked(
    own: ReadPolicy, tree: YamlNode, unread: Sequence[Diagnostic], parent: Parent | None, look: bool, warn: bool
) -> ReadPolicy:
    faults = list(unread)
    if parent is not None and isinstance(tree, Table):
        tree, unfit = _inherited(tree, own.parents[0], own.folder)
        version = unfit_version(parent, str(own.parents[0].policy and own.parents[0].policy.version))
        faults += [*unfit, *([version] if version else [])]
    draft, found = check_shape(tree)
    foreign = [fault for fault in found if fault.code == "P012"]
    if foreign:
        return replace(own, faults=_told([*faults, *foreign], own))
    folder = Path(own.folder)
    swaps, strange = swaps_of(draft, folder)
    faults += [*found, *check_meaning(draft), *strange]
    if warn and {fault.code for fault in faults} <= BESIDE:
        faults += _doubts(draft)
    faults += _absences(draft, folder) if look else ()
    own = replace(own, tree=tree, draft=draft)
    if any(fault.severity == "error" for fault in faults):
        return replace(own, faults=_told(faults, own))
    form = {**_normal(draft), **({"swaps": dict(sorted(swaps.items()))} if swaps else {})}
    faults += [*not_there(form, draft), *_loosened(form, own)]
    if any(fault.severity == "error" for fault in faults):
        return replace(own, faults=_told(faults, own))
    policy = _compiled(form, own)
    faults += [*_as_packaged(draft, policy), *_stale(draft, policy, folder)] if look else []
    return replace(own, policy=policy, form=form, faults=_told(faults, own))


def _doubts(draft: PolicyDraft) -> tuple[Diagnostic, ...]:
    """What is doubtful. What tells it is large, and read where it is asked for: no answer waits for it."""
    from ig_guardrail.policy.validation.cautions.subjects import check_doubts

    return check_doubts(draft)


def _absences(draft: PolicyDraft, folder: Path) -> Iterator[Diagnostic]:
    from ig_guardrail.policy.validation.presence import check_presence

    return check_presence(draft, folder)


def _stale(draft: PolicyDraft, policy: CompiledPolicy, folder: Path) -> Iterator[Diagnostic]:
    from ig_guardrail.policy.calibration import stale_calibrations

    return stale_calibrations(draft, policy, folder)


def _inherited(tree: Table, above: ReadPolicy, folder: str) -> tuple[Table, tuple[Diagnostic, ...]]:
    """A policy's tree with what it inherits, and the faults of what it would change and its parent does not have."""
    assert isinstance(above.tree, Table)
    assert above.draft is not None
    return merge(tree, moved(above.tree, above.draft, above.file, above.folder, folder))


def _loosened(form: Mapping[str, Any], own: ReadPolicy) -> Iterator[Diagnostic]:
    """What is looser than in one of the policies that it extends, each with its own leave; told once a place."""
    assert own.draft is not None
    for one in own.parents:
        if one.draft is not None and one.form is not None:
            yield from loosened(form, own.draft, Ancestor(one.file, one.folder, one.draft, one.form), own.folder)


def _told(faults: Sequence[Diagnostic], own: ReadPolicy) -> tuple[Diagnostic, ...]:
    """Faults with their files; without those of a parent that are there when it is read alone.

    What is stricter makes parts of a parent idle, and a policy can delete nothing of its parent: that is no fault.
    """
    before = {(fault.file, *_key(fault)) for one in own.parents for fault in one.faults}
    new = [fault for fault in in_order(list(faults)) if (fault.file, *_key(fault)) not in before]
    return placed([fault for fault in new if not (fault.file and fault.code in IDLE)], own)


def placed(faults: Iterable[Diagnostic], own: ReadPolicy) -> tuple[Diagnostic, ...]:
    """Faults of a policy with their files; those in files that it extends with the lines they stand on."""
    sources = {one.file: lines(one.text) for one in own.parents}
    excerpts = {(file, place): line for file, source in sources.items() for place, line in enumerate(source, 1)}
    return tuple(
        replace(one, file=one.file or own.file, excerpt=excerpts.get((one.file, one.line), one.excerpt))
        for one in faults
    )


def _key(fault: Diagnostic) -> tuple[Any, ...]:
    return fault.code, fault.line, fault.column, fault.message


def _as_packaged(draft: PolicyDraft, policy: CompiledPolicy) -> Iterator[Diagnostic]:
    """A policy that bears the name of a packaged one, and is not that one."""
    if policy.name not in packaged_names():
        return
    source = fetch(policy.name)
    packaged = compile_text(source.content, source.file, warn=False)[0] if isinstance(source, PolicySource) else None
    if packaged is not None and packaged.sha256 != policy.sha256:
        label = "a policy of this name comes with the package"
        advice = "choose a name of your own; receipts call the policy by it"
        message = f"{quoted(policy.name)} is the name of another policy"
        yield draft.spot("metadata", "name").fault("P145", message, label=label, help=advice)


def _compiled(form: Mapping[str, Any], own: ReadPolicy) -> CompiledPolicy:
    text = json.dumps(form, sort_keys=True, separators=(",", ":"), allow_nan=False)
    loosenable = own.draft.value("loosenable") if own.draft else None
    return replace(policy_in(text, own.folder), parents=own.files, loosenable=tuple(loosenable or ()))


def policy_in(text: str, folder: str) -> CompiledPolicy:
    """The policy whose normal form a text is, as it was compiled; nothing is checked again.

    folder: where folder paths in it start from
    """
    form = json.loads(text)
    head = form["metadata"]
    specs = [_spec(name, model, folder) for name, model in sorted(form["cost_models"].items())]
    asked = [*(one["cost"] for one in form["budgets"]), *([form["prompt"]["cost"]] if form["prompt"] else [])]
    costs = {cost: reread(cost) for cost in asked}
    budgets = (*(_budget(one, costs[one["cost"]]) for one in form["budgets"]), *tool_budgets(form))
    return CompiledPolicy(
        name=head["name"],
        version=head["version"],
        owners=tuple(head["owners"]),
        taxonomy=form["taxonomy"],
        cost_models=(*specs, *tool_models(form, specs, budgets)),
        budgets=budgets,
        prompt=PromptRule(**{**form["prompt"], "cost": costs[form["prompt"]["cost"]]}) if form["prompt"] else None,
        search=SearchSettings(**form["search"]),
        messages=compiled_messages(form["messages"]),
        allow_unguarded=form["allow_unguarded"],
        normal_form=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        swaps=form.get("swaps", {}),
        reasoning=form.get("reasoning", "charge"),
    )


def _normal(draft: PolicyDraft) -> dict[str, Any]:
    """The normal form, as the values that JSON knows."""
    values = draft.values
    prompt = values.get("prompt")
    search = search_settings(draft)
    tools = {"tools": _filled_tools(values["tools"])} if values.get("tools") else {}
    ignored = {"reasoning": "ignore"} if values.get("reasoning") == "ignore" else {}
    return {
        **tools,
        **ignored,
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"owners": [], **values["metadata"]},
        "taxonomy": values.get("taxonomy", POLICY.fields["taxonomy"].default),
        "cost_models": {name: _filled_model(model) for name, model in values["cost_models"].items()},
        "budgets": [_filled_budget(one, values["cost_models"]) for one in values["budgets"]],
        "prompt": {**prompt, "cost": written(prompt["cost"].expression)} if prompt else None,
        "output": {"on_exceed": ["end"] if search["strategy"] in PLAIN else ["search", "end"]},
        "search": search,
        "messages": normal_messages(values["messages"]),
        "allow_unguarded": values.get("allow_unguarded", False),
    }


def _filled_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults filled, as the kind tells it. `scale` and `otherwise` have none."""
    filled = KINDS[model["kind"]].normal({**COST_MODEL.sections[model["kind"]].defaults(), **model})
    return {key: value for key, value in filled.items() if value is not None or key not in ("scale", "otherwise")}


def _filled_budget(budget: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults filled, the expression in its one spelling, and every hazard that its cost models score by name."""
    formula: Formula = budget["cost"]
    scored = list(dict.fromkeys(hazard for name in formula.expression.models() for hazard in models[name]["hazards"]))
    hazards = spelled_out(budget["hazards"], scored)
    return {**BUDGET.defaults(), **budget, "cost": written(formula.expression), "hazards": hazards}


def _filled_tools(tools: Mapping[str, Any]) -> dict[str, Any]:
    rules = [{**ARGUMENT_RULE.defaults(), **rule} for rule in tools.get("arguments") or ()]
    return {**TOOLS.defaults(), **tools, "arguments": rules}


def _spec(name: str, model: Mapping[str, Any], folder: str) -> CostModelSpec:
    places = {key: os.path.normpath(os.path.join(folder, model[key])) for key in path_options(model)}
    own = {key: value for key, value in {**model, **places}.items() if key not in _COMMON}
    return CostModelSpec(
        name=name,
        kind=model["kind"],
        hazards=tuple(model["hazards"]),
        options={key: tuple(value) if isinstance(value, list) else value for key, value in own.items()},
        timeout_s=model["timeout_ms"] / 1000,
        on_error=model["on_error"],
        scale=(model["scale"]["from"], model["scale"]["to"]) if "scale" in model else None,
        otherwise=model.get("otherwise"),
    )


def _budget(one: Mapping[str, Any], cost: Expression) -> Budget:
    budget = Budget(**{**one, "cost": cost, "hazards": tuple(one["hazards"])})
    return by_call(budget) if budget.scope == "tool" else budget
