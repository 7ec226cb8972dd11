"""The simulation of replicas, where what comes of it can be told by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("simpy", reason="`make install-scale` brings it")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from scale.machine import Machine
from scale.simulation import Load, Plant, simulate

HERE = Machine({1: 0.010, 2: 0.012, 4: 0.016}, read=0.001, judge=0.002, plain=0.001, serve=0.05, charge=0.004)


def test_one_stream_takes_its_prompt_its_steps_its_judging_and_its_charges() -> None:
    found = simulate(Plant(HERE, 1, 4, 1_000), Load(1, prompt=100, answer=40, block=16, charged=1.0), 1)
    assert found.seconds == pytest.approx(0.05 + 0.1 + 40 * (0.010 + 0.002) + 3 * 0.004)
    assert found.busy == pytest.approx(found.seconds - 3 * 0.004)
    assert (found.tokens, found.charges) == (40, 3)


def test_streams_share_their_steps_and_nothing_else() -> None:
    found = simulate(Plant(HERE, 1, 4, 1_000), Load(4, prompt=100, answer=16, block=16, guarded=False), 4)
    assert found.seconds == pytest.approx(4 * (0.05 + 0.1) + 16 * 0.016 + 4 * 16 * 0.001)


def test_a_replica_more_is_as_much_again() -> None:
    one, two = (simulate(Plant(HERE, count, 4, 1e6), Load(4 * count), 40 * count) for count in (1, 2))
    assert two.rate == pytest.approx(2 * one.rate, rel=0.05)


def test_a_ledger_bears_no_more_charges_than_it_can() -> None:
    slow = simulate(Plant(HERE, 2, 4, 250), Load(8, charged=1.0, block=1), 16)
    assert slow.charges / slow.seconds <= 250
    fast = simulate(Plant(HERE, 2, 4, 1e6), Load(8, charged=1.0, block=1), 16)
    assert fast.rate >= slow.rate


@pytest.mark.parametrize(("width", "seconds"), [(1, 0.010), (3, 0.014), (4, 0.016), (8, 0.024)])
def test_a_step_lies_on_the_line_between_those_that_were_measured(width: int, seconds: float) -> None:
    assert HERE.step(width) == pytest.approx(seconds)
