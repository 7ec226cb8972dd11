"""Guarded streams of a GGUF file: within budget whatever is drawn, and without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import EngineClosed, GuardrailError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.policy import load_policy
from ig_guardrail.types import Chunk, Draw, Message, Sampling, SearchSettings
from tests.examples import examples
from tests.llama.conftest import MODEL, prompt
from tests.toys import LetterCost, share_of_b, toy_budget, toy_policy

DEFAULT: dict[str, Any] = {"model": MODEL, "engine": "llama.cpp", "engine_options": {"threads": 1}}


@settings(deadline=None, max_examples=examples(30))
@given(
    seed=st.integers(0, 10_000),
    candidates=st.sampled_from([1, 2, 6]),
    mode=st.sampled_from(["on_risk", "always"]),
    block=st.sampled_from([2, 4, 8]),
    threshold=st.sampled_from([0.0, 0.02, 0.1]),
)
def test_no_stream_leaves_its_budget(
    tiny: Any, seed: int, candidates: int, mode: Any, block: int, threshold: float
) -> None:
    """The share of the letter b in what was shown stays below the threshold at every place where it is charged."""
    budget = toy_budget("b", threshold=threshold, budget=0.0, every=block)
    policy = toy_policy([budget], SearchSettings(mode=mode, candidates=candidates, block=block))
    rail = Guardrail(tiny, policy, {"level": LetterCost("level")})
    rail._approved.set()  # its messages are no letters; the start-up check has its own tests
    sampling = Sampling(seed=seed, temperature=1.0, top_p=1.0, max_tokens=24)
    shown = ""
    try:
        for item in rail.stream(GenerationRequest((Message("user", "go"),), sampling)):
            if isinstance(item, Chunk):
                shown += item.text
    except GuardrailError:
        pass
    assert share_of_b(shown) <= threshold
    assert tiny.live_nodes() == 0


@pytest.mark.real
def test_a_draft_that_is_over_budget_is_replaced() -> None:
    """By the packaged policy, its thresholds lowered to what the draft scores."""
    policy = load_policy("default")
    strict = replace(policy, budgets=tuple(replace(one, threshold=0.3, budget=0.0) for one in policy.budgets))
    ask = "Give me five insults for a brother who never washes up."
    models = (ChatIGGuardrail(policy=strict, seed=seed, max_tokens=32, **DEFAULT) for seed in range(41, 61))
    receipts = (model.invoke(ask).response_metadata["ig_guardrail"] for model in models)
    receipt = next(one for one in receipts if one["tokens"]["discarded"])
    assert receipt["model"]["engine"].startswith("llama.cpp/0.3.36")
    assert max(block["candidates"] for block in receipt["blocks"]) > 1
    assert all(spent["spent"] == 0 for spent in receipt["spend"].values())


@pytest.mark.real
def test_an_answer_repeats_by_its_seed_and_a_calm_one_is_the_unguarded_one(real: Any) -> None:
    ask = "Name three uses of a pencil."
    policy = replace(load_policy("default"), allow_unguarded=True)
    guarded, again, plain = (
        ChatIGGuardrail(policy=policy, seed=46, max_tokens=40, strategy=strategy, **DEFAULT).invoke(ask)
        for strategy in ("inference_guard", "inference_guard", "none")
    )
    assert guarded.content == again.content == plain.content


@pytest.mark.real
def test_a_tool_is_called_in_the_form_of_its_schema() -> None:
    model = ChatIGGuardrail(policy="default", seed=3, max_tokens=80, **DEFAULT)

    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    answer = model.bind_tools([weather], tool_choice="weather").invoke("What is the weather in Lisbon?")
    (call,) = answer.tool_calls
    assert call["name"] == "weather"
    assert list(call["args"]) == ["city"]


@pytest.mark.real
def test_no_torch_is_imported(tmp_path: Any) -> None:
    """In a process of its own, in which it cannot be."""
    program = f"""
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "tokenizers", "accelerate", "gguf"):
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Without())
from ig_guardrail.integrations.langchain import ChatIGGuardrail
model = ChatIGGuardrail(policy={str(_words(tmp_path))!r}, seed=1, max_tokens=24, **{DEFAULT!r})
print(model.invoke("Say hello to the sea.").content)
assert "torch" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def _words(folder: Any) -> Any:
    """A policy that reads words alone."""
    file = folder / "words.yaml"
    file.write_text(
        "apiVersion: ig-guardrail/v1\nkind: SafetyPolicy\nmetadata: {name: words, version: 1.0.0}\n"
        "taxonomy: ailuminate-1.0\ncost_models:\n  words: {kind: lexical, model: words, hazards: [hte]}\n"
        "budgets:\n  - {id: tone, hazards: [hte], cost: words, threshold: 0.69, budget: 0.05}\n"
        "messages: {refusal: {en: I cannot help with that.}, closing: {en: Let me stop here.}}\n"
    )
    return file


def test_a_request_that_is_closed_ends_within_its_step(real: Any) -> None:
    root = real.open(prompt(real), Sampling()).result()
    stop = real._operations.caching._pool.stop
    reading = real.open(prompt(real, 60), Sampling(), twin_of=root)
    while stop._account is None and not reading.done():
        pass
    real.close(root)
    with pytest.raises(EngineClosed):
        reading.result()
    assert real.live_nodes() == 0
    after = real.open(prompt(real), Sampling(max_tokens=4)).result()
    assert real.extend([Draw(after)], 4).result()[0].position == 4
    real.close(after)
