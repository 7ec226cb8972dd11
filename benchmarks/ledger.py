"""Charges a second, and how long one takes, of many processes that share a ledger.

    python benchmarks/ledger.py                             SQLite, and a PostgreSQL server that is begun for it
    python benchmarks/ledger.py --address postgresql://...  a server that runs; what its ledger holds stays there

Each process charges two budgets at a time, as a block of an answer does, of accounts of its own or all of one account.
Costs are so small that nothing is refused. Both ledgers wait for the disk before they answer.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from command import publish, run

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from ig_guardrail.evaluate import tables  # noqa: E402
from ig_guardrail.ledger import LedgerEntry, Limit, kept_at  # noqa: E402
from tests.scale.postgres import thrown_away  # noqa: E402

LIMITS = {name: Limit(name, 1e9) for name in ("one", "other")}
AIM = 1_000.0  # charges a second in PostgreSQL, accounts apart


def charge(place: str, account: str, begin: Any, seconds: float, told: Any) -> None:
    """What one process does. begin: a barrier; told: takes the seconds that each charge took."""
    ledger, took = kept_at(place), []
    entries = [LedgerEntry(account, 1, name, 1e-6) for name in LIMITS]
    ledger.charge(entries, LIMITS)
    begin.wait()
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        if not ledger.charge(entries, LIMITS):
            raise AssertionError("a charge was refused")
        took.append(time.perf_counter() - began)
    told.put(took)


def measure(place: str, accounts: Sequence[str], seconds: float) -> list[float]:
    """How long each charge took, of a process for each account; seconds, sorted."""
    context = get_context("spawn")
    begin, told = context.Barrier(len(accounts)), context.Queue()
    processes = [context.Process(target=charge, args=(place, one, begin, seconds, told)) for one in accounts]
    for process in processes:
        process.start()
    took = sorted(one for _ in processes for one in told.get(timeout=seconds + 120))
    for process in processes:
        process.join()
    return took


def rows_of(kind: str, how: str, took: Sequence[float], seconds: float, bound: float | None) -> list[tables.Row]:
    """Charges a second, and of one charge the median and the 99th percentile in milliseconds."""
    rate, cuts = len(took) / seconds, statistics.quantiles(took, n=100)
    limit = None if bound is None else f">= {bound:g}"
    title = f"{kind}, {how}"
    return [
        tables.row(
            kind,
            f"{how} rate",
            f"{title}: charges a second",
            round(rate),
            None,
            len(took),
            limit,
            bound is None or rate >= bound,
        ),
        tables.row(kind, f"{how} p50", f"{title}: p50, ms", round(cuts[49] * 1e3, 2), None, len(took)),
        tables.row(kind, f"{how} p99", f"{title}: p99, ms", round(cuts[98] * 1e3, 2), None, len(took)),
    ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure charges of many processes.")
    parser.add_argument("--address", help="of a PostgreSQL server that runs; else one is begun")
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--only", choices=("postgres", "sqlite"))
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    busy = round(os.getloadavg()[0], 1)
    rows: list[tables.Row] = []
    with ExitStack() as stack:
        places: dict[str, str] = {}
        if options.only != "sqlite":
            places["postgres"] = options.address or stack.enter_context(thrown_away()).address
        if options.only != "postgres":
            places["sqlite"] = f"{stack.enter_context(tempfile.TemporaryDirectory())}/ledger.db"
        for kind, place in places.items():
            for how in ("apart", "together"):
                accounts = [f"{how} {n if how == 'apart' else ''}" for n in range(options.processes)]
                took = measure(place, accounts, options.seconds)
                bound = AIM if (kind, how) == ("postgres", "apart") else None
                rows += rows_of(kind, how, took, options.seconds, bound)
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    title = f"Charges of {options.processes} processes"
    publish(options.out / "ledger.json", title, rows, machine=machine, processes=options.processes, load=busy)
    return 0


if __name__ == "__main__":
    run(main)
