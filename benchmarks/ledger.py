"""What a charge costs in a ledger that has many: rows in it against seconds a charge, and their slope.

    python benchmarks/ledger.py [OUT]

Charges are of one account, one a turn, as a tenant's are. In a file they lie as nobody has put them together yet, so
the first charge measured does that, and those after it find what it left. A slope of 0, in logarithms, says that a
charge takes as long however many came before it.
"""

from __future__ import annotations

import json
import math
import platform
import resource
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from command import run
from langgraph.store.memory import InMemoryStore

from ig_guardrail.integrations.langchain.store_ledger import StoreLedger
from ig_guardrail.ledger import Ledger, LedgerEntry, Limit, MemoryLedger, SQLiteLedger
from ig_guardrail.ledger.rows import OVERTAKEN

RESULTS = Path(__file__).parent / "results" / "ledger.json"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
STORE_SIZES = (100, 1_000, 10_000)
LIMITS = {
    "all turns": Limit("b", 1e9),
    "decay 0.9": Limit("b", 1e9, decay=0.9),
    "window 20": Limit("b", 1e9, window=20),
    "window 10000": Limit("b", 1e9, window=10_000),
}
CHARGES = 20
FIRST_VERSION = """
CREATE TABLE turns (account TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE TABLE answers (account TEXT, sha256 TEXT, PRIMARY KEY (account, sha256)) STRICT, WITHOUT ROWID;
CREATE TABLE charges (
    account TEXT NOT NULL, budget TEXT NOT NULL, turn INTEGER NOT NULL, cost REAL NOT NULL CHECK (cost > 0)
) STRICT;
CREATE INDEX by_account ON charges (account, budget);
"""


@dataclass(frozen=True)
class Row:
    """One ledger under one limit: seconds of the first charge behind so many, and the median of those after it."""

    ledger: str
    limit: str
    charges: int
    first_s: float
    median_s: float


def main(arguments: Sequence[str]) -> int:
    """Measure, tell and write."""
    out = Path(arguments[0]) if arguments else RESULTS
    rows = list(measured())
    kinds = [kind for kind, times in Counter(map(_kind, rows)).items() if times > 1]
    slopes = {f"{name}, {limit}": slope(rows, name, limit) for name, limit in kinds}
    for kind, one in slopes.items():
        print(f"{kind}: slope {one:+.2f}")
    told = {
        "machine": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "system": platform.platform(),
        },
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "slopes": slopes,
        "rows": [asdict(row) for row in rows],
    }
    out.write_text(json.dumps(told, indent=1) + "\n")
    return 0


def measured() -> Iterator[Row]:
    """Every ledger under every limit, told as it comes."""
    for name, (fill, sizes) in LEDGERS.items():
        for limit_name, limit in LIMITS.items():
            for size in sizes:
                with TemporaryDirectory() as folder:
                    ledger = fill(Path(folder), limit, size)
                    first, *rest = [_timed(ledger, limit, size + turn) for turn in range(1, CHARGES + 1)]
                row = Row(name, limit_name, size, first, statistics.median(rest))
                print(
                    f"{name:>16} {limit_name:>12} {size:>9}  first {first:.5f} s  then {row.median_s:.5f} s", flush=True
                )
                yield row


def slope(rows: Sequence[Row], ledger: str, limit: str) -> float:
    """Of log seconds a charge over log charges before it: 0 is constant, 1 linear."""
    points = [(math.log(row.charges), math.log(row.median_s)) for row in rows if _kind(row) == (ledger, limit)]
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def _kind(row: Row) -> tuple[str, str]:
    return row.ledger, row.limit


def _timed(ledger: Ledger, limit: Limit, turn: int) -> float:
    began = time.perf_counter()
    assert ledger.charge([LedgerEntry("tenant", turn, "b", 0.01)], {"b": limit})
    return time.perf_counter() - began


def _memory(_: Path, limit: Limit, size: int) -> Ledger:
    """The rows that are left of so many charges, one a turn."""
    ledger = MemoryLedger()
    _timed(ledger, limit, size)
    (rows,) = ledger._charges.values()
    left = OVERTAKEN + limit.window if limit.forgets else 1
    rows["b"] = {turn: Decimal("0.01") for turn in range(max(1, size - left + 1), size + 1)}
    return ledger


def _store(_: Path, limit: Limit, size: int) -> Ledger:
    store = InMemoryStore()
    ledger = StoreLedger(store)
    _timed(ledger, limit, 1)
    (place,) = store.list_namespaces()
    for turn in range(2, size + 1):
        store.put(place, str(turn), {"turn": turn, "cost": "0.01"}, index=False)
    return ledger


def _file(folder: Path, limit: Limit, size: int) -> Ledger:
    """One row a turn, none put together yet, so that the first charge puts together what many would have."""
    ledger = SQLiteLedger(folder / "ledger.db")
    _timed(ledger, limit, 1)
    with closing(sqlite3.connect(ledger.path)) as connection, connection:
        (name,) = connection.execute("SELECT account FROM charges").fetchone()
        rows = ((name, turn) for turn in range(2, size + 1))
        connection.executemany("INSERT INTO charges VALUES (?, 'b', ?, '0.01')", rows)
    return ledger


def _old_file(folder: Path, limit: Limit, size: int) -> Ledger:
    path = folder / "ledger.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(FIRST_VERSION)
        connection.executemany(
            "INSERT INTO charges VALUES ('tenant', 'b', ?, 0.01)", ((turn,) for turn in range(1, size + 1))
        )
    return SQLiteLedger(path)


Fill = Callable[[Path, Limit, int], Ledger]
LEDGERS: dict[str, tuple[Fill, Sequence[int]]] = {
    "memory": (_memory, SIZES),
    "file": (_file, SIZES),
    "file of version 1": (_old_file, SIZES[-1:]),
    "store": (_store, STORE_SIZES),
}

if __name__ == "__main__":
    run(main)
