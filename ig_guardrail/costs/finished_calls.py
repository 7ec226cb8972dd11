"""Cost models over calls: each call of a tool is scored once, as a text of its own, at the token that completes it.

An event: 0.0 wherever no such call ends. Without a cost model to score calls with, each scores 1.0, which counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ig_guardrail.calls import Call, written
from ig_guardrail.costs.artifact import options_sha256
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.call_reader import CallReader
from ig_guardrail.costs.tools import name_pattern
from ig_guardrail.errors import ModelError
from ig_guardrail.types import CostModelSpec, Granularity, Piece, Prompt, Reading

Seen: TypeAlias = tuple[Prompt, CallReader]  # the prompt, and what was read of the answer


@dataclass(frozen=True, slots=True, eq=False)
class FinishedCalls:
    """See above. tool: a compiled pattern of names. judge: scores a call as it is written; None counts calls."""

    name: str
    hazards: tuple[str, ...]
    sha256: str
    tool: Any
    judge: CostModel | None = None
    granularity: Granularity = "token"
    reading: Reading = "event"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> Seen:
        return prompt, CallReader()

    def advance(self, steps: Sequence[tuple[Seen, Piece]]) -> list[tuple[Seen, tuple[float, ...]]]:
        found = [self._read(state, piece) for state, piece in steps]
        judged = iter(self._judge([(state[0], call) for state, call in found if call is not None]))
        nothing = (0.0,) * len(self.hazards)
        return [(state, nothing if call is None else next(judged)) for state, call in found]

    def _read(self, state: Seen, piece: Piece) -> tuple[Seen, Call | None]:
        """The state after a piece, and the call that the piece completes."""
        prompt, known = state
        reader, finished = known.read(piece.text)
        calls = [call for call in finished if self.tool.fullmatch(call.name) is not None]
        return (prompt, reader), calls[-1] if calls else None

    def _judge(self, calls: Sequence[tuple[Prompt, Call]]) -> list[tuple[float, ...]]:
        if self.judge is None:
            return [(1.0,) * len(self.hazards) for _ in calls]
        texts = [(self.judge.start(prompt), written(call.name, call.arguments)) for prompt, call in calls]
        judged = self.judge.advance([(state, Piece(text, ended=True)) for state, text in texts]) if texts else []
        return [scores for _, scores in judged]


def finished_calls(spec: CostModelSpec, models: Mapping[str, CostModel]) -> FinishedCalls:
    """The cost of calls whose tool's name fits the pattern `tool`, by the cost model `by`, if one is named.

    Raises ModelError if that reads hidden states, which a call by itself has none of.
    """
    tool, by = spec.options["tool"], spec.options.get("by")
    judge = models[by] if by else None
    if judge is not None and judge.layers:
        raise ModelError(
            f"cost model '{by}' reads hidden states, and a budget of scope `tool` scores calls as texts",
            where=f"cost_models.{by}",
            fix="use one that reads text, or another scope",
        )
    content = options_sha256("calls", hazards=spec.hazards, tool=tool, by=judge.sha256 if judge else None)
    return FinishedCalls(spec.name, spec.hazards, content, name_pattern(tool), judge)
