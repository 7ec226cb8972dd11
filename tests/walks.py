"""A page that is walked through: files written, edits made and commands run, in the order in which they stand.

Blocks: ```sh and ```console are run, ```diff is an edit (`+++ FILE`, then lines as a diff has them), ```chat is a
conversation, `>` before what is typed and `$` before what another window does meanwhile. `model` behind the language
says that a step needs the embedded model.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

from tests.documents import Block, blocks

LANGUAGES = ("sh", "console", "diff", "chat")
RECEIPT = r"(completed|refused|ended|cancelled|failed) \("  # how the line below an answer begins


@dataclass(frozen=True)
class Step:
    """What is done, and what is shown to come of it."""

    block: Block
    line: str
    output: str

    @property
    def place(self) -> str:
        return self.block.place

    @property
    def needs_model(self) -> bool:
        return "model" in self.block.rest.split()


def steps(page: Path) -> Iterator[Step]:
    """The steps of a page. A block of commands has a step for each."""
    for block in blocks(page, *LANGUAGES):
        if block.language != "console":
            yield Step(block, block.text, "")
            continue
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            yield Step(block, line, output)


def edit(folder: Path, step: Block) -> None:
    """Make the edit that a block shows: unchanged lines and those with `-` stand in the file once."""
    head, *lines = step.text.splitlines()
    file = folder / head.removeprefix("+++ ")
    before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
    after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{step.place}: {file.name} has these lines {text.count(before)} times:\n{before}"
    file.write_text(text.replace(before, after), encoding="utf-8")


def by_shell(step: Step, folder: Path) -> str:
    """Do a step as a person does, in processes of its own. What standard output and standard error got."""
    if step.block.language == "diff":
        edit(folder, step.block)
        return ""
    if step.block.language == "chat":
        return _chat(step, folder)
    ran = subprocess.run(
        ["bash", "-c", step.line], cwd=folder, env=environment(), stdout=PIPE, stderr=STDOUT, text=True, check=False
    )
    return without_bars(ran.stdout)


def without_bars(output: str) -> str:
    """What was written, but for bars that moved."""
    return "".join(line for line in output.splitlines(keepends=True) if "━" not in line)


def environment() -> dict[str, str]:
    """Finds the installed command, and writes as wide as pages are."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}


def turns(step: Step) -> tuple[str, list[str]]:
    """The command of a conversation, and the lines that are typed (`> `) or run elsewhere (`$ `) after it."""
    first, *lines = step.line.splitlines()
    return first.removeprefix("$ "), [line for line in lines if line.startswith(("> ", "$ "))]


def _chat(step: Step, folder: Path) -> str:
    """Type a line, wait for its answer, and so on."""
    command, lines = turns(step)
    written = f"$ {command}\n"
    with Popen(["bash", "-c", command], cwd=folder, env=environment(), stdin=PIPE, stdout=PIPE, stderr=STDOUT) as chat:
        assert chat.stdin is not None
        assert chat.stdout is not None
        written += chat.stdout.readline().decode()
        for line in lines:
            written += f"{line}\n"
            if line.startswith("$ "):
                subprocess.run(["bash", "-c", line[2:]], cwd=folder, check=True)
                time.sleep(0.5)  # as long as it takes to change windows
                continue
            chat.stdin.write(f"{line[2:]}\n".encode())
            chat.stdin.flush()
            answer = b""
            while not re.match(RECEIPT, answer.decode()):
                answer = chat.stdout.readline()
                assert answer, f"{step.place}: the chat ended"
                written += answer.decode()
        chat.stdin.close()
    return written


def with_outputs(page: Path, outputs: Mapping[Step, str]) -> str:
    """The page's text with these outputs in place of those that it shows."""
    text = page.read_text(encoding="utf-8")
    by_block: dict[Block, list[str]] = {}
    for step, output in outputs.items():
        told = "".join(f"{line.rstrip()}\n" for line in output.rstrip().splitlines())
        if step.block.language == "chat":
            by_block[step.block] = [told]
        elif step.block.language == "console":
            by_block.setdefault(step.block, []).append(f"$ {step.line}\n{told}")
    for block, parts in by_block.items():
        begin = f"```{' '.join((block.language, *block.rest.split()))}\n"
        assert text.count(f"{begin}{block.text}```") == 1, f"{block.place}: the same block stands there twice"
        text = text.replace(f"{begin}{block.text}```", f"{begin}{''.join(parts)}```")
    return text
