"""Strategy early_exit is the plain stream behind the same gate, for other work; without an exit it is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.early_exit.layers import raw_exit
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.baselines import early_exit
from ig_guardrail.types import Receipt, Sampling, SearchSettings
from tests.conformance.engine.tiny import quiet_end, tiny_tokenizer, tiny_weights
from tests.conformance.engine.worlds import HELLO
from tests.toys import LetterCost, toy_budget, toy_policy

SIZE, END = 32, 262
LETTER_B = tiny_tokenizer().encode("b")[0]


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    """Its exit is right now and then."""
    engine = TransformersEngine(quiet_end(tiny_weights(), 0.3)).with_exit(raw_exit(1, SIZE))
    yield engine
    engine.shutdown()


def rail(engine: TransformersEngine, budget: float = 1.0) -> Guardrail:
    search = SearchSettings(block=5, hold=4, steer=None, restart=None)
    made = Guardrail(
        engine, toy_policy([toy_budget("b", budget=budget, threshold=0.05)], search), {"level": LetterCost("level")}
    )
    made._approved.set()
    return made


def answer(rail: Guardrail, strategy: str, **how: float) -> Receipt:
    sampling = Sampling(
        seed=3, max_tokens=24, temperature=how.get("temperature", 1.0), logit_bias=((LETTER_B, 4.0), (END, -1e4))
    )
    *_, last = rail.stream(GenerationRequest(HELLO, sampling, strategy))
    assert last.receipt is not None
    return last.receipt


@pytest.mark.parametrize(
    ("temperature", "budget", "outcome"), [(0.0, 1.0, "completed"), (1.0, 1.0, "completed"), (1.0, 0.0, "refused")]
)
def test_it_says_what_cut_says_and_is_charged_the_same(
    engine: TransformersEngine, temperature: float, budget: float, outcome: str
) -> None:
    guarded = rail(engine, budget)
    plain, fast = (answer(guarded, name, temperature=temperature) for name in ("cut", "early_exit"))
    assert (fast.text, fast.verdict, fast.charges) == (plain.text, plain.verdict, plain.charges)
    assert fast.verdict.outcome == outcome
    assert fast.search == {**plain.search, "strategy": "early_exit"}
    assert engine.live_nodes() == 0


def test_right_guesses_save_passes_and_every_guess_counts_as_read(engine: TransformersEngine) -> None:
    plain, fast = (answer(rail(engine), name) for name in ("cut", "early_exit"))
    saved, more = plain.forwards - fast.forwards, fast.tokens["read"] - plain.tokens["read"]
    assert 0 < saved < plain.forwards - 1
    guessed = saved + more
    assert saved < guessed <= fast.forwards


def test_a_model_without_an_exit_is_told_how_to_get_one() -> None:
    engine = TransformersEngine(tiny_weights())
    with pytest.raises(RequestError, match=r"needs an early exit.*has none(?s:.)*`train exit`"):
        answer(rail(engine), "early_exit")
    engine.shutdown()


def test_a_strategy_of_ones_own_that_reads_ahead_fails_without_an_exit() -> None:
    engine = TransformersEngine(tiny_weights())
    with pytest.raises(GenerationFailed, match="has no early exit"):
        list(rail(engine).stream(GenerationRequest(HELLO, Sampling(max_tokens=4), early_exit.search)))
    assert engine.live_nodes() == 0
    engine.shutdown()
