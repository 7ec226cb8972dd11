"""`POST /v1/messages`: what Anthropic's wire tells of every outcome, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ig_guardrail.engine.scripted.engine import Incidents
from ig_guardrail.errors import EngineError
from tests.golden.conversations import CALM, KIND, LATE, RUDE, scripted_guardrail
from tests.unit.server.serving import MODEL, http, running, server_of

ASK: Any = {"max_tokens": 64, "messages": [{"role": "user", "content": "Tell me something."}]}
SCRIPTS = {"calm": {(0, 0): CALM}, "rescued": {(0, 0): RUDE, (1, 0): KIND}, "rude": {(0, 0): RUDE}, "late": {(0, 0): LATE}}


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    guardrails = {name: scripted_guardrail(script) for name, script in SCRIPTS.items()}
    guardrails["broken"] = scripted_guardrail(
        {(0, 0): CALM}, incidents=Incidents(faults={("extend", 3): EngineError("the weights caught fire")})
    )
    guardrails["later"] = scripted_guardrail(
        {(0, 0): CALM}, incidents=Incidents(faults={("extend", 12): EngineError("the weights caught fire")})
    )
    with running(server_of(guardrails=guardrails)) as socket:
        yield socket


def whole(socket: str, policy: str, **options: Any) -> Any:
    with http(socket) as plain:
        answer = plain.post("/v1/messages", json={"model": f"{MODEL}:{policy}", **ASK, **options})
    return answer


def events(socket: str, policy: str, **options: Any) -> list[dict[str, Any]]:
    """The events of a stream; each is named by what it says."""
    found = []
    for part in whole(socket, policy, stream=True, **options).text.split("\n\n"):
        name, _, data = part.partition("\n")
        if name:
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
    return found


def test_a_completed_message(socket: str) -> None:
    message = whole(socket, "calm").json()
    print(json.dumps({**message, "ig_guardrail": 0}, indent=1))
    assert message["content"] == [{"type": "text", "text": CALM, "citations": None}]
    assert message["stop_reason"] == "end_turn"
