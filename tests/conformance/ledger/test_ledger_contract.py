"""One contract for all ledgers: charges add up, are forgotten as the limit says, and never pass what was granted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore

from ig_guardrail.errors import LedgerError
from ig_guardrail.integrations.langchain.store_ledger import StoreLedger
from ig_guardrail.ledger import Ledger, LedgerEntry, Limit, MemoryLedger, SQLiteLedger
from tests.examples import examples

Make = Callable[[], Ledger]


KINDS = ["memory", "sqlite", "store", *(["postgres"] if "IG_TEST_SCALE" in os.environ else [])]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    numbers = iter(range(10**6))
    makers: dict[str, Make] = {
        "memory": MemoryLedger,
        "sqlite": lambda: SQLiteLedger(tmp_path / f"{next(numbers)}.db"),
        "store": lambda: StoreLedger(InMemoryStore()),
        "postgres": lambda: request.getfixturevalue("emptied_ledger")(),
    }
    return makers[request.param]


def charge(ledger: Ledger, cost: float, limit: Limit, turn: int = 1, account: str = "a") -> bool:
    return ledger.charge([LedgerEntry(account, turn, limit.budget, cost)], {limit.budget: limit})


def test_turns_are_counted_by_account(make: Make) -> None:
    ledger = make()
    assert [ledger.turn("a"), ledger.turn("a")] == [1, 1]
    ledger.advance("a", 1)
    ledger.advance("a", 2)
    ledger.advance("a", 1)
    assert [ledger.turn("a"), ledger.turn("b")] == [3, 1]


def test_answers_are_remembered_by_account(make: Make) -> None:
    ledger = make()
    for _ in range(2):
        ledger.remember("a", "f00d")
    assert [ledger.knows(*one) for one in (("a", "f00d"), ("a", "beef"), ("b", "f00d"))] == [True, False, False]


def test_accounts_and_budgets_do_not_mix(make: Make) -> None:
    ledger = make()
    one, other = Limit("x", 1.0), Limit("y", 1.0)
    assert charge(ledger, 0.7, one)
    assert charge(ledger, 0.7, other)
    assert charge(ledger, 0.7, one, account="b")
    assert not charge(ledger, 0.7, one)
    assert [ledger.spent("a", 1, one), ledger.spent("b", 1, one), ledger.spent("c", 1, one)] == [0.7, 0.7, 0.0]


def test_all_entries_are_written_or_none(make: Make) -> None:
    ledger = make()
    limits = {"x": Limit("x", 1.0), "y": Limit("y", 0.1)}
    assert not ledger.charge([LedgerEntry("a", 1, "x", 0.5), LedgerEntry("a", 1, "y", 0.5)], limits)
    assert ledger.spent("a", 1, limits["x"]) == 0


def test_costs_decay_by_turn_and_leave_the_window(make: Make) -> None:
    ledger = make()
    limit = Limit("x", 10.0, decay=0.5, window=3)
    charge(ledger, 4.0, limit, turn=1)
    assert [ledger.spent("a", turn, limit) for turn in (1, 2, 3, 4)] == [4.0, 2.0, 1.0, 0.0]


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 4), st.floats(0.01, 1.0)), max_size=12), st.floats(0, 2))
def test_no_order_of_charges_passes_the_limit(make: Make, charges: list[tuple[int, float]], granted: float) -> None:
    ledger, limit, written = make(), Limit("x", granted), Decimal(0)
    for turn, cost in sorted(charges):
        taken = charge(ledger, cost, limit, turn)
        assert taken == (float(written + Decimal(str(cost))) <= granted), "costs are summed as they are written"
        written += Decimal(str(cost)) if taken else 0
        assert ledger.spent("a", turn, limit) == float(written)


charges_in_turns = st.lists(st.tuples(st.integers(-3, 4), st.integers(1, 400)), max_size=24)
limits = st.builds(Limit, st.just("x"), st.just(1.0), st.sampled_from([1.0, 0.9, 0.25]), st.sampled_from([0, 1, 3]))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(charges_in_turns, limits)
def test_rows_that_are_kept_short_say_what_all_of_them_would(
    make: Make, monkeypatch: pytest.MonkeyPatch, charges: list[tuple[int, int]], limit: Limit
) -> None:
    """Turns go on and back, as answers of a conversation overtake each other; one that is far behind is refused."""
    monkeypatch.setattr("ig_guardrail.ledger.rows.OVERTAKEN", 4)
    ledger, turn, newest, written = make(), 1, 1, list[tuple[int, Decimal]]()

    def spent(at: int) -> Decimal:
        ages = [(max(0, at - own), cost) for own, cost in written]
        counted = [(age, cost) for age, cost in ages if not limit.window or age < limit.window]
        return sum((cost * Decimal(str(limit.decay)) ** age for age, cost in counted), Decimal(0))

    for step, thousandths in charges:
        turn = max(1, turn + step)
        cost = Decimal(thousandths) / 1000
        late = limit.forgets and turn < newest - 4
        fits = not late and float(spent(turn) + cost) <= limit.granted
        assert charge(ledger, float(cost), limit, turn) == fits
        if fits:
            written.append((turn, cost))
            newest = max(newest, turn)
        for at in (newest, newest + 1, newest + 2):
            assert ledger.spent("a", at, limit) == pytest.approx(float(spent(at)), rel=1e-12)


def test_all_entries_of_one_account_are_charged_together(make: Make) -> None:
    ledger, limit = make(), Limit("x", 1.0)
    assert not ledger.charge([LedgerEntry("a", 1, "x", 0.6), LedgerEntry("a", 1, "x", 0.6)], {"x": limit})
    assert ledger.spent("a", 1, limit) == 0
    assert ledger.charge([LedgerEntry("a", 1, "x", 0.5), LedgerEntry("a", 1, "x", 0.5)], {"x": limit})
    assert ledger.spent("a", 1, limit) == 1.0


def test_a_limit_that_is_changed_counts_from_then_on(make: Make) -> None:
    ledger = make()
    for turn in (1, 2, 3):
        assert charge(ledger, 0.1, Limit("x", 1.0), turn)
    assert ledger.spent("a", 3, Limit("x", 1.0)) == 0.3
    assert charge(ledger, 0.1, Limit("x", 1.0, window=2), turn=4)
    assert 0.2 <= ledger.spent("a", 4, Limit("x", 1.0, window=2)) <= 0.4
    assert ledger.spent("a", 6, Limit("x", 1.0, window=2)) == 0


def test_many_at_once_spend_no_more_than_was_granted(make: Make) -> None:
    ledger, limit = make(), Limit("x", 1.0)
    taken: list[bool] = []

    def spend() -> None:
        for _ in range(10):
            taken.append(charge(ledger, 0.1, limit))

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 10
    assert ledger.spent("a", 1, limit) == pytest.approx(1.0)


SPENDER = """
import sys
from ig_guardrail.integrations.langchain.store_ledger import StoreLedger
from ig_guardrail.ledger import LedgerEntry, Limit, SQLiteLedger
ledger, limit = SQLiteLedger(sys.argv[1]), Limit("x", 1e9)
while True:
    ledger.charge([LedgerEntry("a", 1, "x", 1.0)], {"x": limit})
    print("shown", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_moment_loses_no_charge_of_what_was_shown(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "ledger.db"
    SQLiteLedger(path)
    process = subprocess.Popen([sys.executable, "-c", SPENDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(random.Random(seed).randint(1, 40)):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    shown = process.stdout.read().count("shown")
    process.wait()
    process.stdout.close()
    ledger = SQLiteLedger(path)
    spent = ledger.spent("a", 1, Limit("x", 1e9))
    assert spent >= shown
    assert charge(ledger, 1.0, Limit("x", spent + 1))


def test_a_ledger_is_kept_in_its_file(tmp_path: Path) -> None:
    limit = Limit("x", 1.0)
    charge(SQLiteLedger(tmp_path / "kept.db"), 0.4, limit)
    assert SQLiteLedger(tmp_path / "kept.db").spent("a", 1, limit) == 0.4


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="the ledger cannot be used"):
        SQLiteLedger(tmp_path)
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is no database, and it is long enough to be seen as none" * 40)
    with pytest.raises(LedgerError, match="not a database"):
        SQLiteLedger(broken)


def test_many_charges_in_a_store_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.integrations.langchain.store_ledger.PAGE", 3)
    ledger, limit = StoreLedger(InMemoryStore()), Limit("x", 100.0)
    for turn in range(1, 12):
        assert charge(ledger, 1.0, limit, turn)
        ledger.advance("a", turn)
    assert (ledger.spent("a", 12, limit), ledger.turn("a")) == (11.0, 12)


def test_two_processes_over_one_store_cannot_overdraw() -> None:
    """The second writes before the first has counted, finds too much written, and takes its own back."""
    store, limit = InMemoryStore(), Limit("x", 1.0)

    class Overtaken(StoreLedger):
        def spent(self, account: str, turn: int, limit: Limit) -> float:
            if not taken:
                taken.append(True)
                taken.append(charge(StoreLedger(store), 0.7, limit))
            return super().spent(account, turn, limit)

    taken: list[bool] = []
    assert charge(Overtaken(store), 0.7, limit)
    assert taken == [True, False]
    assert StoreLedger(store).spent("a", 1, limit) == 0.7


def test_a_store_that_fails_is_named() -> None:
    class Broken(InMemoryStore):
        def batch(self, ops: Any) -> Any:
            raise OSError("no route")

    ledger = StoreLedger(Broken())
    for asked in (lambda: ledger.turn("a"), lambda: ledger.knows("a", "x"), lambda: ledger.remember("a", "x")):
        with pytest.raises(LedgerError, match="the store of the ledger failed: no route"):
            asked()
