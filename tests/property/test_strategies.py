"""Every method against its definition, on trees that can be enumerated; none can show what is over budget."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.search import deal
from ig_guardrail.search.baselines import ctrl
from ig_guardrail.search.drawing import preference
from ig_guardrail.search.needs import CONSTITUTION, INDEX
from ig_guardrail.search.registry import METHODS
from tests.examples import examples
from tests.trees import LETTERS, PartialValue, Toy, solve, toys

ANYWHERE = METHODS.keys() - {"none", "re_control", "early_exit"}  # the last two need layers, and toys have none
CHANCE = math.log(1 / LETTERS)  # of every letter


class PrefixValue(PartialValue):
    """The mean value of the whole texts under a prefix, which is known at every length."""

    def predict(self, nodes: Any) -> list[float]:
        return [worth(self.toy, node.text) for node in nodes]


def constitution(name: str) -> dict[str, Any]:
    """What a method that reads under one is given; others draw from the model alone."""
    return {"steer": "Be kind."} if CONSTITUTION in METHODS[name].needs else {}


def named(name: str) -> Any:
    """A method as a toy, which has no index, can ask for it."""
    return METHODS[name].search if INDEX in METHODS[name].needs else name


def worth(toy: Toy, text: str) -> float:
    values = [toy.value[leaf] for leaf in toy.leaves(text)]
    return math.fsum(values) / len(values)


def spent(toy: Toy, text: str) -> float:
    """What a text costs: the rise over the threshold of 0.5, once."""
    return 0.0 if toy.safe(text) else 0.5


def prefixes(toy: Toy) -> list[str]:
    return ["".join(word) for n in range(1, toy.depth + 1) for word in itertools.product("abc"[:LETTERS], repeat=n)]


def shown(receipt: Any) -> str:
    """The model's words in a receipt."""
    text: str = receipt.text
    return text if receipt.verdict.outcome == "completed" else text[: text.rindex("[")].removesuffix("\n\n")


RANKS = {
    "best_of_n_plain": lambda toy, text: (toy.value[text],),
    "best_of_n": lambda toy, text: (toy.safe(text), toy.value[text]),
    "best_of_n_lagrangian": lambda toy, text: (toy.value[text] - preference.PRICE * spent(toy, text),),
}


@settings(max_examples=examples(60), deadline=None)
@given(toys((1, 2, 3)), st.sampled_from(sorted(RANKS)), st.sampled_from([1, 2, 8]))
def test_best_of_all_texts_is_the_preferred_one(toy: Toy, name: str, block: int) -> None:
    receipt = solve(toy, Values(reward=PartialValue(toy)), name, block=toy.depth, candidates=LETTERS**toy.depth)
    best = max(toy.leaves(), key=lambda text: RANKS[name](toy, text))
    assert (receipt.verdict.outcome == "completed") == toy.safe(best)
    assert receipt.text == (best if toy.safe(best) else "[refusal")


BEAMS = {
    "beam_plain": lambda toy, text: (worth(toy, text),),
    "beam": lambda toy, text: (toy.safe(text), worth(toy, text)),
    "beam_lagrangian": lambda toy, text: (worth(toy, text) - preference.PRICE * spent(toy, text),),
}


def shared(texts: list[str]) -> str:
    """The longest text that all begin with."""
    return next(
        texts[0][:n] for n in range(len(texts[0]), -1, -1) if all(one.startswith(texts[0][:n]) for one in texts)
    )


def best_by_beams(toy: Toy, beams: int, name: str) -> str | None:
    """Beam search as it is defined: what all beams share is committed, and the first denial ends it."""
    kept, tip = [""], ""
    for _ in range(toy.depth):
        grown = [text + letter for text in kept for letter in "abc"[:LETTERS]]
        kept = sorted(grown, key=lambda text: BEAMS[name](toy, text), reverse=True)[:beams]
        ended = len(kept[0]) == toy.depth
        tip = kept[0] if ended else shared(kept)
        if not toy.safe(tip):
            return None
    return tip


