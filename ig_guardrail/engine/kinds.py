"""What an engine is asked to open, and what each kind of engine says of itself before it does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import RequestError

if TYPE_CHECKING:
    from ig_guardrail.engine.loading.facts import ModelFacts

EngineOptions: TypeAlias = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """A model and how it runs, as `GuardrailSpec` lists them. options: the engine's own, such as its threads."""

    model: str
    device: str = "auto"
    dtype: str = "auto"
    weights: str = "auto"
    revision: str | None = None
    context: int | None = None
    options: EngineOptions = field(default_factory=dict)

    def check_options(self, engine: str, known: Collection[str]) -> None:
        """Raises RequestError for an option that an engine does not know."""
        unknown = [name for name in self.options if name not in known]
        if unknown:
            raise RequestError(
                f"engine '{engine}' has no option '{unknown[0]:.80}'",
                where="engine_options",
                why="what an engine does not know, it would not do",
                fix=f"use one of: {', '.join(sorted(known))}" if known else "leave out `engine_options`",
            )


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One way to run a model.

    about  in a few words, what it runs and where
    open   the engine of a choice; one that is open already may be shared. What is heavy is imported here.
           Raises MissingExtra, ModelError, RequestError.
    fits   whether `engine="auto"` takes it for a model of that name; decided by the name and by what is installed
    exits  whether its engines can be given an early exit
    facts  what the files of a model say to this engine; None: what they say to `transformers`
    """

    name: str
    about: str
    open: Callable[[EngineChoice], Engine]
    fits: Callable[[str], bool]
    exits: bool = False
    facts: Callable[[str], ModelFacts] | None = None
