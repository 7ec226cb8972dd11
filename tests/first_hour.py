"""docs/first-hour.md, walked in this process: what its steps write, with a model or with what a model made before."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ig_guardrail.cli.commands import chat
from ig_guardrail.cli.main import run
from tests.documents import ROOT, same
from tests.walks import Step, by_shell, steps, turns, without_bars

PAGE = ROOT / "docs" / "first-hour.md"
MADE = ROOT / "benchmarks" / "results" / "first-hour"  # by the steps with a model, when the page was walked last
BATCH = "run --policy observe"


def walk(folder: Path, monkeypatch: pytest.MonkeyPatch, with_model: bool) -> Iterator[tuple[Step, str]]:
    """Do the steps in their order; each that was run with what it wrote.

    Steps with a model are run if asked for, the batch on two of its prompts. The rest was made when the page
    was walked last.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    for step in steps(PAGE):
        if not step.needs_model or with_model:
            if BATCH in step.line:
                prompts = (folder / "prompts.txt").read_text().splitlines()
                (folder / "prompts.txt").write_text("\n".join(prompts[:2]))
            yield step, _done(step, folder, monkeypatch)
        if step.needs_model and (not with_model or BATCH in step.line):
            shutil.copytree(MADE, folder, dirs_exist_ok=True)


def shows(step: Step) -> str:
    """What the page shows of a step."""
    return step.line if step.block.language == "chat" else step.output


def differs(step: Step, output: str) -> bool:
    """Whether the page shows something else than what a step wrote; of a batch only its heading can be compared."""
    return BATCH not in step.line and not same(shows(step), output)


def _done(step: Step, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if step.block.language == "chat":
        return _talked(step, folder, monkeypatch)
    if not step.line.startswith("ig-guardrail ") or "|" in step.line:
        return by_shell(step, folder)
    line, _, file = step.line.partition(" > ")
    out, err = io.StringIO(), io.StringIO()
    _command(line, out, err if file else out)
    if file:
        (folder / file).write_text(out.getvalue())
        return err.getvalue()
    return without_bars(out.getvalue())


def _talked(step: Step, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A conversation: what is typed, and what another window does between two lines."""
    command, lines = turns(step)
    out = io.StringIO(f"$ {command}\n")
    out.seek(0, os.SEEK_END)

    def typed() -> Iterator[str]:
        for line in lines:
            out.write(f"{line}\n")
            if line.startswith("> "):
                yield line[2:]
                continue
            subprocess.run(["bash", "-c", line[2:]], cwd=folder, check=True)
            os.utime(folder / "live" / "policy.yaml", (0, 0))  # long ago: nobody writes to it any more

    monkeypatch.setattr(chat, "_lines", typed)
    _command(command, out, out)
    return out.getvalue()


def _command(line: str, out: io.StringIO, err: io.StringIO) -> None:
    logged = logging.StreamHandler(err)  # as the log is written where nobody has set it up
    logged.setLevel(logging.WARNING)
    logging.getLogger().addHandler(logged)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit):
            run(shlex.split(line)[1:])
    finally:
        logging.getLogger().removeHandler(logged)
