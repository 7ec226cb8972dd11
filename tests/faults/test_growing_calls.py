"""Cost models over calls keep of a growing answer what is new in it, in memory that does not grow by its square."""

from __future__ import annotations

import tracemalloc

import pytest

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.calls.finished import finished_calls
from ig_guardrail.costs.calls.rules import tool_rules
from ig_guardrail.text.calls import OPEN
from ig_guardrail.types import CostModelSpec, Piece, Prompt

LIMIT = CostModelSpec("calls", "calls", ("x",), {"tool": "pay*"}, timeout_s=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("model", [finished_calls(LIMIT, {}), tool_rules("tools", ("x",), {"deny": ["pay"]})])
@pytest.mark.parametrize("begun", ["", OPEN + '{"name": "say", "arguments": {"text": "'])
def test_states_of_a_long_answer_share_what_they_know(model: CostModel, begun: str) -> None:
    """All states are kept, as for a search; the memory of twice as many is about twice as much."""

    def held(pieces: int) -> int:
        state = model.start(Prompt((), (1,)))
        kept = []
        tracemalloc.start()
        for number in range(pieces):
            ((state, _),) = model.advance([(state, Piece(begun if number == 0 else f" word{number:06}"))])
            kept.append(state)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    assert held(2_000) < 3 * held(1_000)
