"""Everything in which two policies differ by what they do, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from ig_guardrail.policy.expression import written
from ig_guardrail.policy.inheritance.tightening import HARSHER
from ig_guardrail.types import Budget, CompiledPolicy, CostModelSpec
from ig_guardrail.types.hazards import HAZARDS
from ig_guardrail.workbench.meaning.comparing import ASSUMED, Comparison, compare
from ig_guardrail.workbench.meaning.sources import charged, identity, open_books, spec_of
from ig_guardrail.workbench.meaning.tool_calls import CallComparison, compare_calls

Direction: TypeAlias = Literal["stricter", "looser", "other"]

PROMPT = "prompt"
AS_STRICT = ("same", "stricter")
_ORDERED: Mapping[str, tuple[Any, ...]] = {  # values of a setting, each stricter than the one before it
    "on_exceed": HARSHER,
    "allow_unguarded": (True, False),
    "on_error": ("open", "closed"),
    "reasoning": ("ignore", "charge"),
}


@dataclass(frozen=True, slots=True)
class HazardDifference:
    """One hazard, the enforced budgets of A and of B that name it, and how they compare."""

    hazard: str
    title: str
    budgets: tuple[tuple[str, ...], tuple[str, ...]]
    found: Comparison


@dataclass(frozen=True, slots=True)
class Change:
    """A part that is not the same, as a policy writes it; None where it does not have it.

    direction  what it makes of B, as far as the setting alone tells
    proved     whether B is as strict as A in it
    """

    part: str
    a: Any
    b: Any
    direction: Direction = "other"
    proved: bool = True


@dataclass(frozen=True, slots=True)
class Differences:
    """What two policies differ in.

    hazards   each hazard that a budget of either names
    together  all budgets at once
    prompt    whether an input turn exceeds the prompt check
    calls     rules for tools
    changes   in other settings that change what a policy does
    """

    hazards: tuple[HazardDifference, ...]
    together: Comparison
    prompt: Comparison
    calls: CallComparison
    changes: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """Whether it is proved that both do the same."""
        budgets = [self.together, self.prompt, *(one.found for one in self.hazards)]
        verdicts = [self.calls.verdict, *(one.verdict for one in budgets)]
        return not self.changes and all(verdict == "same" for verdict in verdicts)

    @property
    def loosened(self) -> tuple[str, ...]:
        """The parts in which B is not proved to be as strict as A."""
        verdicts = [(one.hazard, one.found.verdict) for one in self.hazards]
        verdicts += [("all budgets together", self.together.verdict), ("prompt check", self.prompt.verdict)]
        parts = [part for part, verdict in (*verdicts, ("tools", self.calls.verdict)) if verdict not in AS_STRICT]
        return (*parts, *(one.part for one in self.changes if one.direction == "looser" or not one.proved))


def differences(a: CompiledPolicy, b: CompiledPolicy) -> Differences:
    """Of two policies, by what they do with the same scores."""
    named = [_by_hazard(one) for one in (a, b)]
    hazards = sorted({*named[0], *named[1]})
    return Differences(
        hazards=tuple(
            HazardDifference(one, title_of(one), (named[0].get(one, ()), named[1].get(one, ())), compare(a, b, one))
            for one in hazards
        ),
        together=compare(a, b),
        prompt=compare(_of_prompt(a), _of_prompt(b)),
        calls=compare_calls(a, b),
        changes=tuple(_changes(a, b)),
    )


def title_of(hazard: str) -> str:
    """A hazard in words; "" for one that is not of the taxonomy."""
    return HAZARDS.get(hazard.split(".")[0], "")


def _by_hazard(policy: CompiledPolicy) -> dict[str, tuple[str, ...]]:
    budgets = list(charged(policy))
    names = {hazard for one in budgets for hazard in one.hazards if hazard != "x.tools"}
    return {hazard: tuple(one.id for one in budgets if hazard in one.hazards) for hazard in names}


def _of_prompt(policy: CompiledPolicy) -> CompiledPolicy:
    """The policy with its prompt check as a ban: a turn exceeds it where an answer of that score would be denied."""
    rule = policy.prompt
    if rule is None:
        return replace(policy, budgets=())
    hazards = tuple(hazard for name in rule.cost.models() for hazard in spec_of(policy, name).hazards)
    return replace(policy, budgets=(Budget(PROMPT, hazards, rule.cost, rule.threshold),))


def _changes(a: CompiledPolicy, b: CompiledPolicy) -> Iterator[Change]:
    if a.prompt and b.prompt:
        yield from _pairs("prompt", {"on_exceed": a.prompt.on_exceed}, {"on_exceed": b.prompt.on_exceed})
    yield from _pairs("search", asdict(a.search), asdict(b.search))
    yield from _pairs("search.swaps", a.swaps, b.swaps)
    yield from _starts(a, b)
    for key in ("reasoning", "allow_unguarded"):
        yield from _pairs("", {key: getattr(a, key)}, {key: getattr(b, key)})
    yield from _pairs("messages", _said(a), _said(b))
    yield from _pairs("shadow budgets", _shadows(a), _shadows(b))
    yield from _cost_models(a, b)
    yield from _of_names(a, b)
    if set(a.loosenable) != set(b.loosenable):
        more = not set(b.loosenable) <= set(a.loosenable)
        yield Change("loosenable", list(a.loosenable), list(b.loosenable), "looser" if more else "stricter")


def _pairs(part: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys([*a, *b]):
        if a.get(key) != b.get(key):
            place = f"{part}.{key}" if part else key
            yield Change(place, a.get(key), b.get(key), _direction(key.rpartition(".")[2], a.get(key), b.get(key)))


def _direction(key: str, a: Any, b: Any) -> Direction:
    """What a setting makes of a policy, where that is known whatever the rest says."""
    values = _ORDERED.get(key, ())
    if a in values and b in values:
        return "looser" if values.index(b) < values.index(a) else "stricter"
    if key == "approved":  # what was approved is shown, whatever a budget says of it
        return "stricter" if b is None else "looser"
    return "other"


def _of_names(a: CompiledPolicy, b: CompiledPolicy) -> Iterator[Change]:
    """What names lead to: what requests have to name, where spending is kept, and which hazards a denial is told by."""
    own, other = (sorted(_demanded(one)) for one in (a, b))
    if own != other:
        yield Change("requests must name", own, other)
    kept, new = (_accounts(one) for one in (a, b))
    if set(kept) - set(new) and set(new) - set(kept):
        yield Change("what is spent is kept as", kept, new, proved=False)
    enforced = [{one.id: one.hazards for one in charged(policy)} for policy in (a, b)]
    for name in enforced[0].keys() & enforced[1].keys():
        if set(enforced[0][name]) != set(enforced[1][name]):
            yield Change(f"budgets.{name}.hazards", list(enforced[0][name]), list(enforced[1][name]))


def _shared(policy: CompiledPolicy) -> list[Budget]:
    return [one for one in policy.budgets if one.mode == "enforce" and one.scope != "response"]


def _demanded(policy: CompiledPolicy) -> set[str]:
    """What a request has to name, since a budget is shared by it."""
    return {"tenant" if one.scope == "tenant" else "conversation" for one in _shared(policy)}


def _accounts(policy: CompiledPolicy) -> list[str]:
    """By which names a ledger knows what was spent: another name begins at zero. Of a ban nothing is spent."""
    whose = {one.id: "tenant" if one.scope == "tenant" else "conversation" for one in _shared(policy) if one.budget}
    return [f"{name} of {policy.name}, by {kind}" for name, kind in sorted(whose.items())]


def _said(policy: CompiledPolicy) -> dict[str, Any]:
    """Every message by its name, who approved it, and what decides where several hazards were denied."""
    texts = {one.name: one.text for one in policy.messages}
    approved = {f"{one.name}.approved": asdict(one.approved) for one in policy.messages if one.approved}
    severity = {"severity": list(policy.messages.severity)} if policy.messages.severity else {}
    return {**texts, **approved, **severity}


def _starts(a: CompiledPolicy, b: CompiledPolicy) -> Iterator[Change]:
    """The thresholds that a search starts at, which are not told by what is denied."""
    books = open_books((a, b), None, ASSUMED[0])
    patterns = {source.name for source in books.sources if source.whole}  # a match is above any threshold
    own, other = (
        {(line.cost, line.rule.budget.threshold) for line in lines if not patterns >= set(line.cost.models())}
        for lines in books.sides
    )
    searching = any(one.search.strategy not in ("cut", "none") for one in (a, b))
    if searching and own != other:
        gone, new = own - other, other - own
        numbers = [sorted({at for _, at in lines}) for lines in (gone, new)]
        costs = [sorted(f"{at:g} by {written(cost)}" for cost, at in lines) for lines in (gone, new)]
        yield Change("search starts above", *(numbers if numbers[0] != numbers[1] else costs))


def _shadows(policy: CompiledPolicy) -> dict[str, Any]:
    """Budgets that are recorded alone, as the policy writes them."""
    return {
        one.id: {key: value for key, value in asdict(one).items() if key != "cost"} | {"cost": identity_of(policy, one)}
        for one in charged(policy, "shadow")
    }


def identity_of(policy: CompiledPolicy, budget: Budget) -> list[str]:
    """The cost models behind a budget."""
    return [identity(policy, name) for name in budget.cost.models()]


def _cost_models(a: CompiledPolicy, b: CompiledPolicy) -> Iterator[Change]:
    """Entries by name, but for those that are the same under another name."""
    own, others = (
        {spec.name: spec for spec in one.cost_models if spec.kind not in ("tools", "calls")} for one in (a, b)
    )
    renamed = {_content(spec) for name, spec in own.items() if name not in others} & {
        _content(spec) for name, spec in others.items() if name not in own
    }
    for name in dict.fromkeys([*own, *others]):
        one, other = own.get(name), others.get(name)
        if one is None or other is None:
            spec = one or other
            if spec is not None and _content(spec) not in renamed:
                yield Change(f"cost_models.{name}", one and one.kind, other and other.kind)
        else:
            yield from (
                _judged(one, other, change) for change in _pairs(f"cost_models.{name}", _entry(one), _entry(other))
            )


def _judged(a: CostModelSpec, b: CostModelSpec, change: Change) -> Change:
    """A change of an entry, by what becomes of an answer where it fails, or cannot serve."""
    key = change.part.rpartition(".")[2]
    if key == "timeout_s" and (a.on_error, b.on_error) == ("open", "open"):  # past it, an answer goes on unjudged
        return replace(change, direction="looser" if b.timeout_s < a.timeout_s else "stricter")
    return replace(change, proved=key != "otherwise" or b.otherwise is None)


def _entry(spec: CostModelSpec) -> dict[str, Any]:
    entry = {**asdict(spec), **{f"options.{key}": value for key, value in spec.options.items()}}
    return {key: value for key, value in entry.items() if key not in ("name", "options")}


def _content(spec: CostModelSpec) -> str:
    return repr(sorted(_entry(spec).items()))
