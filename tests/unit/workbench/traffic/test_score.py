"""What texts score without a model: by words, with what each score rests on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ig_guardrail.costs.heads.words import bucket, count_terms, terms_of
from ig_guardrail.errors import RequestError
from ig_guardrail.policy import compile_text
from ig_guardrail.types import CompiledPolicy, ToolCall
from ig_guardrail.workbench.traffic.bench import Bench, bench_of_words
from ig_guardrail.workbench.traffic.score import ScoredText, fired_patterns, score_texts
from ig_guardrail.workbench.traffic.texts import TextRow, read_call, read_texts
from tests.golden.conversations import POLITE
from tests.unit.costs.artifacts import lexical

SHOP = (
    POLITE.replace("prompt: {cost: rude, threshold: 0.5, on_exceed: refuse}\n", "")
    .replace("cost_models:\n", "cost_models:\n  tone: {kind: lexical, model: ./tone, hazards: [x.tone]}\n")
    .replace("cost_models:\n", "cost_models:\n  deep: {kind: latent, head: toxic-tone, hazards: [x.tone]}\n")
    .replace(
        "budgets:\n",
        "budgets:\n"
        "  - {id: tone, hazards: [x.tone], cost: tone, threshold: 0.5, budget: 0.1, every: 4}\n"
        "  - {id: deep, hazards: [x.tone], cost: deep, threshold: 0.5}\n",
    )
    + "tools:\n  allow: [refund]\n  arguments: [{tool: refund, argument: amount, most: 100}]\n"
)


def compiled(text: str, folder: Path) -> CompiledPolicy:
    policy, faults = compile_text(text, str(folder / "shop.yaml"))
    assert policy is not None, [fault.message for fault in faults]
    return policy


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    lexical(tmp_path / "tone")
    return bench_of_words(compiled(SHOP, tmp_path), tmp_path)


def scored(bench: Bench, text: str, *calls: ToolCall) -> ScoredText:
    (one,) = score_texts(bench, [TextRow(text, "here", calls=calls)])
    return one


def test_charge_points_fall_by_words_and_a_denial_is_told_with_its_place(bench: Bench) -> None:
    one = scored(bench, "You are a true blockhead and more.")
    assert one.denied is not None
    assert (one.denied.budget, one.denied.position) == ("rudeness", 7)
    assert [line.position for line in one.charged.charges if line.budget == "rudeness"] == [4, 7]


def test_the_pattern_that_fired_is_told_by_place_and_spelling(bench: Bench) -> None:
    one = scored(bench, "You are a true blockhead and more.")
    assert one.denied is not None
    specs = {name: cost.spec for name, cost in bench.costs.by_name.items()}
    assert fired_patterns(one.denied, specs) == {"rude": [r"patterns[0] (?i)\bblockhead"]}


def test_a_harmless_text_is_within_budget_and_what_is_left_is_told(bench: Bench) -> None:
    one = scored(bench, "Grass grows green today")
    assert one.denied is None
    assert {line.budget: line.z_after for line in one.charged.charges}["tone"] == 0.1


def test_the_words_that_weigh_most_are_told(bench: Bench) -> None:
    one = scored(bench, "what an idiot")
    assert next(iter(one.weights["tone"])) == "idiot"


def test_weights_add_up_to_the_logit(bench: Bench) -> None:
    head = bench.costs.by_name["tone"].model
    text = "what an idiot, you idiot!"
    shares = head.weigh(text)  # type: ignore[attr-defined]
    ((_, (score,)),) = head.advance([(head.start(None), _piece(text))])  # type: ignore[arg-type]
    assert head.scale.score(sum(shares.values()) + head.line.bias) == pytest.approx(score)  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "Don't  STOP don't", "Ünïcode wörds, and \u0430 look-alike", "one"])
def test_terms_are_those_that_are_counted(text: str) -> None:
    assert Counter(bucket(term, 64) for term in terms_of(text)) == dict(count_terms(text, 64))


def test_what_needs_a_model_is_left_out_and_said(bench: Bench) -> None:
    assert bench.left_out == {"deep": "`deep` (kind `latent`) does not read words by itself"}
    assert any("not scored: deep" in note for note in bench.notes)
    assert any("fall by words" in note for note in bench.notes)


def test_an_entry_that_reads_words_serves_instead_and_that_is_said(tmp_path: Path) -> None:
    lexical(tmp_path / "tone")
    policy = compiled(
        SHOP.replace("head: toxic-tone, hazards: [x.tone]", "head: toxic-tone, hazards: [x.tone], otherwise: tone"),
        tmp_path,
    )
    bench = bench_of_words(policy, tmp_path)
    assert bench.left_out == {}
    assert bench.costs.substitutes == {"deep": "tone"}
    assert any("`tone` serves as `deep`" in note for note in bench.notes)


def test_a_call_is_judged_by_the_rules_for_tools_and_charged(bench: Bench) -> None:
    over, fine, unknown = ToolCall("refund", {"amount": 500}), ToolCall("refund", {"amount": 5}), ToolCall("pay", {})
    assert scored(bench, "", over).rules == (("arguments[0]",),)
    assert scored(bench, "", over).denied is not None
    assert scored(bench, "Here you are.", fine).rules == ((),)
    assert scored(bench, "Here you are.", fine).denied is None
    assert scored(bench, "", unknown).rules == (("allow",),)


def test_rows_are_read_with_their_places(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"response": "Hi.", "prompt": "Hello?", "label": "safe"}\n\n{"call": {"refund": {"amount": 5}}}\n')
    first, second = read_texts(file)
    assert (first.text, first.prompt, first.place) == ("Hi.", "Hello?", f"{file}:1")
    assert (second.text, second.calls, second.place) == ("", (ToolCall("refund", {"amount": 5}),), f"{file}:3")


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "\\ud83d alone"}',
        "[]",
        '{"text": 3}',
        '{"prompt": "x"}',
        "{",
        '{"text": "a", "call": []}',
        '{"text": "a", "answer": "b"}',
    ],
)
def test_a_row_that_is_no_answer_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(RequestError) as refused:
        list(read_texts(file))
    assert refused.value.where == f"{file}:2"


@pytest.mark.parametrize("given", ["refund", "[]", '{"refund": 500}', "{" * 50_000])
def test_a_call_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(RequestError, match="the call cannot be read"):
        read_call(given)


def _piece(text: str):  # type: ignore[no-untyped-def]
    from ig_guardrail.types import Piece

    return Piece(text, ended=True)
