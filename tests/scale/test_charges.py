"""Charges in PostgreSQL add up, whoever makes them at once: none is lost, none is made twice, none overdraws."""

from __future__ import annotations

import copy
import os
import random
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ig_guardrail.ledger import LedgerEntry, Limit, MemoryLedger, ledger_at
from ig_guardrail.ledger.postgres import PostgresLedger
from tests.examples import examples
from tests.scale.postgres import SCALE, ThrowAway

pytestmark = SCALE
Emptied = Callable[[], PostgresLedger]


@pytest.fixture
def ledger(emptied_ledger: Emptied) -> PostgresLedger:
    return emptied_ledger()


LIMITS = {
    "kept": Limit("kept", 2.0),
    "small": Limit("small", 0.3),
    "fading": Limit("fading", 1.0, decay=0.9),
    "leaving": Limit("leaving", 1.0, window=3),
}
entries = st.builds(
    LedgerEntry,
    st.sampled_from(["a", "b"]),
    st.integers(1, 6),
    st.sampled_from(sorted(LIMITS)),
    st.one_of(st.floats(0, 1), st.sampled_from([0.1, 0.2, 5e-324, Decimal("0.1"), Decimal("1E-30")])),
)


@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(entries, min_size=1, max_size=4), max_size=8))
@example([[LedgerEntry("a", 2, "leaving", 0.9)], [LedgerEntry("a", turn, "leaving", 0.2) for turn in (3, 6)]])
def test_it_decides_as_the_ledger_in_memory(emptied_ledger: Emptied, charges: list[list[LedgerEntry]]) -> None:
    """Whether the database adds up or this program does."""
    ledger, other = emptied_ledger(), MemoryLedger()
    for batch in charges:
        assert ledger.charge(batch, LIMITS) == other.charge(batch, LIMITS)
        for entry in batch:
            asked = entry.account, entry.turn, LIMITS[entry.budget]
            assert ledger.spent(*asked) == other.spent(*asked)


def test_a_limit_that_no_longer_forgets_adds_up_what_is_left(ledger: PostgresLedger) -> None:
    """Rows of several turns, as a limit that forgets leaves them, become one."""
    fading, kept = Limit("x", 10.0, decay=0.5), Limit("x", 3.0)
    for turn in (1, 2, 3):
        assert ledger.charge([LedgerEntry("a", turn, "x", 0.5)], {"x": fading})
    assert ledger.spent("a", 3, kept) == 1.5
    assert not ledger.charge([LedgerEntry("a", 2, "x", 1.51)], {"x": kept})
    assert ledger.charge([LedgerEntry("a", 2, "x", 1.5)], {"x": kept})
    assert ledger.spent("a", 3, kept) == 3.0


SPENDER = """
import random, sys
from decimal import Decimal
from ig_guardrail.ledger import LedgerEntry, Limit, ledger_at
address, seed, granted = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
ledger, draw = ledger_at(address), random.Random(seed)
limits = {"x": Limit("x", granted), "y": Limit("y", granted, decay=0.99)}
taken = {"x": Decimal(0), "y": Decimal(0)}
for _ in range(60):
    costs = {name: Decimal(draw.randint(1, 400)) / 1000 for name in draw.sample(["x", "y"], draw.randint(1, 2))}
    accounts = draw.sample(["a", "b", "c"], 2)
    charge = [LedgerEntry(account, 1, name, cost) for account in accounts for name, cost in costs.items()]
    if ledger.charge(charge, limits):
        for name, cost in costs.items():
            taken[name] += cost * len(accounts)
print(taken["x"], taken["y"])
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_processes_spend_at_once_and_what_remains_is_what_was_granted(
    ledger: PostgresLedger, postgres: ThrowAway, seed: int
) -> None:
    granted = 12.5
    spenders = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, postgres.address, str(seed * 100 + one), str(granted)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in range(4)
    ]
    told = [spender.communicate()[0].split() for spender in spenders]
    for place, name in enumerate(("x", "y")):
        limit = Limit(name, granted)
        spent = {account: ledger.spent(account, 1, limit) for account in "abc"}
        assert sum(Decimal(str(one)) for one in spent.values()) == sum(Decimal(one[place]) for one in told)
        for account, one in spent.items():
            assert one <= granted
            remaining = Decimal(str(granted)) - Decimal(str(one))
            assert ledger.charge([LedgerEntry(account, 1, name, remaining)], {name: limit})
            assert ledger.spent(account, 1, limit) == granted
            assert not ledger.charge([LedgerEntry(account, 1, name, 0.001)], {name: limit})


# A process that forks one answer after the other, each of which is killed: half of them between a charge and the text
# that it pays for, half at any moment. Each tells `shown` by one byte.
KILLED = """
import os, random, signal, sys
from ig_guardrail.ledger import LedgerEntry, Limit, ledger_at
address, times, draw = sys.argv[1], int(sys.argv[2]), random.Random(7)
limit, shown = Limit("x", 1e9), 0
parents = ledger_at(address)
for time in range(times):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        last = draw.randint(1, 3)
        while parents.charge([LedgerEntry("a", 1, "x", 1.0)], {"x": limit}):
            last -= 1
            if time % 2 and not last:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(writing, b".")
    os.close(writing)
    if time % 2 == 0:
        for _ in range(draw.randint(1, 4)):
            shown += len(os.read(reading, 1))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while told := os.read(reading, 1024):
        shown += len(told)
    os.close(reading)
