"""Cost models that this package did not make: what they declare is checked once, and then they are held to it.

Those of kind `provided` are handed in by the program. Those of kind `python` are found in installed distributions, by
the names that these declare: a policy can name only what one offers in the group `GROUP`, so none has other code run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_args

from ig_guardrail.causes import log_cause, name_cause
from ig_guardrail.costs.base import GROUP, CostModel, FoldState
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.workers import cost_failure
from ig_guardrail.errors import CostFailure, ModelError, brief
from ig_guardrail.types import CostModelSpec, Granularity, Piece, Prompt, ScoreKind


@dataclass(frozen=True, slots=True, eq=False)
class ForeignCost:
    """Someone else's cost model under a policy's name, with the declarations that it was taken in with."""

    model: CostModel = field(repr=False)
    name: str
    hazards: tuple[str, ...]
    sha256: str
    granularity: Granularity
    reading: ScoreKind
    layers: tuple[int, ...]
    longest_match: int

    def start(self, prompt: Prompt) -> FoldState:
        return self._called(self.model.start, prompt)

    def advance(self, steps: Sequence[tuple[FoldState, Piece]]) -> list[tuple[FoldState, tuple[float, ...]]]:
        answers: list[tuple[FoldState, tuple[float, ...]]] = self._called(self.model.advance, steps)
        return answers

    def _called(self, method: Callable[..., Any], given: Any) -> Any:
        """What a method gives. Raises CostFailure in our words: an error of someone else's may quote what it read."""
        try:
            return method(given)
        except Exception as error:
            log_cause(error)
            failure = error if self._speaks_for_us and isinstance(error, CostFailure) else None
            reason = name_cause(error)
        if failure is not None:
            failure.__cause__ = failure.__context__ = None
        raise failure or cost_failure(self.name, reason)

    @property
    def _speaks_for_us(self) -> bool:
        """Whether the cost model is one of this package, which a program hands in."""
        return type(self.model).__module__.partition(".")[0] == __name__.partition(".")[0]


def take_in(spec: CostModelSpec, model: Any, **origin: object) -> ForeignCost:
    """A cost model for an entry of a policy. Raises ModelError that says which of its declarations is wrong.

    origin: what tells it from others beside its own `sha256`
    """
    for part in ("start", "advance"):
        if not callable(getattr(model, part, None)):
            raise _unfit(spec, f"it has no method `{part}`")
    sha256 = _declared(spec, model, "sha256", "a text", lambda value: isinstance(value, str) and value != "")
    return ForeignCost(
        model=model,
        name=spec.name,
        hazards=_declared(spec, model, "hazards", f"{spec.hazards}, as in the policy", lambda it: it == spec.hazards),
        sha256=options_sha256(spec.kind, model=sha256, hazards=spec.hazards, **origin),
        granularity=_declared(spec, model, "granularity", _one_of(Granularity), get_args(Granularity).__contains__),
        reading=_declared(spec, model, "reading", _one_of(ScoreKind), get_args(ScoreKind).__contains__),
        layers=_declared(spec, model, "layers", "a tuple of layer numbers, () for text only", _are_layers),
        longest_match=_declared(spec, model, "longest_match", "a count of characters, 0 for none", _is_count),
    )


def _declared(spec: CostModelSpec, model: Any, name: str, wanted: str, fits: Callable[[Any], bool]) -> Any:
    value = getattr(model, name, None)
    if not fits(value):
        raise _unfit(spec, f"its `{name}` is {value!r}, and must be {wanted}")
    return value


def _one_of(words: Any) -> str:
    return " or ".join(f"'{word}'" for word in get_args(words))


def _are_layers(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_is_count, value))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _unfit(spec: CostModelSpec, why: str) -> ModelError:
    return ModelError(
        "this is not a cost model for this entry of the policy",
        where=f"cost_models.{spec.name}",
        why=why,
        fix="make it as `ig_guardrail.costs.base.CostModel` describes, or change the policy",
    )


def provided_cost_model(spec: CostModelSpec, given: Mapping[str, CostModel]) -> ForeignCost:
    """The one for an entry of kind `provided`. Raises ModelError if it was not handed in, or is not one."""
    if spec.name not in given:
        raise ModelError(
            f"the program gives no cost model '{spec.name}'",
            where=f"cost_models.{spec.name}",
            why="the policy says `kind: provided`, and without it nothing would be judged by this name",
            fix=f"pass `cost_models={{'{spec.name}': ...}}` where the policy is opened",
        )
    return take_in(spec, given[spec.name])


def check_provided(specs: Sequence[CostModelSpec], given: Mapping[str, CostModel]) -> None:
    """Raises ModelError for a cost model that the policy does not ask the program for."""
    asked = [spec.name for spec in specs if spec.kind == "provided"]
    for name in given:
        if name not in asked:
            raise ModelError(
                f"the policy does not ask the program for a cost model '{name}'",
                where=f"cost_models.{name}",
                why="a program cannot replace what a policy names itself, only give what it leaves open",
                fix=f"leave it out; it leaves open: {', '.join(asked) or 'nothing'}",
            )


def installed_cost_model(spec: CostModelSpec) -> ForeignCost:
    """What the entry point of a `python` entry makes of (name, hazards, options).

    Raises ModelError if nothing installed, or more than one distribution, declares it, or it makes no cost model.
    """
    entry = _entry_point(spec)
    try:
        model = entry.load()(spec.name, spec.hazards, dict(spec.options.get("options") or {}))
    except Exception as error:
        raise ModelError(
            f"the entry point '{entry.name}' made no cost model",
            where=f"cost_models.{spec.name}",
            why=f"{entry.value} raised {type(error).__name__}: {brief(error)}",
            fix=f"repair it, or install another version of {_distribution(entry)}",
        ) from error
    return take_in(spec, model, entry_point=entry.name, distribution=_distribution(entry), options=spec.options)


def distribution_of(spec: CostModelSpec) -> str:
    """Name and version of the distribution that a `python` entry's cost model comes from. Raises ModelError."""
    return _distribution(_entry_point(spec))


def _entry_point(spec: CostModelSpec) -> EntryPoint:
    wanted = str(spec.options["entry_point"])
    offered = entry_points(group=GROUP)
    found = [entry for entry in offered if entry.name == wanted]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted({entry.name for entry in offered})) or "none"
    raise ModelError(
        f"two distributions declare a cost model '{wanted}'" if found else f"there is no cost model '{wanted}'",
        where=f"cost_models.{spec.name}.entry_point",
        why=f"declared by {' and '.join(map(_distribution, found))}" if found else f"those installed offer: {names}",
        fix="uninstall one of them" if found else f"install what declares it in the group `{GROUP}`",
    )


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown distribution"
