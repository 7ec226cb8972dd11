"""A guardrail over text that is written elsewhere, and what a request to it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ig_guardrail.assembly import folder_of, guard_text
from ig_guardrail.costs.base import CostModel
from ig_guardrail.engine.reading import Reading
from ig_guardrail.engine.streamed import StreamedEngine
from ig_guardrail.errors import EngineError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import Ledger, ledger_at
from ig_guardrail.policy import load_policy
from ig_guardrail.types import CompiledPolicy, Sampling

LONGEST = 16_384  # pieces of one answer, by default


def text_guardrail(
    policy: str | Path | CompiledPolicy,
    ledger: str | Path | Ledger | None = None,
    cost_models: Mapping[str, CostModel] | None = None,
) -> Guardrail:
    """The guardrail of a policy (file, name or value), to be used `over` an engine for each request.

    cost_models: those that the policy leaves to the program (`kind: given`), by name

    Raises PolicyError; ModelError if a budget is of hidden states.
    """
    compiled = load_policy(policy)
    return guard_text(StreamedEngine("", _nothing), compiled, folder_of(policy), ledger_at(ledger), cost_models)


class TextOpening:
    """A text guardrail that is opened at once, and copied by what it was opened from.

    A copy in this process is the same one; one that was pickled is opened again where it is read.
    """

    def __init__(
        self,
        policy: str | Path | CompiledPolicy,
        ledger: str | Path | Ledger | None = None,
        cost_models: Mapping[str, CostModel] | None = None,
    ) -> None:
        self._given = (policy, ledger, cost_models)
        self.guardrail = text_guardrail(policy, ledger, cost_models)

    def __deepcopy__(self, memo: dict[int, Any]) -> TextOpening:
        return self

    def __reduce__(self) -> tuple[type[TextOpening], tuple[Any, ...]]:
        return TextOpening, self._given


def sampling(longest: int, stop: tuple[str, ...] = ()) -> Sampling:
    """How others draw is theirs to say; here an answer is only ended, at a stop string or after `longest` pieces."""
    return Sampling(temperature=1.0, top_p=1.0, stop=stop, max_tokens=longest)


def _nothing() -> Reading:
    raise EngineError("there is no answer to read", where="engine", fix="use the guardrail `over` an engine")