print(shown, int(parents.spent("a", 1, limit)))
"""


def test_200_kills_between_charge_and_release_give_nothing_away(postgres: ThrowAway, ledger: PostgresLedger) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, postgres.address, "200"], capture_output=True, text=True, check=True
    )
    shown, spent = map(int, ran.stdout.split())
    assert shown + 100 <= spent <= shown + 200, (
        "each answer that was killed had at most one charge that it did not show"
    )
    assert ledger.charge([LedgerEntry("a", 1, "x", 1.0)], {"x": Limit("x", spent + 1.0)}), "no lock is left behind"


def test_a_fork_has_connections_of_its_own(ledger: PostgresLedger) -> None:
    limit = Limit("x", 10.0)
    ledger.charge([LedgerEntry("a", 1, "x", 1.0)], {"x": limit})
    child = os.fork()
    if child == 0:
        taken = ledger.charge([LedgerEntry("a", 1, "x", 1.0)], {"x": limit})
        ledger.close()
        os._exit(int(not taken))
    assert os.waitpid(child, 0)[1] == 0
    assert ledger.charge([LedgerEntry("a", 1, "x", 1.0)], {"x": limit})
    assert ledger.spent("a", 1, limit) == 3.0


def test_one_address_is_one_ledger_in_a_process(postgres: ThrowAway, ledger: PostgresLedger) -> None:
    one, other = ledger_at(postgres.address), ledger_at(postgres.address)
    assert one is other
    assert isinstance(one, PostgresLedger)
    one.remember("a", "f00d")
    assert copy.copy(one).knows("a", "f00d")
    one.close()


def test_names_are_hashed(postgres: ThrowAway, ledger: PostgresLedger) -> None:
    name = f"someone-{random.random()}"
    ledger.charge([LedgerEntry(name, 1, "x", 1.0)], {"x": Limit("x", 1.0)})
    ledger.advance(name, 1)
    ledger.remember(name, "f00d")
    for table in ("turns", "answers", "charges", "charge_keys"):
        told = postgres.ask(f"SELECT * FROM ig_guardrail.{table}")
        assert told
        assert name not in str(told)


def test_keys_are_swept(postgres: ThrowAway, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.ledger.postgres._KEYS_SWEPT_S", 0)
    for _ in range(3):
        postgres.ask("UPDATE ig_guardrail.charge_keys SET at = at - interval '1 hour'")
        assert ledger.charge([LedgerEntry("a", 1, "x", 0.1)], {"x": Limit("x", 1.0)})
    assert postgres.ask("SELECT count(*) FROM ig_guardrail.charge_keys") == [(1,)]


# ------------------------------------------------------------------------------------------------------------ pruning


def spend(ledger: PostgresLedger, account: str, cost: float = 0.5) -> bool:
    return ledger.charge([LedgerEntry(account, 1, "x", cost)], {"x": Limit("x", 1.0)})


@pytest.fixture
def silent(postgres: ThrowAway, ledger: PostgresLedger) -> PostgresLedger:
    """Accounts that were silent for 0 to 3 weeks; "b" and "d" have spent nothing."""
    for weeks, account in enumerate("abcd"):
        ledger.advance(account, 1)
        if account in "ac":
            spend(ledger, account)
        ledger.remember(account, "f00d")
        postgres.ask(
            f"UPDATE ig_guardrail.turns SET used = now() - interval '{7 * weeks} days'"
            f" WHERE account = encode(sha256('{account}'), 'hex')"
        )
    return ledger


def left(ledger: PostgresLedger) -> str:
    return "".join(account for account in "abcd" if ledger.turn(account) == 2)


def test_accounts_are_forgotten_by_age(silent: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.ledger.postgres._AT_ONCE", 1)
    assert (silent.forget(days=30), silent.forget(days=10), left(silent)) == (0, 2, "ab")
    assert silent.spent("c", 1, Limit("x", 1.0)) == 0
    assert not silent.knows("c", "f00d")
    assert silent.spent("a", 1, Limit("x", 1.0)) == 0.5


def test_accounts_are_forgotten_by_count(silent: PostgresLedger) -> None:
    assert (silent.keep(4), left(silent)) == (0, "abcd")
    assert (silent.keep(3), left(silent)) == (1, "abc"), "of those that have spent nothing the longest silent"
    assert (silent.keep(1), left(silent)) == (2, "a")


def test_a_charge_makes_an_account_young_again(silent: PostgresLedger) -> None:
    assert spend(silent, "d")
    assert (silent.forget(days=10), left(silent)) == (1, "abd")