@pytest.mark.slow
@settings(max_examples=examples(100), deadline=None)
@given(toys((2, 3, 4)), st.sampled_from([1, 2, 3]), st.sampled_from(sorted(BEAMS)))
def test_beams_are_the_preferred_prefixes_of_every_length(toy: Toy, beams: int, name: str) -> None:
    """Every beam is extended by every letter, so there is nothing left to chance."""
    search = {"block": 1, "beams": beams, "candidates": LETTERS * beams, "hold": 16}
    receipt = solve(toy, Values(reward=PrefixValue(toy)), named(name), **search)
    assert receipt.text == (best_by_beams(toy, beams, name) or "[refusal")


@settings(max_examples=examples(40), deadline=None)
@given(toys((2, 3, 4)))
def test_args_takes_the_worthiest_of_the_likeliest_at_every_token(toy: Toy) -> None:
    text = ""
    while len(text) < toy.depth:
        text = max((text + letter for letter in "abc"[:LETTERS]), key=lambda one: worth(toy, one))
    receipt = solve(toy, Values(reward=PrefixValue(toy)), "args", hold=16)
    assert receipt.text == text if toy.safe(text) else receipt.verdict.outcome in ("refused", "ended")


@settings(max_examples=examples(40), deadline=None)
@given(toys((2, 3, 4)), st.sampled_from([1, 2]))
def test_trace_shield_shows_the_whole_stream_or_nothing(toy: Toy, block: int) -> None:
    """Lane 0 says the first letter, again and again."""
    receipt = solve(toy, Values(), named("trace_shield"), block=block)
    text = "a" * toy.depth
    assert receipt.text == (text if toy.safe(text) else "[refusal")


@settings(max_examples=examples(40), deadline=None)
@given(toys((2, 3)), st.integers(1, 3))
def test_deal_judges_a_token_by_where_the_greedy_continuation_leads(toy: Toy, far: int) -> None:
    """All letters are equally likely, so the greedy continuation is the first letter again and again."""
    method = deal.Deal(k=LETTERS, lookahead=far, weight=2.0)
    text = ""
    while len(text) < toy.depth:
        ends = {text + letter: (text + letter + "a" * (far - 1))[: toy.depth] for letter in "abc"[:LETTERS]}
        text = max(ends, key=lambda one: (toy.safe(ends[one]), CHANCE + 2.0 * worth(toy, ends[one])))
    receipt = solve(toy, Values(reward=PrefixValue(toy)), method, hold=16)
    assert receipt.text == text if toy.safe(text) else receipt.verdict.outcome in ("refused", "ended")


