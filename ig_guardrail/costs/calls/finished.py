"""Cost models over calls: each call of a tool is scored once, as a text of its own, at the token that completes it.

An event: 0.0 wherever no such call ends. Without a cost model to score calls with, each scores 1.0, which counts them.
A call that is closed and cannot be read may be of any tool, so it counts for each. Where several calls end in one
piece, the worst one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.calls.decoded import fired_rules, read_decoded
from ig_guardrail.costs.calls.reader import CallReader, reader_of
from ig_guardrail.costs.calls.rules import name_pattern
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.errors import ModelError
from ig_guardrail.text.call_notation import OURS
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import CostModelSpec, Granularity, Piece, Prompt, ScoreKind, ToolCall

FiredRules: TypeAlias = tuple[str | int, ...]
FinishedState: TypeAlias = tuple[Prompt, CallReader, FiredRules]  # and the rules that the newest score rests on


@dataclass(frozen=True, slots=True, eq=False)
class FinishedCalls:
    """See above. tool: a compiled pattern of names. judge: scores a call as it is written; None counts calls."""

    name: str
    hazards: tuple[str, ...]
    sha256: str
    tool: Any
    judge: CostModel | None = None
    granularity: Granularity = "token"
    reading: ScoreKind = "event"
    layers: tuple[int, ...] = ()
    longest_match: int = 0

    def start(self, prompt: Prompt) -> FinishedState:
        return prompt, reader_of(prompt.notation), ()

    def advance(self, steps: Sequence[tuple[FinishedState, Piece]]) -> list[tuple[FinishedState, tuple[float, ...]]]:
        states = [(prompt, reader.read(piece)) for (prompt, reader, _), piece in steps]
        ended = [[call for call in reader.made if self._is_of_tool(call)] for _, reader in states]
        judged = iter(
            self._judge([(prompt, call) for (prompt, _), calls in zip(states, ended, strict=True) for call in calls])
        )
        return [self._after(*state, [next(judged) for _ in calls]) for state, calls in zip(states, ended, strict=True)]

    def fired(self, state: FinishedState) -> FiredRules:
        """The rules that the score which came with a state rests on, where the cost model of calls can say."""
        return state[2]

    def _after(
        self, prompt: Prompt, reader: CallReader, judged: Sequence[tuple[FiredRules, tuple[float, ...]]]
    ) -> tuple[FinishedState, tuple[float, ...]]:
        fired = tuple(dict.fromkeys(rule for rules, _ in judged for rule in rules))
        return (prompt, reader, fired), self._worst([scores for _, scores in judged])

    def _is_of_tool(self, call: ToolCall | str) -> bool:
        return isinstance(call, str) or self.tool.fullmatch(call.name) is not None

    def _worst(self, scores: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
        return tuple(map(max, zip(*scores, strict=True))) if scores else (0.0,) * len(self.hazards)

    def _judge(self, calls: Sequence[tuple[Prompt, ToolCall | str]]) -> list[tuple[FiredRules, tuple[float, ...]]]:
        """Of each call the rules it breaks, and its scores."""
        if self.judge is None:
            return [((), (1.0,) * len(self.hazards)) for _ in calls]
        steps = [(self.judge.start(replace(prompt, notation=OURS)), _alone(call)) for prompt, call in calls]
        return (
            [(fired_rules(self.judge, state), scores) for state, scores in self.judge.advance(steps)] if steps else []
        )


def _alone(call: ToolCall | str) -> Piece:
    """A call as a text of its own, in the notation that is the same for all models."""
    text = call if isinstance(call, str) else format_call(call.name, call.arguments, call.id)
    return Piece(text, ended=True, words=0)


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
    return FinishedCalls(spec.name, spec.hazards, content, name_pattern(tool), read_decoded(judge) if judge else None)
