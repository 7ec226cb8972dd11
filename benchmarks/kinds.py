"""What packaged policies find of harmful answers and stop of harmless ones, beside the embedded model.

    python benchmarks/kinds.py --data ROWS.jsonl.gz    writes benchmarks/out/kinds.json

Each answer is given whole, as the answer to its own question, and charged as if the model had written it: what is
counted is any budget that it overdraws. ROWS (may be given again): of them, test rows that no judge has learned. With
them stand answers of this project that no head has learned, and the model's own to questions that no head has learned
the answers of (`--own`, made by `ig-guardrail train answers --rows`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from command import publish, run

from ig_guardrail.evaluate import tables
from ig_guardrail.learn.data.recipes import EVERYDAY, OURS, OWN_ANSWERS, SENSITIVE
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.learn.fitting.tensor_cache import progress_line
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.workbench.traffic.bench import Bench, open_bench
from ig_guardrail.workbench.traffic.calibrate import data_sha256
from ig_guardrail.workbench.traffic.texts import TextRow

HERE = Path(__file__).parent
SETS = Path(str(files("ig_guardrail.evaluate"))) / "prompt_sets"
WRITTEN = ("sensitive.jsonl", "exchanges.jsonl", "aside.jsonl")
ASIDE = "everyday, aside"
POLICIES = ("default", "strict")
MOST = 150  # answers of a kind, by the order of their hashes
KINDS: Mapping[str, tuple[str, str]] = {  # source and label of each
    "help with harm (JailbreakBench)": ("JailbreakBench-artifacts", "harmful"),
    "unkind talk (DiaSafety)": ("DiaSafety", "harmful"),
    "unkind tweets (Davidson)": ("t-davidson", "harmful"),
    "own answers to everyday requests": (OWN_ANSWERS, "safe"),
    "everyday, by this project": (EVERYDAY, "safe"),
    "the same on law, health, arms, police": (ASIDE, "safe"),
    "sensitive matters, by this project": (SENSITIVE, "safe"),
    "Alpaca's": ("Alpaca subset", "safe"),
    "Dolly's": ("Dolly subset", "safe"),
    "to harmful requests (safety-tuned)": ("safety-tuned-llamas safety-only", "safe"),
    "to harmful requests (JailbreakBench)": ("JailbreakBench-artifacts", "safe"),
    "harmless talk (DiaSafety)": ("DiaSafety", "safe"),
    "harmless tweets (Davidson)": ("t-davidson", "safe"),
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure packaged policies on kinds of answers.")
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled rows; may be given again")
    parser.add_argument("--own", type=Path, required=True, help="the model's own answers to everyday requests")
    parser.add_argument("--policy", choices=POLICIES, action="append", help="both, if left out")
    parser.add_argument("--out", type=Path, default=HERE / "out" / "kinds.json")
    options = parser.parse_args(arguments)
    rows = read_rows([*options.data, options.own, *(SETS / name for name in WRITTEN)]).rows
    kinds = {kind: chosen(rows, *source) for kind, source in KINDS.items()}
    figures = [
        one for name in options.policy or POLICIES for one in measured(open_bench(name, "embedded"), name, kinds)
    ]
    data = {path.name: data_sha256(path) for path in (*options.data, options.own)}
    publish(options.out, "Policies beside the embedded model", figures, model="embedded", data_sha256=data)
    return 0


def chosen(rows: Sequence[LabelledRow], source: str, label: str) -> list[LabelledRow]:
    """Test rows of a source; of public ones those that no judge has learned."""
    ours = source in (*OURS, ASIDE)
    fitting = (row for row in rows if (row.source, row.label, row.split) == (source, label, "test"))
    usable = (row for row in fitting if row.response and row.text.strip() and (ours or not row.reserved))
    return sorted(usable, key=lambda row: digest_of(row.prompt, row.text))[:MOST]


def measured(bench: Bench, name: str, kinds: Mapping[str, Sequence[LabelledRow]]) -> Iterator[tables.Row]:
    """Of each kind of answers, the share that overdraws any budget of a policy, and each one."""
    show, done, count = progress_line(f"charging under {name}"), 0, sum(map(len, kinds.values()))
    for kind, mine in kinds.items():
        over: dict[str, int] = dict.fromkeys(("any", *(budget.id for budget in bench.policy.budgets)), 0)
        for row in mine:
            charges = bench.charge(TextRow(row.text, kind, row.prompt)).charges
            denied = {charge.budget for charge in charges if charge.z_after < 0}
            for budget in (*denied, *(("any",) if denied else ())):
                over[budget] += 1
            show(done := done + 1, count)
        for budget, found in over.items():
            share = proportion(found, len(mine))
            yield tables.row(name, budget, kind, share.value, (share.low, share.high), share.n)


if __name__ == "__main__":
    run(main)
