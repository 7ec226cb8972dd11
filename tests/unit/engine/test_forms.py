"""Forms as networks: ways to an end are known of JSON that is laid out as ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ig_guardrail.engine.grammar.lark_network import net_of
from ig_guardrail.engine.grammar.network import Unread
from ig_guardrail.schemas import LAYOUT

PAIR: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"enum": [1]}, "b": {"enum": [2]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


def test_a_network_is_made_of_our_layout() -> None:
    assert net_of(f"start: %json {json.dumps({**PAIR, 'x-guidance': dict(LAYOUT)})}")


@pytest.mark.parametrize("schema", [PAIR, {**PAIR, "x-guidance": {"whitespace_flexible": False}}, False])
def test_none_is_made_of_another_whose_ways_would_not_be_its_own(schema: Any) -> None:
    with pytest.raises(Unread, match="laid out otherwise"):
        net_of(f"start: %json {json.dumps(schema)}")
