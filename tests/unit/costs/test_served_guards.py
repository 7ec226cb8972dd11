"""Safety models behind a server: the real client, a real server on loopback, and answers in the shapes servers give."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ig_guardrail.costs.guards.cost import GuardCost, guard_cost
from ig_guardrail.costs.guards.format import packaged_formats, read_format
from ig_guardrail.costs.guards.served import ROOM
from ig_guardrail.errors import CostFailure, ModelError
from ig_guardrail.types import CostModelSpec, Message, Piece, Prompt
from tests.moderations import Reply, Served, serving

ASKED = Prompt((Message("user", "why"),), ())
KEY = "sk-only-for-this-test"
Written = Sequence[tuple[str, Mapping[str, float]]]  # each token, and the probabilities of it and its alternatives

LLAMA: Written = [
    ("\n\n", {"\n\n": 0.98}),
    ("unsafe", {"unsafe": 0.6, "safe": 0.3, " safe": 0.05}),
    ("\nS1", {"\nS1": 1}),
]
QWEN: Written = [
    ("Safety", {"Safety": 1}),
    (":", {":": 1}),
    (" Safe", {" Safe": 0.7, " Contro": 0.2, " Unsafe": 0.1}),
    ("\n", {"\n": 1}),
]
YES: Written = [("Yes", {"Yes": 0.8, "No": 0.2})]
SCORE: Written = [
    *((token, {token: 1.0}) for token in ("<think>", "\n", "</think>", "\n", "<", "score", ">")),
    (" no", {" no": 0.9, " yes": 0.1}),
    (" </score>", {" </score>": 1}),
]
THOUGHT: Written = [
    *((token, {token: 1.0}) for token in ("<|channel|>", "analysis", "<|message|>", "1", " or", " 0", "?", "<|end|>")),
    *((token, {token: 1.0}) for token in ("<|start|>", "assistant", "<|channel|>", "final", "<|message|>")),
    ("0", {"0": 0.75, "1": 0.25}),
]
SHAPES: dict[str, tuple[Written, float]] = {
    "llama-guard": (LLAMA, 0.6 / 0.95),
    "qwen3guard": (QWEN, 0.1 + 0.2 / 2),
    "shieldgemma": (YES, 0.8),
    "granite-guardian-3": (YES, 0.8),
    "granite-guardian-3.3": (SCORE, 0.1),
    "granite-guardian-4": (SCORE, 0.1),
    "gpt-oss-safeguard": (THOUGHT, 0.25),
    "gpt-oss-safeguard-thinking": (THOUGHT, 0.25),
}


def told(written: Written) -> dict[str, Any]:
    """An answer as vLLM, SGLang and OpenAI give it."""
    content = [
        {
            "token": token,
            "logprob": math.log(likely[token]),
            "bytes": list(token.encode()),
            "top_logprobs": [
                {"token": one, "logprob": math.log(share), "bytes": list(one.encode())} for one, share in likely.items()
            ],
        }
        for token, likely in written
    ]
    message = {"role": "assistant", "content": "".join(token for token, _ in written)}
    choice = {"index": 0, "message": message, "logprobs": {"content": content}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


def spec(address: str, form: str = "llama-guard", hazards: Sequence[str] = ("vcr",), **options: Any) -> CostModelSpec:
    named = {"model": "org/guard", "format": form, "base_url": address, "api_key_env": "SOME_API_KEY", **options}
    return CostModelSpec("judge", "guard", tuple(hazards), named, timeout_s=30.0)


def cost(served: Served, form: str = "llama-guard", hazards: Sequence[str] = ("vcr",), **options: Any) -> GuardCost:
    return guard_cost(spec(served.address, form, hazards, **options), "cpu", None)


def scores(model: GuardCost, *texts: str, **piece: Any) -> list[tuple[float, ...]]:
    return [found for _, found in model.advance([(model.start(ASKED), Piece(text, **piece)) for text in texts])]


def test_every_packaged_format_has_a_shape_here() -> None:
    assert set(packaged_formats()) == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_the_score_is_that_of_the_token_that_a_verdict_begins_with(name: str) -> None:
    written, expected = SHAPES[name]
    with serving(lambda body: Reply(body=told(written))) as served:
        assert scores(cost(served, name), "good") == [(pytest.approx(expected),)]


def test_the_conversation_is_asked_about_as_the_template_takes_it() -> None:
    with serving(lambda body: Reply(body=told(YES))) as served:
        model = cost(served, "granite-guardian-3", ["vcr", "hte"])
        scores(model, "good")
        scores(model, "how", role="user")
    bodies = sorted(served.asked, key=lambda body: (len(body["messages"]), str(body["chat_template_kwargs"])))
    said = [{"role": "user", "content": "why"}, {"role": "assistant", "content": "good"}]
    alone = [{"role": "user", "content": "how"}]
    assert [body["messages"] for body in bodies] == [alone, alone, said, said]
    risks = [body["chat_template_kwargs"] for body in bodies[2:]]
    assert risks == [{"guardian_config": {"risk_name": name}} for name in ("social_bias", "violence")]
    asked = {key: bodies[0][key] for key in ("model", "temperature", "logprobs", "top_logprobs")}
    assert asked == {"model": "org/guard", "temperature": 0, "logprobs": True, "top_logprobs": 20}


def test_all_questions_of_a_call_are_asked_at_once_and_none_twice() -> None:
    with serving(lambda body: Reply(body=told(LLAMA))) as served:
        assert len(scores(cost(served), "a", "b", "a", "", " ")) == 5
    assert sorted(body["messages"][-1]["content"] for body in served.asked) == ["a", "b"]


def test_an_answer_scores_the_same_however_it_was_cut() -> None:
    with serving(lambda body: Reply(body=told(LLAMA))) as served:
        model = cost(served)
        state = model.start(ASKED)
        for piece in ("the ", "so", "up"):
            ((state, found),) = model.advance([(state, Piece(piece))])
    assert found == (pytest.approx(0.6 / 0.95),)
    assert [body["messages"][-1]["content"] for body in served.asked] == ["the ", "the so", "the soup"]


def test_the_worst_window_of_a_long_answer_counts() -> None:
    def script(body: Any) -> Reply:
        bad = "blockhead" in body["messages"][-1]["content"]
        return Reply(
            body=told([("unsafe" if bad else "safe", {"unsafe": 0.9 if bad else 0.1, "safe": 0.1 if bad else 0.9})])
        )

    text = "word " * (ROOM // 5) + "blockhead" + " word" * (ROOM // 5)
    with serving(script) as served:
        assert scores(cost(served), text) == [(pytest.approx(0.9),)]
    windows = [body["messages"][-1]["content"] for body in served.asked]
    assert len(windows) > 2
    assert all(len(one) <= ROOM for one in windows)


def test_a_verdict_that_is_not_listed_counts_as_much_as_could_be_left_over() -> None:
    with serving(lambda body: Reply(body=told([("safe", {"safe": 0.6})]))) as served:
        assert scores(cost(served), "a") == [(pytest.approx(0.4),)]
    with serving(lambda body: Reply(body=told([("safe", {"safe": 0.6, "ok": 0.3, "S": 0.02})]))) as served:
        assert scores(cost(served), "a") == [(pytest.approx(0.02 / 0.62),)]
    with serving(lambda body: Reply(body=told([("unsafe", {"unsafe": 0.6})]))) as served:
        assert scores(cost(served), "a") == [(1.0,)]


def without(path: str) -> dict[str, Any]:
    """The usual answer, less what stands at a path."""
    answer: Any = told(LLAMA)
    place, *parts = answer, *path.split(".")
    for part in parts[:-1]:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[parts[-1]] = None
    return dict(answer)


def changed(number: Any) -> bytes:
    answer = told(LLAMA)
    answer["choices"][0]["logprobs"]["content"][1]["top_logprobs"][0]["logprob"] = number
    return json.dumps(answer).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "did not answer in JSON"),
        (b"[" * 100_000, "did not answer in JSON"),
        (b"[]", "told no logprobs"),
        (without("choices"), "told no logprobs"),
        (without("choices.0.logprobs"), "told no logprobs"),
        (without("choices.0.logprobs.content"), "told no logprobs"),
        (without("choices.0.logprobs.content.1.top_logprobs"), "told no `top_logprobs`"),
        (without("choices.0.logprobs.content.1.token"), "told tokens without their text"),
        (changed(math.nan), "told a logprob that is none"),
        (changed(0.5), "told a logprob that is none"),
        (changed("0"), "told a logprob that is none"),
        (changed(True), "told a logprob that is none"),
        (told([("I", {"I": 0.9, "The": 0.1})]), "listed no token of a verdict"),
        (told([("I", {"I": 0.9, "unsafe": 0.005})]), "wrote no verdict where one is looked for"),
        (told([("\n\n", {"\n\n": 1.0})]), "wrote no verdict where one is looked for"),
    ],
)
def test_an_answer_without_a_verdict_is_a_failure(body: Any, reason: str) -> None:
    with serving(lambda asked: Reply(body=body)) as served, pytest.raises(CostFailure, match=reason) as raised:
        scores(cost(served), "secret")
    assert raised.value.where == "cost_models.judge"
    assert "secret" not in str(raised.value)
    assert raised.value.fix


def test_a_verdict_before_its_place_is_none() -> None:
    with serving(lambda body: Reply(body=told(YES))) as served, pytest.raises(CostFailure, match="wrote no verdict"):
        scores(cost(served, "qwen3guard"), "a")


def test_the_texts_of_markers_are_spelled_apart() -> None:
    with serving(lambda body: Reply(body=told(LLAMA))) as served:
        scores(cost(served), "so<|eot_id|><END CONVERSATION>")
    assert served.asked[0]["messages"][-1]["content"] == "so< |eot_id|>< END CONVERSATION>"


def test_the_key_goes_to_the_server_and_a_server_elsewhere_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    with serving(lambda body: Reply(body=told(LLAMA))) as served:
        model = cost(served)
        scores(model, "a")
    assert served.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(model)
    monkeypatch.delenv("SOME_API_KEY")
    with pytest.raises(ModelError, match="there is no key in the environment variable SOME_API_KEY"):
        guard_cost(spec("https://guard.example/v1"), "cpu", None)


def test_the_hash_covers_model_address_and_format() -> None:
    address = "http://127.0.0.1:1/v1"
    made = [
        guard_cost(spec(address), "cpu", None),
        guard_cost(spec(address, model="other"), "cpu", None),
        guard_cost(spec("http://127.0.0.1:2/v1"), "cpu", None),
        guard_cost(spec(address, "qwen3guard"), "cpu", None),
    ]
    assert len({one.sha256 for one in made}) == 4
    assert made[0].sha256 == guard_cost(spec(address), "cpu", None).sha256


def test_thoughts_have_room_on_a_server() -> None:
    with serving(lambda body: Reply(body=told(THOUGHT))) as served:
        scores(cost(served, "gpt-oss-safeguard-thinking"), "a")
    thought = read_format("gpt-oss-safeguard-thinking", None, "").thought
    assert thought is not None
    assert served.asked[0]["max_tokens"] > thought.most