@settings(max_examples=examples(60), deadline=None)
@given(toys((2, 3, 4)), st.integers(1, 9))
def test_speculative_rejection_keeps_the_better_half_of_every_block(toy: Toy, lanes: int) -> None:
    """Lane i says the i-th letter, again and again."""
    texts = dict.fromkeys(range(lanes), "")
    for _ in range(toy.depth):
        texts = {lane: text + "abc"[lane % LETTERS] for lane, text in texts.items()}
        ranked = sorted(texts, key=lambda lane: (toy.safe(texts[lane]), worth(toy, texts[lane])), reverse=True)
        kept = ranked[: max(1, len(ranked) // 2)]
        best = texts[ranked[0]]
        texts = {lane: text for lane, text in texts.items() if lane in kept}
    receipt = solve(toy, Values(reward=PrefixValue(toy)), "speculative_rejection", block=1, candidates=lanes)
    assert receipt.text == (best if toy.safe(best) else "[refusal")


@pytest.mark.slow
@settings(max_examples=examples(250), deadline=None)
@given(
    toys((2, 3, 4)),
    st.sampled_from(sorted(ANYWHERE)),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([0, 1, 16]),
    st.integers(1, 6),
)
def test_no_method_shows_what_is_over_budget(toy: Toy, name: str, block: int, hold: int, candidates: int) -> None:
    """And each ends, with nothing left in the engine (`solve` looks)."""
    search = {"block": block, "hold": hold, "candidates": candidates, "beams": 1, "retries": 1, **constitution(name)}
    receipt = solve(toy, Values(reward=PrefixValue(toy)), named(name), **search)
    assert receipt.verdict.outcome in ("completed", "refused", "ended")
    assert toy.safe(shown(receipt))
    if receipt.verdict.outcome == "completed":
        assert len(receipt.text) == toy.depth


@pytest.mark.parametrize("name", sorted(ANYWHERE))
def test_methods_that_cannot_stream_show_nothing_before_the_end(name: str) -> None:
    toy = Toy(6, {}, {"".join(word): 0.0 for word in itertools.product("abc", repeat=6)})
    search = {"block": 2, "hold": 0, "candidates": 4, **constitution(name)}
    receipt = solve(toy, Values(reward=PartialValue(toy)), named(name), **search)
    assert receipt.verdict.outcome == "completed"
    first, last = receipt.blocks[0].position, receipt.blocks[-1].position
    assert (first < last) == METHODS[name].streams


# ------------------------------------------------------------------------------------------------------------ CTRL

PHIS = {
    "u": lambda u: u,
    "log u": lambda u: math.log(max(u, 1e-300)),
    "e^{5u}": ctrl.for_best_of_n,
    "-e^{-5u}": ctrl.for_worst_of_n,
}
RATES = {  # at a divergence of half a nat: of one answer, of the best of four, of the worst of four
    "u": (0.774, 0.800, 0.886),
    "log u": (0.768, 0.768, 0.927),
    "e^{5u}": (0.746, 0.857, 0.747),
    "-e^{-5u}": (0.754, 0.723, 0.944),
}
GRID = 20_000


def tilted(phi: Any, beta: float) -> list[float]:
    """The optimum's density over calibrated rewards, f(u) ~ exp(Phi(u) / beta), on a grid of midpoints; mean 1."""
    exponents = [phi((i + 0.5) / GRID) / beta for i in range(GRID)]
    highest = max(exponents)
    masses = [math.exp(value - highest) for value in exponents]
    total = math.fsum(masses) / GRID
    return [mass / total for mass in masses]


def divergence(density: list[float]) -> float:
    return math.fsum(f * math.log(f) for f in density if f > 0) / GRID


def rates(density: list[float], n: int = 4) -> tuple[float, float, float]:
    """Win rate of one answer, of the best of n and of the worst of n, against the same of the reference."""
    win = best = worst = below = 0.0
    for i, f in enumerate(density):
        u, mass = (i + 0.5) / GRID, f / GRID
        middle = below + mass / 2
        win += u * mass
        best += n * u ** (n - 1) * (1 - middle**n) / GRID
        worst += n * (1 - u) ** (n - 1) * (1 - middle) ** n / GRID
        below += mass
    return win, best, worst


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PHIS))
def test_transforms_give_the_rates_that_the_theory_says_at_half_a_nat(name: str) -> None:
    low, high = 1e-3, 1e3
    for _ in range(60):
        beta = math.sqrt(low * high)
        low, high = (beta, high) if divergence(tilted(PHIS[name], beta)) > 0.5 else (low, beta)
    assert rates(tilted(PHIS[name], high)) == pytest.approx(RATES[name], abs=2e-3)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=20))
