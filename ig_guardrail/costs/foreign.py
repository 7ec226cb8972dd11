"""Cost models that this package did not make: what they declare is checked once, and then they are held to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from ig_guardrail.causes import named, note
from ig_guardrail.costs.artifact import options_sha256
from ig_guardrail.costs.base import CostModel, State
from ig_guardrail.costs.workers import cost_failure
from ig_guardrail.errors import CostFailure, ModelError
from ig_guardrail.types import CostModelSpec, Granularity, Piece, Prompt, Reading


@dataclass(frozen=True, slots=True, eq=False)
class ForeignCost:
    """Someone else's cost model under a policy's name, with the declarations that it was taken in with."""

    model: CostModel = field(repr=False)
    name: str
    hazards: tuple[str, ...]
    sha256: str
    granularity: Granularity
    reading: Reading
    layers: tuple[int, ...]
    longest_match: int

    def start(self, prompt: Prompt) -> State:
        return self._called(self.model.start, prompt)

    def advance(self, steps: Sequence[tuple[State, Piece]]) -> list[tuple[State, tuple[float, ...]]]:
        answers: list[tuple[State, tuple[float, ...]]] = self._called(self.model.advance, steps)
        return answers

    def _called(self, method: Callable[..., Any], given: Any) -> Any:
        """What a method gives. Raises CostFailure in our words: an error of someone else's may quote what it read."""
        try:
            return method(given)
        except Exception as error:
            note(error)
            failure = error if self._speaks_for_us and isinstance(error, CostFailure) else None
            reason = named(error)
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
        reading=_declared(spec, model, "reading", _one_of(Reading), get_args(Reading).__contains__),
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
