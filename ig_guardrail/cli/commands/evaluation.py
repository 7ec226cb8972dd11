"""`ig-guardrail eval`: strategies compared on prompts, by an independent judge, at what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ig_guardrail.extras import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ig_guardrail.evaluate.comparison.config import Config
    from ig_guardrail.evaluate.comparison.records import Record
    from ig_guardrail.evaluate.comparison.runner import CellTask

MOST_STREAMS = 256


def eval_command(
    config: Annotated[
        str,
        typer.Argument(
            help="A YAML file, or a preset: "
            "quality, smoke, embedded, equal, hard, sweep, robustness, adversarial, second, paper."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of records and tables; eval-NAME if left out.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A model, in place of those of the comparison.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="A policy's name or file, in place of those of the comparison.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first prompts of each set.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 runs in this one.")] = 2,
    streams: Annotated[
        int,
        typer.Option(
            "--streams",
            min=1,
            max=MOST_STREAMS,
            help="Answers at a time in each process. More are sooner done; seconds are then those of shared steps.",
        ),
    ] = 1,
) -> None:
    """Run a comparison, and write records, table.md, table.csv, results.json and plots.

    Every answer is kept as soon as it is there: stopped with Ctrl-C, the same command goes on from there.
    """
    require("eval", by="a comparison", where="eval")
    from ig_guardrail.evaluate.comparison.config import narrowed, read_config
    from ig_guardrail.evaluate.comparison.figures import check_bounds
    from ig_guardrail.evaluate.comparison.judges import check_judge
    from ig_guardrail.evaluate.comparison.runner import tasks_of

    asked = narrowed(read_config(config), model, policy, limit)
    tasks = tasks_of(asked)
    check_judge(asked)
    check_bounds(asked)
    folder = out or Path(f"eval-{asked.name}")
    records = _run(tasks, folder, workers, streams)
    _publish(asked, records, streams, folder)


def _run(tasks: Sequence[CellTask], folder: Path, workers: int, streams: int) -> list[Record]:
    from rich.console import Console
    from rich.progress import Progress, TimeElapsedColumn

    from ig_guardrail.evaluate.comparison.runner import run_comparison

    console = Console(stderr=True)
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("answers", total=len(tasks))
        return run_comparison(tasks, folder, workers, streams, lambda: progress.advance(bar))


def _publish(config: Config, records: Sequence[Record], streams: int, folder: Path) -> None:
    from rich.console import Console

    from ig_guardrail.evaluate.comparison.judges import open_judge
    from ig_guardrail.evaluate.comparison.report import write_figures, write_report
    from ig_guardrail.evaluate.tables import terminal, verdicts

    judge = open_judge(config)
    print(write_report(config, judge, records, streams, folder))
    if config.bounds:
        console = Console()
        figures = write_figures(config, judge, records, folder)
        console.print(terminal(f"{config.name}: what guarding does", figures))
        console.print(verdicts(figures), markup=False)
