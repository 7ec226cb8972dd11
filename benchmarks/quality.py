"""What guarding does to answers: 80 risky and 44 benign prompts, guarded against unguarded at the same seeds.

    python benchmarks/quality.py                    the final prompts, once settings are fixed
    python benchmarks/quality.py --prompts tuning   other prompts, for choosing settings

Results of single prompts are kept under benchmarks/out/, so an interrupted run goes on where it stopped. A missed bound
is printed and does not change the exit code.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tables
from command import run
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from workers import Job, Workers

from ig_guardrail.costs.heads.judge import read_judge
from ig_guardrail.evaluate.comparison.records import fingerprint
from ig_guardrail.evaluate.prompts import PromptRow, read_prompts
from ig_guardrail.evaluate.quality.figures import Figure, figures
from ig_guardrail.evaluate.quality.trials import Journal, JudgedTrial, Trial, judged
from ig_guardrail.types import Sampling

HERE = Path(__file__).parent
SEED = 41
SAMPLING = Sampling(temperature=0.7, top_p=0.95, max_tokens=64, seed=SEED)
FILES = {
    "final": ("prompts-risky.jsonl", "prompts-benign.jsonl"),
    "tuning": ("prompts-tuning-risky.jsonl", "prompts-tuning-benign.jsonl"),
}


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    console = Console()
    files = [HERE / name for name in FILES[options.prompts]]
    risky, benign = (read_prompts(file)[: options.limit] for file in files)
    sampling = replace(SAMPLING, seed=options.seed)
    try:
        with Workers(options.workers, Job(options.policy, sampling)) as workers:
            setting = {**workers.setting(), "prompts": _sha256(files)}
            journal = Journal(options.out / f"trials-{fingerprint(setting)}.jsonl")
            trials = collect([*risky, *benign], workers, journal, sampling.seed, console)
    except KeyboardInterrupt:
        console.print("Stopped. What is done is kept; the same command goes on from here.")
        return 130
    judge = read_judge()
    read_risky, read_benign = ([judged(judge, trials[row.id]) for row in rows] for rows in (risky, benign))
    asked = {
        "set": options.prompts,
        "limit": options.limit,
        "risky": len(risky),
        "benign": len(benign),
        "seeds": [sampling.seed],
    }
    publish(report(read_risky, read_benign, {**setting, "judge": judge.sha256}, asked), options.out, console)
    return 0


def collect(
    rows: Sequence[PromptRow], workers: Workers, journal: Journal, seed: int, console: Console
) -> dict[str, Trial]:
    """A trial for every prompt, from the journal where it has one."""
    known = [journal.get(row.id, seed) for row in rows]
    trials = {trial.id: trial for trial in known if trial}
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("prompts", total=len(rows), completed=len(trials))
        for trial in workers.trials([row for row in rows if row.id not in trials]):
            journal.add(trial)
            trials[trial.id] = trial
            progress.advance(bar)
    return trials


def report(
    risky: Sequence[JudgedTrial], benign: Sequence[JudgedTrial], setting: dict[str, Any], asked: dict[str, Any]
) -> dict[str, Any]:
    """Everything that is said of a run: when and under what, outcomes, and the figures."""
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "prompts": asked,
        "setting": setting,
        "outcomes": {"risky": _outcomes(risky), "benign": _outcomes(benign)},
        "figures": [_row(figure) for figure in figures(risky, benign)],
    }


def publish(result: dict[str, Any], out: Path, console: Console) -> None:
    """Write quality.json and quality.md, under another name unless all final prompts were run, and print the table."""
    asked = result["prompts"]
    name = "quality" if asked["set"] == "final" and asked["limit"] is None else f"quality-{asked['set']}"
    tables.write_json(out / f"{name}.json", result)
    (out / f"{name}.md").write_text(tables.markdown(result["figures"]) + "\n", encoding="utf-8")
    console.print(tables.terminal(f"quality, {asked['set']} prompts", result["figures"]))
    console.print(f"outcomes: {result['outcomes']}", markup=False)
    missed = [row["title"] for row in result["figures"] if row["ok"] is False]
    console.print(f"MISSED: {'; '.join(missed)}" if missed else "All bounds are kept.", markup=False)
    console.print(f"written to {out / name}.json", markup=False)


def _sha256(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _outcomes(rows: Sequence[JudgedTrial]) -> dict[str, dict[str, int]]:
    arms = ("draft", "guarded", "cut")
    return {arm: dict(Counter(getattr(row.trial, arm).outcome for row in rows)) for arm in arms}


def _row(figure: Figure) -> tables.Row:
    value, low, high = (
        tables.plain(number) for number in (figure.estimate.value, figure.estimate.low, figure.estimate.high)
    )
    interval = None if isinstance(value, int) else [low, high]
    bound = f"{figure.bound.relation} {figure.bound.limit:g}" if figure.bound else None
    return tables.row(figure.part, figure.key, figure.title, value, interval, figure.estimate.n, bound, figure.ok)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure guarded against unguarded answers.")
    parser.add_argument("--prompts", choices=sorted(FILES), default="final", help="which committed prompts")
    parser.add_argument("--limit", type=int, help="only the first N risky and N benign prompts")
    parser.add_argument("--policy", default="default", help="a packaged name or a file")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run(main)
