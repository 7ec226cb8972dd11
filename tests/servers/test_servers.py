"""Guarded answers over real servers, and what `docs/remote-engines.md` says that each of them can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.engine.openai_compatible.engine import OpenAICompatibleEngine
from ig_guardrail.engine.openai_compatible.probes import probe_server
from ig_guardrail.errors import EngineClosed, EngineError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.types import Draw, Message, Sampling
from tests.servers.conftest import Served
from tests.toys import LetterCost, toy_budget, toy_policy
from tests.toys import ask as toy_ask

PAGE = Path(__file__).parents[2] / "docs" / "remote-engines.md"
COLUMNS = ("token ids", "logprobs", "given logprobs", "n", "seeds", "bias", "masks", "prefix cache", "abort")


@pytest.fixture(scope="module")
def engine(served: Served) -> Iterator[OpenAICompatibleEngine]:
    opened = served.engine()
    yield opened
    opened.shutdown()


def test_the_table_of_the_page_is_what_the_probes_find(served: Served) -> None:
    found = {probe.part: probe for probe in probe_server(served.url, served.model, served.options())}
    assert not [probe for probe in found.values() if probe.state == "missing"]
    cells = ["yes" if found[column].state == "ok" else "no" for column in COLUMNS]
    told = f"| `{served.name}` | {' | '.join(cells)} |"
    assert told in PAGE.read_text(encoding="utf-8"), told


def test_a_guarded_answer_is_the_unguarded_one_where_nothing_is_at_risk(engine: OpenAICompatibleEngine) -> None:
    rail = Guardrail(engine, toy_policy([toy_budget("b", threshold=1.0)]), {"level": LetterCost("level")})
    sampling = Sampling(seed=3, max_tokens=40)
    told = ["".join(chunk.text for chunk in rail.stream(toy_ask(sampling, how))) for how in (None, "none", None)]
    assert told[0] == told[1] == told[2]
    assert len(told[0]) > 20
    assert engine.live_nodes() == 0


def test_an_answer_without_a_letter_is_found(engine: OpenAICompatibleEngine) -> None:
    policy = toy_policy([toy_budget("b", threshold=0.0)])
    rail = Guardrail(engine, policy, {"level": LetterCost("level", reading="event", longest_match=1)})
    rail._approved.set()
    chunks = list(rail.stream(toy_ask(Sampling(seed=3, max_tokens=32))))
    text = "".join(chunk.text for chunk in chunks).partition("[")[0]
    assert "b" not in text
    assert chunks[-1].receipt is not None
    assert chunks[-1].receipt.verdict.outcome in ("completed", "ended", "refused")


def test_the_default_policy_guards_a_chat_model(served: Served) -> None:
    model = ChatIGGuardrail(
        model=served.model, engine="openai_compatible", engine_options=served.options(), max_tokens=24, seed=3
    )
    answer: Any = model.invoke("Tell me about rivers.")
    told = answer.response_metadata["ig_guardrail"]
    assert (told["verdict"]["guarded"], told["model"]["engine"].partition("/")[0]) == (True, "openai_compatible")
    assert answer.text


def test_a_form_is_kept(engine: OpenAICompatibleEngine) -> None:
    prompt = engine.encode((Message("user", "Say a number of five digits."),))
    root = engine.open(prompt, Sampling(seed=3, grammar="start: /[0-9]{5}/")).result()
    for node in engine.extend([Draw(root, 2)], 12).result():
        assert re.fullmatch("[0-9]{5}", node.text)
        assert node.finish == "stop"
    engine.close(root)


def test_text_is_what_the_tokens_spell_also_within_characters(engine: OpenAICompatibleEngine) -> None:
    root = engine.open(
        engine.encode((Message("user", "Repeat: 你好 🌊 €"),)), Sampling(seed=5, temperature=1.2)
    ).result()
    node = root
    while node.finish is None and node.position < 48:
        (node,) = engine.extend([Draw(node)], 5).result()
    assert node.text == engine._model.asker.spell(node.answer_ids()) or node.text.endswith("\ufffd")
    engine.close(root)


def test_closing_a_request_ends_what_is_drawn_for_it(engine: OpenAICompatibleEngine) -> None:
    ends = [(token, -100.0) for token in engine._model.asker.language.end]
    root = engine.open(
        engine.encode((Message("user", "Tell me a long story."),)), Sampling(max_tokens=900, logit_bias=tuple(ends))
    ).result()
    asked = engine.extend([Draw(root, 4)], 800)
    engine.close(root)
    with pytest.raises(EngineClosed):
        asked.result(60)
    assert engine.live_nodes() == 0


def test_a_conversation_beyond_the_context_is_an_error_of_ours(served: Served) -> None:
    engine = served.engine(context=100_000)
    prompt = engine.encode((Message("user", "a"),))
    root = engine.open(replace(prompt, ids=prompt.ids[:1] * 9000), Sampling()).result()
    with pytest.raises(EngineError):
        engine.extend([Draw(root)], 4).result()
    engine.shutdown()
