"""Reciting under a budget: Prov-Decode goes another way, a filter refuses, and what everybody says is left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ig_guardrail.costs.provenance.cost import Contrast
from ig_guardrail.costs.provenance.index import TokenIndex
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.errors import RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import QuotedSource, Receipt, Sampling, SearchSettings
from tests.toys import LetterCost, ask, guardrail, toy_budget, toy_policy
from tests.unit.costs.provenance.corpora import cost, indexed, longest_suffix

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SECRET = "nevertelasouls"  # 14 letters
HARD = 12
SHORT_HOLD = SearchSettings(block=4, hold=0, candidates=4, shortest=0, retries=2)
LONG_HOLD = SearchSettings(block=4, hold=HARD - 1, candidates=4, shortest=0, retries=2)
SEEDS = range(40)


@dataclass(frozen=True)
class Reciter:
    """A model that says `secret` after `lead`, each next letter of it with odds .9, and otherwise wanders and ends."""

    lead: str = "so"
    secret: str = SECRET
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(LETTERS))

    def next_tokens(self, place: TokenPlace) -> Distribution:
        said = "".join(LETTERS[token] for token in place.prefix)
        script = self.lead + self.secret
        end = [(self.vocabulary.end, 1.0)]
        if len(said) >= 30:
            return end
        if script.startswith(said) and len(said) < len(script):
            likely = ids(script[len(said)])[0]
            return [(likely, 0.9), *((token, 0.1 / 3) for token in ids("xyz"))]
        return [(self.vocabulary.end, 0.4), *((token, 0.2) for token in ids("xyz"))]


def ids(text: str) -> list[int]:
    return [LETTERS.index(letter) for letter in text]


def opened(reference: TokenIndex, search: SearchSettings, unsafe: str = SECRET, **contrast: int) -> Guardrail:
    model = cost(indexed(ids("zzz"), ids(unsafe)), reference, Contrast(**{"hard": HARD, **contrast}))
    policy = toy_policy([toy_budget("b", model="origin", threshold=0.75)], search, ["origin"])
    return guardrail(Reciter(), policy, {"origin": model})


def answered(rail: Guardrail, strategy: Any, seed: int) -> Receipt:
    sampling = Sampling(temperature=1.0, top_p=1.0, seed=seed, max_tokens=64)
    *_, last = rail.stream(ask(sampling, strategy))
    assert last.receipt is not None
    assert rail.engine.live_nodes() == 0
    return last.receipt


def longest_recital(text: str, secret: str = SECRET) -> int:
    return max(longest_suffix([ids(secret)], ids(text[:n]), len(secret)) for n in range(len(text) + 1))


def shown(receipt: Receipt) -> str:
    """What was shown of the model's own words."""
    return receipt.text.partition("[")[0].rstrip("\n")


NOTHING = indexed(ids("q"))


def test_the_unguarded_model_recites() -> None:
    rail = opened(NOTHING, SHORT_HOLD)
    assert sum(longest_recital(answered(rail, "none", seed).text) >= HARD for seed in SEEDS) > 5


@pytest.mark.slow
@pytest.mark.parametrize("search", [SHORT_HOLD, LONG_HOLD], ids=["short hold", "long hold"])
def test_prov_decode_never_recites_a_run_and_still_ends(search: SearchSettings) -> None:
    rail = opened(NOTHING, search)
    receipts = [answered(rail, "prov_decode", seed) for seed in SEEDS]
    assert {(one.verdict.outcome, one.verdict.finish) for one in receipts} == {("completed", "stop")}
    assert max(longest_recital(one.text) for one in receipts) == HARD - 1
    named = [one for one in receipts if one.sources]
    assert len(named) > 5
    assert {one.sources for one in named} == {(QuotedSource("d1", 0, 2 * HARD),)}


def test_prov_decode_is_the_unguarded_stream_where_nothing_is_vetoed() -> None:
    rail = opened(NOTHING, SHORT_HOLD)
    for seed in SEEDS:
        plain = answered(rail, "none", seed).text
        if longest_recital(plain) < HARD:
            assert answered(rail, "prov_decode", seed).text == plain


@pytest.mark.slow
def test_prov_decode_leaves_the_other_tokens_their_odds() -> None:
    rail = opened(NOTHING, SHORT_HOLD, hard=1, common=0)  # no letter of the secret, and no z, may be said
    first = Counter(answered(rail, "prov_decode", seed).text[:1] for seed in range(300))
    assert set(first) == {"x", "y"}
    assert abs(first["x"] - first["y"]) < 60  # 3.5 standard deviations of a fair coin


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["cut", "resample", "inference_guard", "rollback_retry", "best_of_n"])
@pytest.mark.parametrize("search", [SHORT_HOLD, LONG_HOLD], ids=["short hold", "long hold"])
def test_no_strategy_shows_a_run_whole(strategy: str, search: SearchSettings) -> None:
    rail = opened(NOTHING, search)
    assert max(longest_recital(shown(answered(rail, strategy, seed))) for seed in SEEDS) < HARD


@pytest.mark.slow
def test_with_hold_enough_nothing_of_a_denied_run_is_shown() -> None:
    kept, lost = (opened(NOTHING, replace(search, block=1)) for search in (LONG_HOLD, SHORT_HOLD))
    denied = [seed for seed in SEEDS if answered(kept, "cut", seed).verdict.outcome != "completed"]
    assert len(denied) > 5
    assert {shown(answered(kept, "cut", seed)) for seed in denied} == {"so"}
    assert {shown(answered(lost, "cut", seed)) for seed in denied} == {"so" + SECRET[: HARD - 1]}


def test_a_filter_of_finished_texts_refuses_and_names_the_document() -> None:
    rail = opened(NOTHING, SHORT_HOLD)
    receipts = [answered(rail, "trace_shield", seed) for seed in SEEDS]
    refused = [one for one in receipts if one.verdict.outcome == "refused"]
    assert all(one in refused or one.verdict.outcome == "completed" for one in receipts)
    assert len(refused) > 5
    assert {one.text for one in refused} == {"[refusal"}
    assert all(one.sources[0].document == "d1" for one in refused)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["prov_decode", "trace_shield", "cut", "inference_guard"])
def test_a_phrase_that_the_reference_has_as_well_is_said_as_ever(strategy: str) -> None:
    everyday: Sequence[list[int]] = [ids(f"{before}so{SECRET}xyz") for before in "abcd"]
    rail = opened(indexed(*everyday), SHORT_HOLD)
    plain = [answered(rail, "none", seed).text for seed in SEEDS]
    assert [answered(rail, strategy, seed).text for seed in SEEDS] == plain
    assert max(map(longest_recital, plain)) == len(SECRET)


@pytest.mark.parametrize("strategy", ["prov_decode", "trace_shield"])
@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_without_an_index_that_is_enforced_they_are_refused(strategy: str, mode: Any) -> None:
    indexes = mode == "shadow"  # an index that nothing rests on is none
    model = cost(indexed(ids("zzz"), ids(SECRET)), NOTHING, Contrast(hard=HARD)) if indexes else LetterCost("origin")
    policy = toy_policy([toy_budget("b", model="origin", threshold=0.75, mode=mode)], SHORT_HOLD, ["origin"])
    rail = guardrail(Reciter(), policy, {"origin": model})
    with pytest.raises(
        RequestError, match=rf"strategy '{strategy}' needs an index[\s\S]*`kind: provenance`[\s\S]*`unsafe`"
    ):
        answered(rail, strategy, 0)
