"""Log-probabilities tell no text that was not released: no banned alternative, no more of a token than was shown."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from ig_guardrail.assembly import guard
from ig_guardrail.drive import telling
from ig_guardrail.drive.scoring.scorer import Scorer
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.errors import CostFailure
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from tests.examples import examples
from tests.golden.conversations import CALM, POLITE, compiled, scripted_guardrail
from tests.unit.langchain.test_provided import OPEN, Minding

WORDS = (" fine", " words", " blockhead", " block", "head", " a", "!", " kind ", "blockheads", " 1", "é🙂")
BANNED = re.compile(r"(?i)\bblockhead")


@dataclass(frozen=True)
class Spread:
    """Any of the words may come next, by a seed; the end after some."""

    seed: int
    vocabulary: Vocabulary

    def next_tokens(self, place: TokenPlace) -> Distribution:
        dice = random.Random(f"{self.seed} {place.prefix}")
        weights = [dice.random() ** 2 for _ in WORDS] + [0.02 + (len(place.prefix) > 14)]
        return [(token, weight / sum(weights)) for token, weight in enumerate(weights)]


def spread(policy: str, seed: int, **settings: Any) -> Any:
    engine = ScriptedEngine(Spread(seed, Vocabulary(WORDS)))
    model = ChatIGGuardrail(guardrail=guard(engine, compiled(policy)), seed=seed, max_tokens=24, **settings)
    return model.invoke("Go.", logprobs=True, top_logprobs=8)


def told(message: Any) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = message.response_metadata.get("logprobs", {"content": []})["content"]
    return content


def likeliest(seed: int, prefix: tuple[int, ...]) -> list[str]:
    options = Spread(seed, Vocabulary(WORDS)).next_tokens(TokenPlace(None, prefix, 0, 0, False))  # type: ignore[arg-type]
    return [(*WORDS, "")[token] for token, _ in sorted(options, key=lambda one: (-one[1], one[0]))[:8]]


def completes(policy: str, tokens: list[str]) -> bool:
    """Whether an answer of these tokens is let out whole."""
    script = {(0, 0): [token for token in tokens if token]}
    model = ChatIGGuardrail(guardrail=scripted_guardrail(script, compiled(policy)), strategy="cut", max_tokens=64)
    return bool(model.invoke("Go.").response_metadata["finish_reason"] == "stop")


@pytest.mark.slow
@settings(max_examples=examples(15), deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1]), st.integers(1, 5), st.integers(0, 12))
def test_what_is_told_beside_a_token_is_what_could_have_ended_the_answer(
    seed: int, allowed: int, every: int, tried: int
) -> None:
    policy = POLITE.replace("budget: 0.0, every: 4", f"budget: {allowed * 0.5}, every: {every}")
    answer = told(spread(policy, seed))
    ids: list[int] = []
    for one in answer[:-1]:
        others = {other["token"] for other in one["top_logprobs"]}
        before = [WORDS[id] for id in ids]
        if not allowed:
            asked = {word for word in likeliest(seed, tuple(ids)) if not BANNED.search("".join(before) + word)}
            assert others == asked
        elif len(ids) == tried:
            for word in likeliest(seed, tuple(ids)):
                assert (word in others) == completes(policy, [*before, word])
        ids.append(WORDS.index(one["token"]))
    for one in answer[-1:]:
        assert {other["token"] for other in one["top_logprobs"]} <= {*likeliest(seed, tuple(ids)), one["token"]}


def test_a_banned_word_is_not_told_where_another_took_its_place() -> None:
    rude, kind = (
        ["You ", "are ", "a ", "blockhead ", "and ", "more."],
        ["You ", "are ", "a ", "friend ", "and ", "more."],
    )
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): rude, (1, 0): kind}), seed=7)
    answer = model.invoke("Go.", top_logprobs=2)
    assert answer.text == "".join(kind)
    assert "blockhead" not in repr(answer.response_metadata["logprobs"])
    assert [other["token"] for one in told(answer)[:3] for other in one["top_logprobs"]] == rude[:3]


def test_where_an_enforced_budget_cannot_be_judged_only_what_was_shown_is_told() -> None:
    engine = ScriptedEngine(Spread(3, Vocabulary(WORDS)))
    open_guardrail = guard(engine, compiled(OPEN), cost_models={"rude": Minding("nobody says this")})
    answer = ChatIGGuardrail(guardrail=open_guardrail, seed=3, max_tokens=24).invoke("Go.", top_logprobs=8)
    assert answer.response_metadata["finish_reason"] in ("stop", "length")
    assert told(answer)
    for one in told(answer):
        assert {other["token"] for other in one["top_logprobs"]} <= {one["token"]}


@pytest.mark.parametrize(
    ("policy", "settings"),
    [(POLITE, {"strategy": "none"}), (POLITE.replace("budget: 0.0,", "budget: 0.0, mode: shadow,"), {})],
)
def test_where_nothing_is_enforced_all_are_told(policy: str, settings: dict[str, Any]) -> None:
    answer = spread(policy, 5, **settings)
    assert {len(one["top_logprobs"]) for one in told(answer)[:-1]} == {8}


def test_where_a_cost_model_fails_on_them_none_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = spread(POLITE, 11)
    assert any(len(one["top_logprobs"]) > 1 for one in told(whole))

    class Failing:
        def measure(self, *_: Any) -> Any:
            raise CostFailure("no")
            yield

    monkeypatch.setattr(Scorer, "aside", lambda _: Failing())
    answer = spread(POLITE, 11)
    assert answer.text == whole.text
    assert all({other["token"] for other in one["top_logprobs"]} <= {one["token"]} for one in told(answer))


def test_how_many_are_judged_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "MOST", 10)
    lengths = [len(one["top_logprobs"]) for one in told(spread(POLITE, 11))]
    assert lengths[0] > 1
    assert max(lengths[3:]) <= 1


PIECES = st.lists(
    st.sampled_from(
        ["Here ", "is ", "all ", " fooSTOPtail", "ST", "OP", " the number ACCT-1234-", "5678", "é", "🙂 x", "!"]
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=examples(40), deadline=None)
@given(PIECES, st.sampled_from([None, ["STOP"], ["tail"], ["x"]]), st.integers(0, 6), st.booleans())
def test_tokens_that_are_told_spell_what_was_shown(pieces: list[str], stop: Any, hold: int, known: bool) -> None:
    policy = POLITE.replace("'(?i)\\bblockhead'], longest_match: 9", "'ACCT-\\d{4}-\\d{4}'], longest_match: 14")
    policy = policy.replace("hold: 4", f"hold: {hold}")
    script: Any = pieces if known else [byte for piece in pieces for byte in _bytes(piece)]
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): script}, compiled(policy)), strategy="cut", seed=7)
    *pieces_shown, last_piece = model.stream("Go.", stop=stop, top_logprobs=3)
    out = spelled = b""
    for piece in pieces_shown:  # what is told is never ahead of what was shown, nor far behind
        out, spelled = out + piece.text.encode(), spelled + b"".join(bytes(one["bytes"]) for one in told(piece))
        assert out.startswith(spelled)
        assert len(out) - len(spelled) < 24
    answer = sum(pieces_shown, AIMessageChunk("")) + last_piece
    shown = "" if answer.text == "I would rather not say that." else answer.text.removesuffix("\n\nI stop here.")
    assert b"".join(bytes(one["bytes"]) for one in told(answer)).decode() == shown
    for one in told(answer):
        assert all("ACCT-1234-5678" not in other["token"] for other in one["top_logprobs"])
    if told(answer):
        last = told(answer)[-1]
        whole = script[len(told(answer)) - 1]
        if bytes(last["bytes"]) != (whole if isinstance(whole, bytes) else whole.encode()):
            assert {other["token"] for other in last["top_logprobs"]} <= {last["token"]}


def _bytes(piece: str) -> list[bytes]:
    return [bytes([byte]) for byte in piece.encode()]


def test_an_answer_that_goes_on_from_a_beginning_tells_its_own_tokens() -> None:
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}), seed=7)
    answer = model.invoke([("user", "why?"), ("assistant", "The sky looks")], top_logprobs=2)
    assert "".join(one["token"] for one in told(answer)) == answer.text != ""
