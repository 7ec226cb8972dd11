"""How many replicas for how many streams, and at what price: one measured, two run, many simulated.

    python benchmarks/sizing.py                  everything; `make install-scale` brings what it needs
    python benchmarks/sizing.py --only plan      one part, on what was measured before
    python benchmarks/sizing.py --only plan --price 0.04 --gpu-price 3.5 --rate 12

machine: what a replica of the embedded model takes on one core, in CPU time.
check:   two replicas behind Ray Serve, under loads that are simulated too. Compared is what they answer in a second of
         their own CPU time, since a busy machine takes away from the clock and not from that.
plan:    replicas for 10, 1,000 and 100,000 streams. Rows of GPUs rest on `GPU`, which nobody measured here.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from command import publish, run
from scale.machine import CONTEXT, Machine, measure
from scale.simulation import Load, Plant, simulate

from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate import tables

HERE = Path(__file__).parent
STREAMS = (10, 1_000, 100_000)
BEYOND_PERCENT = 15.0
LOADS = ((2, True), (8, True), (8, False))  # that are run: streams, and whether they are guarded
ANSWER = 32  # tokens, meanwhile
REQUESTS = 40  # of each load: which replica a conversation is hashed to is chance, and two on one share its steps
SEEDS = 50  # of that chance, over which the simulation is taken
AT_ONCE = 16  # of a replica, as `serve` has it
WIDEST = 256  # streams that one replica is tried with
TOGETHER = 8  # replicas that stand for more, on their share of the ledger
BESIDE = 0.04
NAMES = {
    "core": "a core (measured here)",
    "gpu": "a GPU, judging on a core (extrapolated)",
    "beside": "a GPU that judges beside (assumed)",
}
FULL = 0.7  # of what a ledger bears, up to which it is used

# One GPU with 3.35 TB/s and 990 TFLOP/s, a model of 8 billion bf16 parameters, 1,000 tokens of context a stream, 131 kB
# of states a token; 60 % of the bandwidth and 50 % of the arithmetic are reached. Judging: as measured on a core here.
BANDWIDTH, ARITHMETIC = 3.35e12 * 0.6, 990e12 * 0.5
WEIGHTS, STATES, OPERATIONS = 16e9, 131e3 * 1_000, 16e9  # bytes, bytes a row, floating-point operations a token


def gpu(here: Machine) -> Machine:
    """Extrapolated, not measured: see above."""
    first, row = WEIGHTS / BANDWIDTH, STATES / BANDWIDTH + OPERATIONS / ARITHMETIC
    return replace(
        here, steps={width: first + width * row for width in (1, 256)}, read=OPERATIONS / ARITHMETIC, charge=1e-3
    )


def beside(here: Machine) -> Machine:
    """A GPU whose engine scores while it draws: assumed to cost `BESIDE` of a full step, and nothing otherwise."""
    one = gpu(here)
    return replace(one, judge=BESIDE * one.step(WIDEST) / WIDEST, plain=0.0)


def rows_of(machine: Machine) -> list[tables.Row]:
    """What was measured."""
    part = "one replica, one core"
    rows = [
        tables.row(part, f"step-{width}", f"a step of {width} streams, ms", round(1e3 * seconds, 2), None, 1)
        for width, seconds in machine.steps.items()
    ]
    said = {
        "read": "reading a token of a prompt, ms",
        "judge": "a guarded token beyond its step, ms",
        "plain": "an unguarded token beyond its step, ms",
        "serve": "a request beyond its tokens, ms",
        "charge": "a charge in SQLite by the clock, ms",
    }
    for name, title in said.items():
        rows.append(tables.row(part, name, title, round(1e3 * getattr(machine, name), 3), None, 1))
    return rows


def compare(machine: Machine, ends: Sequence[int]) -> tuple[Machine, list[tables.Row]]:
    """Two real replicas beside simulated ones; and the machine with what a request takes beyond its tokens."""
    from scale.replicas import two_replicas

    rows, part = [], "two replicas, run and simulated"
    with two_replicas(ends) as replicas:
        replicas.run(Load(2, answer=1), 4)  # warms up
        short = replicas.run(Load(4, answer=1), 8)
        tokens = machine.read * short.prompt + machine.step(1) + machine.judge
        machine = replace(machine, serve=max(0.0, short.cpu / short.tokens - tokens))
        for streams, guarded in LOADS:
            load = Load(streams, round(short.prompt), ANSWER, guarded=guarded)
            ran = replicas.run(load, REQUESTS)
            told = [simulate(Plant(machine, 2, AT_ONCE, 1e3), load, REQUESTS, seed) for seed in range(SEEDS)]
            drawn, busy = sum(one.tokens for one in told), sum(one.busy for one in told)
            real, said = ran.tokens / ran.cpu, drawn / busy
            off = 100 * (said / real - 1)
            name, title = f"{streams}-{guarded}", f"{streams} streams, {'guarded' if guarded else 'not guarded'}"
            rows += [
                tables.row(part, f"{name}-real", f"{title}: tokens a CPU second", round(real, 1), None, ran.tokens),
                tables.row(part, f"{name}-said", f"{title}: simulated", round(said, 1), None, drawn),
                tables.row(
                    part,
                    f"{name}-off",
                    f"{title}: simulated beyond real, %",
                    round(off, 1),
                    None,
                    1,
                    f"<= {BEYOND_PERCENT:g} either way",
                    abs(off) <= BEYOND_PERCENT,
                ),
            ]
    return machine, rows


def plan(machine: Machine, named: str, price: float, rate: float, bears: float, load: Load) -> list[tables.Row]:
    """Replicas for so many streams, each of which is to get `rate` tokens a second; and what a million tokens cost.

    bears: charges a second of one ledger
    """
    rows = []
    widest = {guarded: _widest(machine, rate, replace(load, guarded=guarded)) for guarded in (True, False)}
    rates = {
        guarded: _run(machine, 1, replace(load, streams=wide, guarded=guarded)).rate for guarded, wide in widest.items()
    }
    cost = {guarded: price * 1e6 / (3_600 * one) for guarded, one in rates.items()}
    rows.append(
        tables.row(named, "wide", f"{named}: streams of one replica at {rate:g} tokens a second", widest[True], None, 1)
    )
    rows.append(tables.row(named, "rate", f"{named}: tokens a second of one replica then", round(rates[True]), None, 1))
    title = f"{named}: a million guarded tokens, at {price:g} an hour"
    rows.append(tables.row(named, "million", title, round(cost[True], 3), None, 1))
    rows.append(
        tables.row(named, "ratio", f"{named}: the same / unguarded", round(cost[True] / cost[False], 2), None, 1)
    )
    for streams in STREAMS:
        count = math.ceil(streams / widest[True])
        demand = streams * rate / load.block * load.charged
        ledgers = max(1, math.ceil(demand / (FULL * bears)))
        few = min(count, TOGETHER)
        own = Plant(machine, few, widest[True], bears * ledgers * few / count)
        found = simulate(own, replace(load, streams=min(streams, few * widest[True])), 3 * few * widest[True])
        title = f"{named}, {streams:,} streams"
        rows += [
            tables.row(named, f"{streams}", f"{title}: replicas", count, None, 1),
            tables.row(named, f"{streams}-charges", f"{title}: charges a second", round(demand, 1), None, 1),
            tables.row(named, f"{streams}-ledgers", f"{title}: ledgers", ledgers, None, 1),
            tables.row(named, f"{streams}-first", f"{title}: first text, p95, s", round(found.first(95), 2), None, 1),
        ]
    return rows


def _widest(machine: Machine, rate: float, load: Load) -> int:
    """Most streams that one replica gives each so many tokens a second; 1 if it cannot."""
    low, high = 1, WIDEST
    while low < high:
        tried = (low + high + 1) // 2
        if _run(machine, 1, replace(load, streams=tried)).rate / tried >= rate:
            low = tried
        else:
            high = tried - 1
    return low


def _run(machine: Machine, replicas: int, load: Load) -> Any:
    return simulate(Plant(machine, replicas, load.streams, 1e6), load, 3 * load.streams)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Say how many replicas are needed.")
    parser.add_argument("--only", choices=("machine", "check", "plan"), action="append", help="may be given again")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement")
    parser.add_argument("--price", type=float, default=0.05, help="of a core, an hour")
    parser.add_argument("--gpu-price", type=float, default=3.0, help="of a GPU, an hour")
    parser.add_argument("--rate", type=float, default=8.0, help="tokens a second that each stream is to get")
    parser.add_argument("--charges", type=float, default=1_000.0, help="a second, that a ledger bears; see ledger.py")
    parser.add_argument("--charged", type=float, default=0.25, help="share of blocks that spend of a shared budget")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    file, parts = options.out / "sizing.json", options.only or ("machine", "check", "plan")
    known = json.loads(file.read_text()) if file.is_file() else {}
    figures: dict[str, list[tables.Row]] = {name: [] for name in ("machine", "check", "plan")}
    for one in known.get("figures", ()):
        figures[one["of"]].append(one)
    if "machine" in parts:
        import torch
        from speed.stage import open_stage, origin_of

        from ig_guardrail.engine.loading.weights import vocabulary_of

        torch.set_num_threads(1)
        stage = open_stage()
        known = {
            **origin_of(stage),
            "ends": sorted(vocabulary_of(stage.weights).end),
            "replica": asdict(measure(stage, options.rounds)),
        }
    if "replica" not in known:
        raise RequestError("nothing was measured yet", where="--only", fix="run the part `machine` first")
    machine = Machine(**{**known["replica"], "steps": {int(n): s for n, s in known["replica"]["steps"].items()}})
    if "check" in parts:
        machine, figures["check"] = compare(machine, known["ends"])
        known["replica"] = asdict(machine)
    figures["machine"] = rows_of(machine)
    if "plan" in parts:
        load = Load(1, CONTEXT, 128, charged=options.charged)
        priced = {
            "core": (machine, options.price),
            "gpu": (gpu(machine), options.gpu_price),
            "beside": (beside(machine), options.gpu_price),
        }
        figures["plan"] = [
            row
            for name, (one, price) in priced.items()
            for row in plan(one, NAMES[name], price, options.rate, options.charges, load)
        ]
    rows = [{**row, "of": name} for name, own in figures.items() for row in own]
    kept = {name: value for name, value in known.items() if name not in ("measured", "figures", "load")}
    publish(file, "How much for how many streams", rows, **kept, load=round(os.getloadavg()[0], 1))
    return 0


if __name__ == "__main__":
    run(main)
