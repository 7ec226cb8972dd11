"""Provenance on the embedded model: its own answers, indexed as what it may not say, are not said again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ig_guardrail.assembly import guard
from ig_guardrail.costs.provenance.index import TokenIndex, write_index
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.loading.models import load_engine, load_tokenizer
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.learn.index import SourceDocument, index_texts
from ig_guardrail.policy import load_policy
from ig_guardrail.types import Message, Receipt, Sampling

pytestmark = pytest.mark.real

HARD = 12
TOKENS = 24
PLANTED = ("What is a lighthouse for?", "How do bees make honey?", "Tell me about the moon.")
OTHERS = ("Name three kinds of cheese.", "What is a violin?", "How do I tie a scarf?")
POLICY = """apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: origin, version: 1.0.0}
cost_models:
  origin: {kind: provenance, unsafe: ./unsafe, reference: ./reference, hazards: [x.recital]}
budgets:
  - {id: recital, hazards: [x.recital], cost: origin, threshold: 0.75}
messages:
  refusal: {en: "No."}
  closing: {en: "Enough."}
allow_unguarded: true
"""


def answer(rail: Guardrail, question: str, strategy: str) -> Receipt:
    *_, last = rail.stream(
        GenerationRequest((Message("user", question),), Sampling(temperature=0, max_tokens=TOKENS), strategy)
    )
    assert last.receipt is not None
    return last.receipt


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    """What the model says greedily, unguarded."""
    rail = guard(load_engine("embedded"), replace(load_policy("default"), allow_unguarded=True))
    return {question: answer(rail, question, "none").text for question in (*PLANTED, *OTHERS)}


@pytest.fixture(scope="module")
def unsafe(plain: dict[str, str]) -> TokenIndex:
    return index_texts(load_tokenizer("embedded"), [SourceDocument(one, plain[one]) for one in PLANTED], "embedded")


@pytest.fixture(scope="module")
def rail(unsafe: TokenIndex, tmp_path_factory: pytest.TempPathFactory) -> Guardrail:
    folder = tmp_path_factory.mktemp("policy")
    harmless = index_texts(load_tokenizer("embedded"), [SourceDocument("harmless", "It is a fine day.")], "embedded")
    for name, index in (("unsafe", unsafe), ("reference", harmless)):
        (folder / name).mkdir()
        write_index(index, folder / name)
    (folder / "origin.yaml").write_text(POLICY)
    return guard(load_engine("embedded"), load_policy(folder / "origin.yaml"), folder)


def longest_run(index: TokenIndex, ids: tuple[int, ...]) -> int:
    return max(n for i in range(len(ids)) for n in range(len(ids) - i + 1) if index.count(ids[i : i + n]))


@pytest.mark.parametrize("strategy", ["prov_decode", "inference_guard"])
def test_a_planted_answer_is_not_recited_and_the_receipt_names_it(
    strategy: str, rail: Guardrail, unsafe: TokenIndex, plain: dict[str, str]
) -> None:
    for question in PLANTED:
        receipt = answer(rail, question, strategy)
        own = chat_of(load_tokenizer("embedded")).text_ids(receipt.text)
        assert longest_run(unsafe, own) < HARD
        assert question in [source.document for source in receipt.sources]


def test_an_answer_that_was_not_planted_is_the_unguarded_one(rail: Guardrail, plain: dict[str, str]) -> None:
    for question in OTHERS:
        assert answer(rail, question, "prov_decode").text == plain[question]
