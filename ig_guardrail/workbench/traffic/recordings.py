"""Recordings: read from files and folders, and made of texts that already exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ig_guardrail.audit.chain import ANSWER
from ig_guardrail.audit.files import is_log, raw_lines
from ig_guardrail.audit.kept import readable_lines
from ig_guardrail.drive.records.receipts import now
from ig_guardrail.drive.records.recorder import (
    engine_facts,
    policy_facts,
    recorded_models,
    recorded_prompt,
    shadow_accounts,
    tracks_of,
)
from ig_guardrail.errors import AuditError, RequestError, brief
from ig_guardrail.stream.receipt import text_sha256
from ig_guardrail.stream.recording import SCORED, Recording, recording_in
from ig_guardrail.workbench.traffic.bench import Bench, ChargedText
from ig_guardrail.workbench.traffic.lines import read_lines, unfit


def read_recordings(path: Path) -> Iterator[tuple[str, Recording]]:
    """The recordings of a file or an audit log, or of all `*.jsonl` of a folder, each with its place.

    Raises RequestError.
    """
    for place, values in recorded_lines(path):
        try:
            yield place, recording_in(values)
        except ValueError as error:
            raise unfit(place, str(error), "record answers with `--record`, or `policy record`") from error


def recorded_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a file, or of all `*.jsonl` of a folder, each with its place; of an audit log, its recordings.

    Raises RequestError.
    """
    for file in _files(path):
        yield from _recorded(file)


def are_recordings(path: Path) -> bool:
    """Whether the first line of a file, or of a folder's first, is a recording, and not an answer."""
    return next(("format" in line.values for file in _files(path) for line in read_lines(file)), False)


def recording_of_text(bench: Bench, charged: ChargedText, texts: str = "hash") -> Recording:
    """The recording of a text that was charged, and not decoded."""
    enforced = {rule.budget.id for rule in bench.costs.enforced}
    over = {line.budget: line.position for line in reversed(charged.charges) if line.z_after < 0}
    shown = charged.node.text[: charged.node.visible]
    return Recording(
        at=now(),
        policy=policy_facts(bench.policy),
        engine=engine_facts(bench.engine.info),
        cost_models=recorded_models(bench.costs),
        outcome=SCORED,
        reason="",
        language=charged.row.language,
        tokens=charged.node.position,
        released=0,
        ended=True,
        searched=False,
        tracks=tracks_of(bench.costs, charged.charges),
        prompt=recorded_prompt(bench.policy.prompt, charged.prompt),
        over={budget: at for budget, at in over.items() if budget in enforced},
        text_sha256=None if texts == "none" else text_sha256(shown),
        text=shown if texts == "plain" else None,
        shadow=shadow_accounts(bench.policy.budgets, charged.charges),
    )


def _recorded(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not is_log(file):
        yield from ((line.place, line.values) for line in read_lines(file))
        return
    try:
        for place, line in readable_lines(raw_lines(file)):
            if line.values.get("kind") == ANSWER:
                yield place, line.values["recording"]
    except (OSError, AuditError, KeyError) as error:
        raise unfit(str(file), brief(error)) from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.jsonl"))
    if not found:
        raise RequestError("the folder holds no *.jsonl file", where=str(path), fix="name a folder of recordings")
    return found