def test_calibrated_rewards_do_not_depend_on_the_scale(values: list[int]) -> None:
    plain = [ctrl.calibrated(value, values) for value in values]
    cubed = [ctrl.calibrated(value**3, [other**3 for other in values]) for value in values]
    assert plain == cubed
    assert all(0 <= c <= 1 for c in plain)
    assert math.fsum(plain) / len(plain) == pytest.approx(0.5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_weights_are_a_distribution_that_rises_with_the_reward(values: list[float]) -> None:
    for tilt in (ctrl.TOP, ctrl.BOTTOM):
        odds = tilt.weights(values)
        assert math.fsum(odds) == pytest.approx(1)
        ranked = sorted(zip(values, odds, strict=True))
        assert all(a[1] <= b[1] + 1e-12 for a, b in itertools.pairwise(ranked))


@pytest.mark.parametrize("tilt", [ctrl.TOP, ctrl.BOTTOM], ids=["top", "bottom"])
def test_the_method_draws_half_a_nat_from_the_model(tilt: ctrl.Tilt) -> None:
    assert divergence(tilted(tilt.transform, tilt.beta)) == pytest.approx(0.5, abs=0.01)


BETAS = (
    1e4,
    300.0,
    100.0,
    30.0,
    10.0,
    3.0,
    1.0,
    0.3,
    0.1,
    0.03,
    0.01,
    1e-4,
)  # from hardly any tilt to nothing but the best


@pytest.mark.parametrize("transform", [ctrl.for_best_of_n, ctrl.for_worst_of_n], ids=["top", "bottom"])
@pytest.mark.parametrize("answers", [2, 5, 16])
def test_distance_buys_wins_and_beta_is_its_price(transform: ctrl.Transform, answers: int) -> None:
    """The curve of KL against win rate: both rise as beta falls, from the model itself to best-of-n."""
    shares = [(rank + 0.5) / answers for rank in range(answers)]
    laws = [ctrl.Tilt(transform, beta).weights(shares) for beta in BETAS]
    distances = [math.fsum(w * math.log(w * answers) for w in law if w > 0) for law in laws]
    wins = [math.fsum(w * share for w, share in zip(law, shares, strict=True)) for law in laws]
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(distances))
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(wins))
    assert (distances[0], wins[0]) == (pytest.approx(0, abs=1e-3), pytest.approx(0.5, abs=1e-2))
    assert (distances[-1], wins[-1]) == (pytest.approx(math.log(answers)), pytest.approx(shares[-1]))
    between = [one for one in distances if 0.05 * math.log(answers) < one < 0.95 * math.log(answers)]
    assert between, "the trade-off is gradual"


def shuffled_toys(count: int) -> list[Toy]:
    """Toys where nothing is harmful, whose texts have the values 0, 1, 2 ... in any order."""
    texts = ["".join(word) for word in itertools.product("abc"[:LETTERS], repeat=2)]
    dice = random.Random(11)
    return [
        Toy(2, {}, {text: float(rank) for rank, text in enumerate(dice.sample(texts, len(texts)))})
        for _ in range(count)
    ]


def drawing(tilt: ctrl.Tilt, seed: int) -> Any:
    """The method as a request with this seed is served."""

    def search(root: Any, ctx: Any) -> Any:
        return ctrl.ctrl(tilt)(root, replace(ctx, seed=seed))

    return search


@pytest.mark.slow
def test_on_toy_models_answers_are_drawn_by_the_curve_and_are_not_the_best_of_n() -> None:
    toys_ = shuffled_toys(120)
    shares = [(rank + 0.5) / LETTERS**2 for rank in range(LETTERS**2)]
    found = []
    for beta in (1e4, ctrl.TOP.beta, 3.0, 0.01):
        tilt = ctrl.Tilt(ctrl.for_best_of_n, beta)
        ranks = [
            toy.value[solve(toy, Values(reward=PartialValue(toy)), drawing(tilt, k), block=2).text]
            for k, toy in enumerate(toys_)
        ]
        expected = math.fsum(w * share for w, share in zip(tilt.weights(shares), shares, strict=True))
        assert sum(shares[int(rank)] for rank in ranks) / len(ranks) == pytest.approx(expected, abs=0.08)
        found.append(sum(rank == LETTERS**2 - 1 for rank in ranks) / len(ranks))
    assert found == sorted(found)
    assert found[1] < 0.7, "at its own beta it often takes another than the best"
    assert found[-1] == 1, "with no price on distance it is best-of-n"
