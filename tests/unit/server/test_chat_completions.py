"""What the official client sees of every outcome, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from ig_guardrail.engine.scripted.engine import Incidents
from ig_guardrail.errors import EngineError
from tests.golden.conversations import CALM, KIND, LATE, RUDE, scripted_guardrail
from tests.unit.server.serving import MODEL, client, http, running, server_of

ASK: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Tell me something."}], "seed": 7}
BROKEN = Incidents(faults={("extend", 3): EngineError("the weights caught fire")})
SCRIPTS: dict[str, dict[tuple[int, int], str]] = {
    "calm": {(0, 0): CALM},
    "rescued": {(0, 0): RUDE, (1, 0): KIND},
    "rude": {(0, 0): RUDE},
    "late": {(0, 0): LATE},
}


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    guardrails = {name: scripted_guardrail(script) for name, script in SCRIPTS.items()}
    guardrails["broken"] = scripted_guardrail({(0, 0): CALM}, incidents=BROKEN)
    with running(server_of(guardrails=guardrails)) as socket:
        yield socket


def whole(socket: str, policy: str, **options: Any) -> Any:
    with client(socket) as official:
        answer = official.chat.completions.create(**{**ASK, "model": f"{MODEL}:{policy}", **options})
        return list(answer) if options.get("stream") else answer


def streamed(socket: str, policy: str, **options: Any) -> tuple[str, str, list[Any]]:
    chunks = whole(socket, policy, stream=True, **options)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    text = "".join(delta.content or "" for delta in deltas)
    return text, "".join(delta.refusal or "" for delta in deltas), chunks


def test_a_completed_answer(socket: str) -> None:
    answer = whole(socket, "calm")
    choice = answer.choices[0]
    assert choice.message.content == CALM
    assert choice.message.refusal is None
    assert choice.finish_reason == "stop"
    assert answer.usage.completion_tokens == answer.ig_guardrail["tokens"]["released"]
    assert answer.ig_guardrail["verdict"]["outcome"] == "completed"
    assert answer.system_fingerprint.startswith("fp_")


def test_a_stream_is_the_whole_answer(socket: str) -> None:
    text, refusal, chunks = streamed(socket, "calm", stream_options={"include_usage": True})
    assert (text, refusal) == (CALM, "")
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].ig_guardrail["text"] == CALM
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_unsafe_draft_is_replaced(socket: str) -> None:
    answer = whole(socket, "rescued")
    assert answer.choices[0].message.content == KIND
    assert answer.choices[0].finish_reason == "stop"
    assert answer.ig_guardrail["unsafe"]


def test_a_refusal_is_told_in_both_ways(socket: str) -> None:
    choice = whole(socket, "rude").choices[0]
    assert choice.message.content is None
    assert choice.message.refusal
    assert choice.finish_reason == "content_filter"
    text, refusal, chunks = streamed(socket, "rude")
    assert (text, refusal) == ("", choice.message.refusal)
    assert chunks[-1].choices[0].finish_reason == "content_filter"


def test_an_ended_answer_keeps_its_beginning(socket: str) -> None:
    choice = whole(socket, "late").choices[0]
    assert choice.message.content
    assert choice.message.refusal
    assert choice.finish_reason == "content_filter"
    text, refusal, _ = streamed(socket, "late")
    assert text == choice.message.content
    assert refusal == choice.message.refusal == "\n\nI stop here."


def test_a_guard_that_failed_shows_nothing(socket: str) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        whole(socket, "broken")
    assert failed.value.status_code == 503
    assert failed.value.code == "guard_unavailable"
    assert "fire" not in str(failed.value)
    assert "retry-after" in failed.value.response.headers


def test_fields_are_honoured_told_or_refused(socket: str) -> None:
    with http(socket) as plain:
        answer = plain.post("/v1/chat/completions", json={**ASK, "store": True, "user": "anna"})
        assert answer.headers["x-ig-guardrail-ignored"] == "store, user"
        for name, value in {"functions": [], "audio": {}, "temperatur": 1}.items():
            refused = plain.post("/v1/chat/completions", json={**ASK, name: value})
            assert refused.status_code == 400
            assert refused.json()["error"]["param"] == name


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "poet", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, None),
        ({"temperature": "hot"}, None),
        ({"n": 0}, None),
        ({"n": True}, "n"),
        ({"stop": [3]}, "stop"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"ig_guardrail": {"tenant": "another"}}, "ig_guardrail"),
        ({"model": "gpt-4"}, "model"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(socket: str, given: dict[str, Any], param: str | None) -> None:
    with http(socket) as plain:
        answer = plain.post("/v1/chat/completions", json={**ASK, **given})
    error = answer.json()["error"]
    assert answer.status_code == (404 if "model" in given else 400), answer.text
    assert param is None or error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"a": 1e999999}', b"\xff\xfe"])
def test_bodies_that_are_no_object(socket: str, body: bytes) -> None:
    with http(socket) as plain:
        assert plain.post("/v1/chat/completions", content=body).status_code == 400


def test_a_model_that_is_not_there_is_told_with_those_that_are(socket: str) -> None:
    with client(socket) as official, pytest.raises(openai.NotFoundError) as caught:
        official.chat.completions.create(**{**ASK, "model": "gpt-4o"})
    assert f"there is no model 'gpt-4o'; there are '{MODEL}', '{MODEL}:calm'" in str(caught.value)


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/v1/chat/completions", "/v1/v1/models", "/messages"])
def test_a_wrong_base_url_is_told(socket: str, path: str) -> None:
    with http(socket) as plain:
        said = plain.post(path, json=ASK)
    assert said.status_code == 404
    assert said.json()["error"]["message"] == f"there is no {path}; a client's base URL ends in /v1, once"


def test_a_path_that_is_nowhere_is_told_alone(socket: str) -> None:
    with http(socket) as plain:
        assert plain.post("/v1/embeddings", json={}).json()["error"]["message"] == "there is no /v1/embeddings"
