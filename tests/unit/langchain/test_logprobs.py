"""Log-probabilities: the model's own, of every token that was shown, told once, whatever the guard chose."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from ig_guardrail.engine.scripted.engine import Incidents
from ig_guardrail.errors import EngineError, GenerationFailed, RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from tests.golden.conversations import CALM, KIND, LATE, RUDE, scripted_guardrail


def model(told: dict[tuple[int, int], str], **settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail(told), seed=7, **settings)


def told(message: Any) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = message.response_metadata["logprobs"]["content"]
    return content


def test_every_token_of_the_answer_has_its_log_probability() -> None:
    answer = model({(0, 0): CALM}).invoke("Go.", logprobs=True)
    assert "".join(one["token"] for one in told(answer)) == CALM
    assert bytes(byte for one in told(answer) for byte in one["bytes"]).decode() == CALM
    assert all(one["logprob"] <= 0 and one["top_logprobs"] == [] for one in told(answer))
    assert answer.response_metadata["logprobs"]["of"] == "the model, before the guard"


def test_the_likeliest_stand_beside_it() -> None:
    answer = model({(0, 0): CALM}, top_logprobs=1).invoke("Go.")
    assert all([other["token"] for other in one["top_logprobs"]] == [one["token"]] for one in told(answer))


def test_they_are_the_models_even_where_the_guard_chose_against_it() -> None:
    """The draft was rude, so the search took words that the model on lane 0 would never have said."""
    answer = model({(0, 0): RUDE, (1, 0): KIND}).invoke("Go.", logprobs=True, top_logprobs=1)
    assert answer.text == KIND
    (replaced,) = [one for one in told(answer) if one["logprob"] == -9999.0]
    assert replaced["token"] == " friend"
    assert replaced["top_logprobs"] == []  # what the model thought likeliest there was not let out
    assert all(len(one["top_logprobs"]) == 1 for one in told(answer) if one is not replaced)


def test_of_an_answer_that_ended_early_only_what_was_shown_is_told() -> None:
    answer = model({(0, 0): LATE}, strategy="cut").invoke("Go.", logprobs=True)
    shown = "".join(one["token"] for one in told(answer))
    assert shown
    assert answer.text.startswith(shown)
    assert len(told(answer)) == answer.usage_metadata["output_tokens"]  # type: ignore[index]


def test_a_refusal_has_none() -> None:
    answer = model({(0, 0): RUDE}, strategy="cut").invoke("Go.", logprobs=True)
    assert "logprobs" not in answer.response_metadata
    assert "logprobs" not in model({(0, 0): CALM}).invoke("Go.").response_metadata


def test_a_stream_tells_them_with_the_text_that_they_are_of() -> None:
    chunks = list(model({(0, 0): CALM}).stream("Go.", logprobs=True, top_logprobs=2))
    told_so_far, shown = "", ""
    for chunk in chunks:
        shown += chunk.text
        told_so_far += "".join(
            one["token"] for one in chunk.response_metadata.get("logprobs", {"content": []})["content"]
        )
        assert shown.startswith(told_so_far)
        assert len(shown) - len(told_so_far) < max(map(len, CALM))  # no more is behind than a token that was cut
    assert sum("logprobs" in chunk.response_metadata for chunk in chunks) > 2
    whole: AIMessageChunk = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert "".join(one["token"] for one in told(whole)) == CALM
    assert (
        whole.response_metadata["logprobs"]
        == model({(0, 0): CALM}).invoke("Go.", logprobs=True, top_logprobs=2).response_metadata["logprobs"]
    )


def test_where_they_cannot_be_told_what_was_let_out_is_shown_all_the_same() -> None:
    incidents = Incidents(faults={("answer_logprobs", 3): EngineError("no")})
    chunks = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, incidents=incidents)).stream(
        "Go.", logprobs=True
    )
    shown: list[str] = []
    with pytest.raises(GenerationFailed) as failed:
        shown.extend(chunk.text for chunk in chunks)
    assert failed.value.receipt is not None
    assert "".join(shown) == failed.value.receipt.text != ""


@pytest.mark.slow
@pytest.mark.parametrize("count", [-1, 21])
def test_how_many_is_limited(count: int) -> None:
    with pytest.raises(RequestError, match="top_logprobs"):
        model({(0, 0): CALM}).invoke("Go.", top_logprobs=count)
