"""What several replicas rest on, tried without Ray: whose a request is, and policies that are read elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from ig_guardrail import assembly
from ig_guardrail.engine.loading import models
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import MissingExtra, ModelError
from ig_guardrail.integrations import ray_serve
from ig_guardrail.integrations.openai_server.observing.metrics import Metrics
from ig_guardrail.integrations.openai_server.served import served_by
from ig_guardrail.integrations.ray_serve.affinity import conversation_of
from ig_guardrail.integrations.ray_serve.gathering import registry_of
from ig_guardrail.policy import load_policy
from ig_guardrail.spec import GuardrailSpec
from tests.golden.conversations import CALM, POLITE

SYSTEM = {"role": "system", "content": "Be brief."}
HELLO = {"role": "user", "content": "Hello."}
ANSWER = {"role": "assistant", "content": "Hello to you."}
MORE = {"role": "user", "content": "And more?"}


def known(tenant: str | None = None, **body: Any) -> str:
    return conversation_of(tenant, json.dumps(body).encode())


def test_a_conversation_is_known_by_its_beginning() -> None:
    first = known(messages=[SYSTEM, HELLO])
    assert first == known(messages=[SYSTEM, HELLO, ANSWER, MORE], temperature=0.5)
    assert first != known(messages=[SYSTEM, MORE])
    assert first != known("school", messages=[SYSTEM, HELLO])
    assert known(messages=[HELLO]) != known(messages=[HELLO], system="Be brief.")


def test_a_conversation_is_known_by_its_name() -> None:
    named = {"ig_guardrail": {"conversation": "one"}}
    assert known(messages=[HELLO], **named) == known(messages=[MORE], **named)
    assert known("school", messages=[HELLO], **named) != known("other", messages=[HELLO], **named)


def test_a_chain_leads_to_the_replica_of_its_first_response() -> None:
    first = known(input="Hello.")
    later = f"resp_{first}{'0' * 32}"
    assert known(input="And more?", previous_response_id=later) == first
    assert known(input="And more?", previous_response_id=f"resp_{'0' * 32}") == known(input="And more?")
    assert known(input="More?", previous_response_id=later, ig_guardrail={"conversation": "one"}) != first


def test_metrics_of_replicas_are_told_as_one_server_s() -> None:
    told = {}
    for name, count in (("b", 2), ("a", 3)):
        metrics = Metrics(lambda: 0)
        for _ in range(count):
            metrics.late(0.02)
        told[name] = list(metrics.registry.collect())
    lines = generate_latest(registry_of(told)).decode().splitlines()
    assert "ig_guardrail_replicas 2.0" in lines
    assert 'ig_guardrail_event_loop_lag_seconds_count{replica="a"} 3.0' in lines
    assert 'ig_guardrail_event_loop_lag_seconds_count{replica="b"} 2.0' in lines
    assert 'ig_guardrail_event_loop_lag_seconds_bucket{le="0.025",replica="a"} 3.0' in lines
    assert len([one for one in lines if one.startswith("# TYPE ig_guardrail_requests_in_flight ")]) == 1


def test_an_input_of_words_is_a_beginning() -> None:
    assert known(input="Hello.") == known(input="Hello.", top_p=0.5) != known(input="Bye.")


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b"{}", b'{"input": null, "messages": 1, "ig_guardrail": 3}'])
def test_what_is_no_conversation_goes_anywhere_and_raises_nothing(body: bytes) -> None:
    assert isinstance(conversation_of(None, body), str)


async def test_requests_that_begin_later_are_held_to_a_policy_read_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load_engine", lambda model, **how: ScriptedEngine(Continuations({(0, 0): CALM})))
    (tmp_path / "polite.yaml").write_text(POLITE)
    served = served_by("toy", GuardrailSpec(), {"polite": str(tmp_path / "polite.yaml")}, {})
    place = ("polite", "stable")
    first = load_policy(tmp_path / "polite.yaml")
    served.hold(place, first)  # before it is open, and whatever then stands in its file
    (tmp_path / "polite.yaml").write_text("")
    served.open()
    before = await served.guardrail("polite", None, None)
    (tmp_path / "next.yaml").write_text(POLITE.replace("1.0.0", "1.1.0"))
    second = load_policy(tmp_path / "next.yaml")
    served.hold(place, second)
    after = await served.guardrail("polite", None, None)
    assert (before.policy, after.policy) == (first, second)
    assert after.engine is before.engine
    assert after.ledger is before.ledger
    served.hold(place, second, "line 3: it is no policy")
    assert served.faults() == {"polite": "line 3: it is no policy"}
    served.hold(place, second)
    assert served.faults() == {}


async def test_a_policy_that_cannot_be_opened_leaves_the_last_one_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load_engine", lambda model, **how: ScriptedEngine(Continuations({(0, 0): CALM})))
    (tmp_path / "polite.yaml").write_text(POLITE)
    served = served_by("toy", GuardrailSpec(), {"polite": str(tmp_path / "polite.yaml")}, {})
    served.open()
    (tmp_path / "next.yaml").write_text(POLITE.replace("1.0.0", "1.1.0"))

    def refuse(*_: Any) -> None:
        raise ModelError("its head is of another model", where="policy")

    monkeypatch.setattr(assembly, "guard_alike", refuse)
    served.hold(("polite", "stable"), load_policy(tmp_path / "next.yaml"))
    assert (await served.guardrail("polite", None, None)).policy == load_policy(tmp_path / "polite.yaml")
    assert "its head is of another model" in served.faults()["polite"]


def test_without_ray_one_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: module != "ray")
    with pytest.raises(MissingExtra, match="ig-guardrail\\[ray\\]"):
        ray_serve.app({})
