"""What a guardrail is opened by has the type and the range that it says, or is refused where it is written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.errors import LedgerError, RequestError
from ig_guardrail.integrations.langchain.chat_model import ChatIGGuardrail
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.settings import AuditFile, Limits
from ig_guardrail.spec import GuardrailSpec
from tests.golden.conversations import POLITE, compiled
from tests.unit.langchain.teller import teller

ODD: dict[str, tuple[Any, ...]] = {
    "policy": (None, 3, ["strict"], {"name": "lax"}),
    "reload": ("no", 0, None),
    "limits": ({}, 20),
    "canary": ({"policy": "strict", "share": 0.1}, "strict"),
    "engine_options": (None, [("threads", 1)], "threads=2"),
    "cost_models": (None, [1]),
    "record": (3, True),
    "audit": (3, True),
    "ledger": (3, True, object()),
    "exit": (3,),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD.items() for value in values])
def test_an_option_of_another_type_is_refused_where_it_is_written(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"^{name} is of type") as refused:
        GuardrailSpec(**{name: value})
    assert refused.value.fix


def test_a_ledger_is_one_in_a_chat_model_too() -> None:
    with pytest.raises(RequestError, match=r"^ledger is of type bool"):
        ChatIGGuardrail(ledger=True)
    with pytest.raises(LedgerError, match=r"^ledger is of type bool"):
        GuardedChatModel(inner=teller("hi"), policy=compiled(POLITE), ledger=True)
    assert ChatIGGuardrail(ledger=MemoryLedger())._opened().spec.ledger is not None


def test_what_stands_in_the_documentation_is_taken(tmp_path: Path) -> None:
    GuardrailSpec(policy=tmp_path, record=tmp_path / "a", audit="a.jsonl", exit="x", limits=Limits(searching=0))


@pytest.mark.parametrize("name", ["effort", "requests", "turns", "characters", "stops", "stop_characters", "biases"])
@pytest.mark.parametrize("value", [-1, True, "20", 1.5, None, math.inf])
def test_a_bound_that_would_bound_nothing_is_refused(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"^limits: {name} is "):
        Limits(**{name: value})


@pytest.mark.parametrize("value", [-1, math.nan, True, "20", None, math.inf])
def test_seconds_of_searching_are_a_number(value: Any) -> None:
    with pytest.raises(RequestError, match=r"^limits: searching is "):
        Limits(searching=value)


@pytest.mark.parametrize("name", ["texts", "daily"])
@pytest.mark.parametrize("value", ["no", "hash", 0, None])
def test_a_word_for_no_keeps_no_texts(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"^audit: {name} is "):
        AuditFile("a.jsonl", **{name: value})
