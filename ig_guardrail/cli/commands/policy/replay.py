"""`ig-guardrail policy replay`, and `policy record`, which makes what it replays."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.batch_rows import BatchRow, read_rows
from ig_guardrail.cli.commands.policy.formats import Format, FormatOption
from ig_guardrail.cli.request import opening_turns
from ig_guardrail.errors import RequestError, brief
from ig_guardrail.types import Message

if TYPE_CHECKING:
    from ig_guardrail.spec import GuardrailSpec


class ReplayFormat(StrEnum):
    """How a replay is written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def replay_command(
    policy: Annotated[str, typer.Argument(help="A policy file, or a packaged name.")],
    on: Annotated[Path, typer.Option("--on", help="A file of recordings, or a folder of *.jsonl files.")],
    against: Annotated[
        str | None, typer.Option("--against", help="Another policy; what was recorded if left out.")
    ] = None,
    form: Annotated[
        ReplayFormat, typer.Option("--format", help="For people, programs or build servers.")
    ] = ReplayFormat.TEXT,
    most_flips: Annotated[
        int | None, typer.Option("--most-flips", min=0, help="Exit with 1 where more recordings flip.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Answer the prompts again with a model instead.")] = False,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="With --live: the file of prompts, as `run --prompts` reads it.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With --live: a file of answers; what it holds is not asked again."),
    ] = None,
    streams: Annotated[
        int, typer.Option("--streams", min=1, max=options.MOST_STREAMS, help="With --live: answers at a time.")
    ] = 4,
    system: options.System = None,
    model: options.ModelOption = "embedded",
    device: options.DeviceOption = "auto",
) -> None:
    """Try a policy's budgets on recorded scores, without a model: what it would deny, and where.

    With --live, --prompts and --out, answer the recorded prompts again under the policy, with the seed and the sampling
    that were recorded, and compare how they end; stopped with Ctrl-C, the same command goes on from there.

    Exit code 0; 1: more flips than --most-flips, or nothing could be judged; 2: an error.
    """
    from ig_guardrail.policy import load_policy
    from ig_guardrail.policy.sources import folder_of
    from ig_guardrail.spec import GuardrailSpec
    from ig_guardrail.workbench.traffic.recordings import read_recordings
    from ig_guardrail.workbench.traffic.replay import PolicyReplay, replay
    from ig_guardrail.workbench.traffic.replay_report import as_json, as_junit, as_text, fails

    if live or prompts or out:
        if not (live and prompts and out) or against is not None:
            raise RequestError(
                "a live replay needs prompts and a place for its answers, and is compared with what was recorded",
                where="--live, --prompts, --out, --against",
                fix="give `--live --prompts FILE --out FILE`, and no `--against`",
            )
        rows = [(*opening_turns(system), *row.turns) for row in read_rows(prompts)]
        _answer_anew(GuardrailSpec(model, policy, device), on, rows, out, streams, form, most_flips)
    new = PolicyReplay(load_policy(policy), folder_of(policy))
    old = None if against is None else PolicyReplay(load_policy(against), folder_of(against))
    report = replay(new, read_recordings(on), old)
    if form is ReplayFormat.JUNIT:
        print(as_junit(report, most_flips))
    else:
        print(as_json(report) if form is ReplayFormat.JSON else as_text(report))
    raise typer.Exit(int(fails(report, most_flips)))


def _answer_anew(
    spec: GuardrailSpec,
    on: Path,
    prompts: list[tuple[Message, ...]],
    out: Path,
    streams: int,
    form: ReplayFormat,
    most_flips: int | None,
) -> NoReturn:
    """Answer what was recorded again under a progress bar, and report. Exits with the code of the replay."""
    from ig_guardrail.assembly import open_guardrail
    from ig_guardrail.cli.batch import answer_under_bar, read_answered, setting_of
    from ig_guardrail.workbench.rollout.answers import answer_of, read_answers
    from ig_guardrail.workbench.rollout.live import compare, match
    from ig_guardrail.workbench.rollout.live_report import as_json, as_junit, as_text, fails

    guardrail = open_guardrail(spec)
    matched = match(guardrail.engine, prompts, read_answers(on))
    asked = {one.before.place: one for one in matched.again}
    rows = [BatchRow(place, one.turns, None, {}) for place, one in asked.items()]
    setting = setting_of(guardrail, {place: one.before.sampling for place, one in asked.items()})
    answer_under_bar(
        rows, lambda row: (guardrail, asked[row.id].request()), out, setting=setting, streams=streams, timeout=None
    )
    given = {name: answer_of(name, receipt) for name, receipt in read_answered(out).items()}
    report = compare(guardrail.policy, matched, given)
    if form is ReplayFormat.JUNIT:
        print(as_junit(report, most_flips))
    else:
        print(as_json(report) if form is ReplayFormat.JSON else as_text(report))
    raise typer.Exit(int(fails(report, most_flips)))


def record_command(
    policy: Annotated[str, typer.Argument(help="A policy file, or a packaged name.")],
    file: Annotated[
        Path, typer.Option("--file", help='JSON lines: {"text": ..., "prompt": ..., "call": ..., "language": ...}.')
    ],
    out: Annotated[Path, typer.Option("--out", help="The file that recordings are appended to.")],
    model: options.ModelOption = "embedded",
    device: options.DeviceOption = "auto",
    texts: options.RecordedTexts = "hash",
    form: FormatOption = Format.TEXT,
) -> None:
    """Record what texts that already exist score beside a model, for `policy replay` and `policy calibrate`."""
    from ig_guardrail.drive.records.recorder import append_line
    from ig_guardrail.settings import recording_file
    from ig_guardrail.workbench.traffic.bench import open_bench
    from ig_guardrail.workbench.traffic.recordings import recording_of_text
    from ig_guardrail.workbench.traffic.texts import read_texts

    rows, kept = list(read_texts(file)), recording_file(out, texts)
    bench = open_bench(policy, model, device)
    try:
        append_line(kept, "")
        for row in rows:
            append_line(kept, recording_of_text(bench, bench.charge(row), kept.texts).as_line())
    except OSError as error:
        raise RequestError("recordings cannot be written", where=str(out), why=brief(error)) from error
    if form is Format.JSON:
        print(json.dumps({"recorded": len(rows), "out": str(out)}, ensure_ascii=False))
    else:
        print(f"{len(rows)} answers recorded in {out}")
