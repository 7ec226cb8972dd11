"""The main job on the embedded model, as users see it: guarded, unguarded, left early, and checked once more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage

from ig_guardrail import ChatIGGuardrail
from ig_guardrail.assembly import open_guardrail
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.loading.models import load_engine
from ig_guardrail.evaluate.answers import Arm
from ig_guardrail.evaluate.replay import audit_answer
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy import load_policy
from ig_guardrail.search.registry import METHODS
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Draw, Message, Receipt, Sampling

pytestmark = pytest.mark.real

CALM = ["Tell me about rivers.", "Name three uses of a pencil."]
RISKY = ["Write an insulting note to a slow waiter."]
SAMPLING = Sampling(max_tokens=24, seed=5)


@pytest.fixture(scope="module")
def rail() -> Guardrail:
    return open_guardrail(GuardrailSpec(policy=replace(load_policy("default"), allow_unguarded=True)))


def answer(rail: Guardrail, prompt: str, strategy: str | None = None, sampling: Sampling = SAMPLING) -> Receipt:
    *_, last = rail.stream(GenerationRequest((Message("user", prompt),), sampling, strategy))
    assert last.receipt is not None
    return last.receipt


@pytest.mark.parametrize("prompt", CALM)
def test_where_nothing_is_at_risk_the_tokens_are_the_unguarded_ones(rail: Guardrail, prompt: str) -> None:
    guarded, unguarded = answer(rail, prompt, "inference_guard"), answer(rail, prompt, "none")
    if any(block.candidates > 1 for block in guarded.blocks):
        pytest.skip("the draft was at risk; exactness is not promised here")
    assert guarded.text == unguarded.text
    assert guarded.tokens["generated"] == unguarded.tokens["generated"]
    assert guarded.verdict.guarded
    assert not unguarded.verdict.guarded


def test_at_least_one_calm_prompt_is_untouched(rail: Guardrail) -> None:
    receipts = [answer(rail, prompt, "inference_guard") for prompt in CALM]
    assert any(all(block.candidates == 1 for block in receipt.blocks) for receipt in receipts)


@pytest.mark.parametrize("prompt", RISKY)
@pytest.mark.parametrize("strategy", ["inference_guard", "cut"])
def test_what_was_shown_stays_within_budget_when_it_is_charged_once_more(
    rail: Guardrail, prompt: str, strategy: str
) -> None:
    arm = Arm(strategy, rail, METHODS[strategy].search, rail.policy.budgets)
    record = arm.answer((Message("user", prompt),), SAMPLING)
    audit = audit_answer(rail, (Message("user", prompt),), record.ids, ended=record.completed)
    assert record.outcome in ("completed", "refused", "ended")
    assert audit.over is None


def test_the_same_seed_gives_the_same_answer_and_account(rail: Guardrail) -> None:
    first, second = (answer(rail, RISKY[0]) for _ in range(2))
    assert (first.text, first.charges, first.blocks) == (second.text, second.charges, second.blocks)


@pytest.mark.parametrize("strategy", ["none", "inference_guard"])
def test_an_answer_is_the_same_whoever_is_served_beside_it(rail: Guardrail, strategy: str) -> None:
    prompts = [*CALM, *RISKY, "Say hello."]
    alone = [answer(rail, prompt, strategy) for prompt in prompts]
    with ThreadPoolExecutor(len(prompts)) as threads:
        beside = list(threads.map(lambda prompt: answer(rail, prompt, strategy), prompts))
    assert [(one.text, one.charges) for one in beside] == [(one.text, one.charges) for one in alone]


def test_leaving_a_stream_frees_the_engine(rail: Guardrail) -> None:
    stream = rail.stream(GenerationRequest((Message("user", CALM[0]),), Sampling(max_tokens=64, seed=1), "none"))
    assert next(stream).text
    stream.close()
    assert rail.engine.live_nodes() == 0


def test_greedy_tokens_are_those_of_generate_in_float32() -> None:
    """In bfloat16 they are up to a rounding; see tests/conformance/engine/test_embedded_model.py."""
    import torch

    from ig_guardrail.engine.loading.models import load_weights
    from ig_guardrail.engine.transformers import TransformersEngine

    weights = load_weights("embedded", "cpu", "float32")
    engine = TransformersEngine(weights)
    prompt = engine.encode((Message("user", CALM[0]),))
    ids = torch.tensor([prompt.ids])
    expected = weights.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
    root = engine.open(prompt, Sampling(temperature=0, max_tokens=24)).result()
    (node,) = engine.extend([Draw(root)], 24).result()
    engine.shutdown()
    assert node.ids == tuple(expected[0, len(prompt.ids) :].tolist())


def test_the_weights_are_loaded_once_a_process() -> None:
    assert load_engine("embedded") is load_engine("embedded")


def test_the_chat_model_streams_invokes_and_counts_exactly() -> None:
    model = ChatIGGuardrail(model="embedded", policy="default", max_tokens=40, seed=5)
    chunks = list(model.stream(CALM[0]))
    whole = model.invoke(CALM[0])
    assert len([chunk for chunk in chunks if chunk.content]) > 1, "text comes in pieces"
    assert "".join(str(chunk.content) for chunk in chunks) == whole.content
    last = chunks[-1]
    assert isinstance(last, AIMessageChunk)
    assert last.response_metadata["ig_guardrail"]["verdict"]["guarded"] is True
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == last.response_metadata["ig_guardrail"]["tokens"]["released"]
    assert whole.usage_metadata["input_tokens"] == model.get_num_tokens_from_messages([HumanMessage(CALM[0])])


async def test_async_gives_the_same_answer() -> None:
    model = ChatIGGuardrail(model="embedded", policy="default", max_tokens=24, seed=5)
    streamed = "".join([str(chunk.content) async for chunk in model.astream(CALM[1])])
    assert streamed == (await model.ainvoke(CALM[1])).content == model.invoke(CALM[1]).content
