"""Many prompts from a file: answered side by side, each kept as soon as it is there, and not asked again."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ig_guardrail.cli.batch_rows import BatchRow
from ig_guardrail.errors import GenerationFailed, GuardrailError, RequestError
from ig_guardrail.evaluate.comparison.records import add_line, read_lines
from ig_guardrail.types import Receipt

if TYPE_CHECKING:
    from ig_guardrail.drive.request import GenerationRequest
    from ig_guardrail.guardrail import Guardrail

Ask: TypeAlias = "Callable[[BatchRow], tuple[Guardrail, GenerationRequest]]"


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a batch: how many answers ended in which way, and how many were there before."""

    outcomes: Mapping[str, int]
    kept: int

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{sum(self.outcomes.values())} answers: {ends}" + (f"; {self.kept} were there before" * bool(self.kept))


def answer_all(
    rows: Sequence[BatchRow],
    ask: Ask,
    out: Path,
    *,
    setting: str,
    streams: int,
    timeout: float | None,
    done: Callable[[], None],
) -> Summary:
    """Answer what `out` does not hold yet, and add a line for each: id, text, the row's other keys, the receipt.

    ask: what answers a row, and the request to it
    setting: of all that answers depend on beside their row; `out` may hold answers of one setting alone
    streams: answers at a time
    done: called once for every row
    A row that fails has a line that says so, and its error; the others are answered. Leaving early cancels what is
    under way. Raises RequestError if `out` holds answers of another setting.
    """
    held = _held(out, setting)
    kept = {row.id: held[_key(row)] for row in rows if _key(row) in held}
    for _ in kept:
        done()
    stop, adding, counts = threading.Event(), threading.Lock(), Counter(kept.values())

    def answer(chain: Sequence[BatchRow]) -> None:
        for row in chain:
            line = None if stop.is_set() else _answered(ask, row, timeout, stop)
            if line is None:
                return
            with adding:
                add_line(out, {"setting": setting, "row": _key(row), **line})
                counts[line["outcome"]] += 1
                done()

    with ThreadPoolExecutor(streams) as threads:
        left = [threads.submit(answer, chain) for chain in _chains(row for row in rows if row.id not in kept)]
        try:
            for one in as_completed(left):
                one.result()
        except BaseException:
            stop.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    return Summary(counts, len(kept))


def answer_under_bar(
    rows: Sequence[BatchRow], ask: Ask, out: Path, *, setting: str, streams: int, timeout: float | None
) -> Summary:
    """`answer_all` under a progress bar on standard error, and how the answers ended behind it."""
    from rich.console import Console
    from rich.progress import Progress, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("answers", total=len(rows))
        summary = answer_all(
            rows, ask, out, setting=setting, streams=streams, timeout=timeout, done=lambda: progress.advance(bar)
        )
    console.print(f"{summary}; written to {out}")
    return summary


def read_answered(out: Path) -> dict[str, Mapping[str, Any]]:
    """The receipts of a file of answers by row's id, the last of each; those of answers that failed are left out."""
    return {line["id"]: line["receipt"] for line in read_lines(out) if line.get("outcome") != "failed"}


def setting_of(guardrail: Guardrail, options: Mapping[str, Any]) -> str:
    """A short name of the model, the usual policy and the options of a batch. 16 hex digits."""
    info = guardrail.engine.info
    told = json.dumps([info.model_sha256, info.numerics, guardrail.policy.sha256, options], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def check_conversations(rows: Sequence[BatchRow], out: Path, ledger: object) -> None:
    """Whether what conversations have spent is known when a batch goes on. Raises RequestError."""
    if ledger is None and out.is_file() and any(row.conversation is not None for row in rows):
        raise RequestError(
            "rows name conversations, and what these have spent in the first part of the batch is not known any more",
            where=str(out),
            why="without a ledger file it is kept in memory",
            fix="use `--ledger FILE` from the beginning, or give another `--out`",
        )


def _answered(ask: Ask, row: BatchRow, timeout: float | None, stop: threading.Event) -> dict[str, Any] | None:
    """What is written of a row's answer; None if the batch was stopped while it was under way."""
    from ig_guardrail.stream.receipt import as_dict

    told = {"id": row.id, **({"other": row.other} if row.other else {})}
    try:
        receipt = _receipt(*ask(row), timeout, stop)
    except GenerationFailed as failure:
        return {**told, "outcome": "failed", "text": "", "error": str(failure), "receipt": as_dict(failure.receipt)}
    except GuardrailError as error:
        return {**told, "outcome": "failed", "text": "", "error": str(error), "receipt": None}
    if receipt is None:
        return None
    return {**told, "outcome": receipt.verdict.outcome, "text": receipt.text, "receipt": as_dict(receipt)}


def _receipt(
    guardrail: Guardrail, request: GenerationRequest, timeout: float | None, stop: threading.Event
) -> Receipt | None:
    with closing(guardrail.stream(request, timeout)) as chunks:
        for chunk in chunks:
            if chunk.receipt is not None:
                return chunk.receipt
            if stop.is_set():
                return None
    raise RequestError("the answer ended without a receipt", where="stream", fix="report this as a bug")


def _chains(rows: Iterator[BatchRow]) -> list[list[BatchRow]]:
    """Rows that may be answered side by side: each alone, but those of one conversation together, in their order."""
    chains: dict[tuple[str, str], list[BatchRow]] = {}
    for row in rows:
        name = ("row", row.id) if row.conversation is None else ("conversation", row.conversation)
        chains.setdefault(name, []).append(row)
    return list(chains.values())


def _held(out: Path, setting: str) -> dict[str, str]:
    """The outcomes of the answers in a file, by row. What failed is none of them, and is asked again."""
    lines = read_lines(out)
    if any(line.get("setting") != setting for line in lines):
        raise RequestError(
            "the file holds answers that were made otherwise",
            where=str(out),
            why="model, policy or options were others then",
            fix="give another `--out`, or the options of that time; a batch that goes on also needs its `--seed`",
        )
    return {line["row"]: line["outcome"] for line in lines if line.get("outcome") != "failed"}


def _key(row: BatchRow) -> str:
    """A short name of a row's id and what it asks."""
    told = json.dumps([row.id, row.conversation, [(turn.role, turn.text) for turn in row.turns]])
    return hashlib.sha256(told.encode()).hexdigest()[:16]
