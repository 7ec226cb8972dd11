"""Charges a second, and how long one takes, of many processes that share a ledger.

    python benchmarks/ledger.py                             SQLite, and a PostgreSQL server that is begun for it
    python benchmarks/ledger.py --address postgresql://...  a server that runs; what its ledger holds stays there

Each process charges two budgets at a time, as a block of an answer does, of accounts of its own or all of one account.
Costs are so small that nothing is refused. Both ledgers wait for the disk before they answer; a server that does not,
and so would lose charges, is measured to tell what the disk is to blame for. Time of processors is told beside, since
others may be at work on the machine: that of the callers, and of a server that was begun here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from command import publish, run
from processor import processor

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from ig_guardrail.evaluate import tables  # noqa: E402
from ig_guardrail.ledger import LedgerEntry, Limit, kept_at  # noqa: E402
from tests.scale.postgres import thrown_away  # noqa: E402

LIMITS = {name: Limit(name, 1e9) for name in ("one", "other")}
KINDS = ("PostgreSQL", "PostgreSQL without syncs", "SQLite")
AIM = 1_000.0  # charges a second in PostgreSQL, accounts apart


def charge(place: str, account: str, begin: Any, seconds: float, told: Any) -> None:
    """What one process does. begin: a barrier; told: takes the seconds that each charge took."""
    ledger, took = kept_at(place), []
    entries = [LedgerEntry(account, 1, name, 1e-6) for name in LIMITS]
    ledger.charge(entries, LIMITS)
    begin.wait()
    until, worked = time.perf_counter() + seconds, time.process_time()
    while (began := time.perf_counter()) < until:
        if not ledger.charge(entries, LIMITS):
            raise AssertionError("a charge was refused")
        took.append(time.perf_counter() - began)
    told.put((took, time.process_time() - worked))


def measure(place: str, accounts: Sequence[str], seconds: float) -> tuple[list[float], float]:
    """How long each charge took, of a process for each account, sorted; and how long processors worked. Seconds."""
    context = get_context("spawn")
    begin, told = context.Barrier(len(accounts)), context.Queue()
    processes = [context.Process(target=charge, args=(place, one, begin, seconds, told)) for one in accounts]
    for process in processes:
        process.start()
    found = [told.get(timeout=seconds + 120) for _ in processes]
    for process in processes:
        process.join()
    return sorted(one for took, _ in found for one in took), sum(worked for _, worked in found)


@contextmanager
def kept(kind: str, address: str | None) -> Iterator[tuple[str, Path | None]]:
    """The place of a ledger, and the folder of the server that was begun for it."""
    if kind == "SQLite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"{folder}/ledger.db", None
    elif kind == "PostgreSQL" and address:
        yield address, None
    else:
        with thrown_away(f"fsync={'on' if kind == 'PostgreSQL' else 'off'}") as server:
            yield server.address, server.folder


def sync_s() -> float:
    """How long the disk takes to make a small write last: the median, in seconds."""
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(100):
            began = time.perf_counter()
            os.pwrite(file.fileno(), bytes(8_192), 0)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def worked_by(folder: Path) -> float:
    """How long processors have worked for a server, by its folder: itself, and connections that are closed. Seconds."""
    process = (folder / "data" / "postmaster.pid").read_text().splitlines()[0]
    told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, told[11:15])) / os.sysconf("SC_CLK_TCK")


def rows_of(kind: str, how: str, took: Sequence[float], seconds: float, worked: float) -> list[tables.Row]:
    """Charges a second; of one charge the median, the 99th percentile, and the time of processors, in milliseconds."""
    rate, cuts = len(took) / seconds, statistics.quantiles(took, n=100)
    bound = (f">= {AIM:g}", rate >= AIM) if (kind, how) == ("PostgreSQL", "apart") else (None, None)
    told = {"p50, ms": cuts[49], "p99, ms": cuts[98], "time of processors, ms": worked / len(took)}
    return [
        tables.row(kind, f"{how} rate", f"{how}: charges a second", round(rate), None, len(took), *bound),
        *(
            tables.row(kind, f"{how} {name}", f"{how}: {name}", round(value * 1e3, 2), None, len(took))
            for name, value in told.items()
        ),
    ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure charges of many processes.")
    parser.add_argument("--address", help="of a PostgreSQL server that runs; else one is begun")
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    rows: list[tables.Row] = []
    for kind in (options.only,) if options.only else KINDS:
        with kept(kind, options.address) as (place, folder):
            for how in ("apart", "together"):
                busy, before = round(os.getloadavg()[0], 1), worked_by(folder) if folder else 0.0
                accounts = [f"{how} {n if how == 'apart' else ''}" for n in range(options.processes)]
                took, worked = measure(place, accounts, options.seconds)
                worked += worked_by(folder) - before if folder else 0.0
                rows += [{**row, "load": busy} for row in rows_of(kind, how, took, options.seconds, worked)]
    machine = f"{processor()}, {len(os.sched_getaffinity(0))} cores"
    title = f"Charges of {options.processes} processes"
    facts = {"machine": machine, "processes": options.processes, "sync": round(sync_s() * 1e3, 1)}
    publish(options.out / "ledger.json", title, rows, **facts)
    return 0


if __name__ == "__main__":
    run(main)
