"""Every command and every block of Python that the documents show is run; outputs that they show are the real ones.

Blocks of YAML: `test_documented_policies.py`. Recipes: `test_recipes.py`. What takes too long or needs what is not here
is checked for existing options and targets only, and stands in CHECKED_ONLY with the reason.
`pytest tests/real/test_documents.py --rewrite-golden` writes the real outputs into the documents.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from ig_guardrail.cli.main import app, run
from ig_guardrail.drive.records.auditor import Auditor
from ig_guardrail.ledger import SQLiteLedger
from ig_guardrail.settings import AuditFile
from ig_guardrail.workbench.traffic.bench import open_bench
from ig_guardrail.workbench.traffic.recordings import recording_of_text
from ig_guardrail.workbench.traffic.texts import TextRow, read_texts
from tests.documents import PAGES, ROOT, Block, Command, blocks, commands, same
from tests.golden.conversations import CONVERSATIONS
from tests.real.readers_part import policy_of_the_reader, readers_names
from tests.recorded import name_this_processor, recorded_here

CHECKED_ONLY = {
    "pip install": "needs the network; the tests of the wheel install it",
    "make": "runs for minutes, and the tests themselves",
    "python benchmarks/": "measures for minutes",
    "ig-guardrail train": "trains for minutes",
    "ig-guardrail adopt": "answers questions for minutes",
    "ig-guardrail index": "needs corpora of the reader's own",
    "ig-guardrail eval": "compares for minutes",
    "ig-guardrail chat": "waits for someone to write",
    "ig-guardrail serve": "serves until it is stopped; what talks to it is run by `test_served_pages.py`",
    "ig-guardrail studio": "waits for someone to open its page",
    "ig-guardrail ledger prune postgresql://": "needs a database; `make test-scale` makes one",
    **{
        f"ig-guardrail audit {name} postgresql://": "needs a database; `make test-scale` makes one"
        for name in ("verify", "replay", "prune", "export")
    },
    "ig-guardrail run --engine vllm": "needs vLLM, in an environment of its own; `make test-vllm` streams from it",
    "ig-guardrail demo": "a test of its own runs it",
    "ig-guardrail run --engine llama.cpp": "needs the extra `llama`; `make test-llama` runs it",
    "ig-guardrail keys": "draws another key each time; `test_operators_page.py` runs it",
    "chmod": "of a file of the reader's own",
    "docker": "needs the network",
    "ig-guardrail policy check --deep": "opens a model for each policy",
    "ig-guardrail policy replay --live": "needs recordings beside their prompts; `test_replay_live.py` makes them",
    ".venv/bin/": "the project's own tools",
    "git": "changes a checkout",
    "python -m ig_guardrail.policy.reference": "a test of its own compares what it writes",
    "pytest": "runs the tests themselves",
}
NEEDS = dict.fromkeys(("DecisionCost", "policy_decisions"), "langchain_core.decisions")  # from langchain-core 1.8 on
SERVED = "served"  # what stands behind the language of a program that talks to a server
WALKED = "first-hour.md"  # whose steps rest on each other: `test_first_hour.py`
COMMANDS = [command for page in PAGES if page.name != WALKED for command in commands(page)]
PYTHON = [page for page in PAGES if blocks(page, "python") and page.name not in ("architecture.md", "clients.md")]

pytestmark = pytest.mark.real


def is_checked_only(line: str) -> bool:
    return any(line.startswith(start) for start in CHECKED_ONLY) or "PATH" in line or '"..."' in line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, with the files that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(policy_of_the_reader())
    (tmp_path / "mine.yaml").write_text(policy_of_the_reader())
    (tmp_path / "shop.yaml").write_text(shop())
    (tmp_path / "bank.yaml").write_text(bank())
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    for block in blocks(ROOT / "docs" / "workbench.md", "yaml"):
        if block.rest.startswith("file="):
            (tmp_path / block.rest.removeprefix("file=")).write_text(block.text)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Why is the sky blue?"}\n')
    write_traffic(tmp_path)
    write_audit(tmp_path)
    write_ledger(tmp_path / "ledger.db")
    return tmp_path


def write_traffic(folder: Path) -> None:
    """Answers, and recordings of some under the policy `fund.yaml` of docs/workbench.md."""
    for name, count in (("texts", 3), ("benign", 200), ("harmful", 20)):
        texts = [f"Your account {place} has {place} new messages." for place in range(count)]
        lines = [json.dumps({"text": text, "prompt": "Any news?"}) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "traffic").mkdir()
    bench = open_bench(str(folder / "fund.yaml"), None)
    lines = [recording_of_text(bench, bench.charge(row)).as_line() for row in read_texts(folder / "texts.jsonl")]
    (folder / "traffic" / "before.jsonl").write_text("\n".join(lines) + "\n")
    write_shadow_traffic(folder)


def write_shadow_traffic(folder: Path) -> None:
    """Recordings of 43 answers, of which 3 break a promise, under `fund.yaml` with that budget in shadow mode."""
    policy = folder / "shadow.yaml"
    policy.write_text((folder / "fund.yaml").read_text().replace("budget: 0}", "budget: 0, mode: shadow}"))
    bench = open_bench(str(policy), None)
    texts = [f"Your account has {place} new messages." for place in range(40)]
    rows = [TextRow(text, "here") for text in texts]
    rows += [TextRow(f"Fonds {place} is risk-free.", "here", language="de") for place in range(3)]
    made = [
        replace(
            recording_of_text(bench, bench.charge(row)), at=f"2026-11-{2 + place // 20:02d}T09:{place:02d}:00+00:00"
        )
        for place, row in enumerate(rows)
    ]
    (folder / "traffic" / "shadow.jsonl").write_text("".join(one.as_line() + "\n" for one in made))


def write_audit(folder: Path) -> None:
    """Logs of three answers: one as it was written, one that somebody tampered with; and a key."""
    for name in ("audit.jsonl", "changed.jsonl"):
        for one in ("completed", "ended", "rescued"):
            rail = CONVERSATIONS[one].guardrail()
            rail.auditor = Auditor(AuditFile(folder / name))
            list(rail.stream(CONVERSATIONS[one].ask()))
    lines = (folder / "changed.jsonl").read_text().splitlines(keepends=True)
    (folder / "changed.jsonl").write_text(lines[0] + lines[1].replace('"ended"', '"refused"'))
    (folder / "audit.key").write_text("k" * 64)
    (folder / "audit.key").chmod(0o600)


def write_ledger(path: Path) -> None:
    """A ledger of three accounts, of which two were silent for a year."""
    ledger = SQLiteLedger(path)
    for account in ("silent", "quiet", "lively"):
        ledger.advance(account, 1)
        if account == "quiet":
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("UPDATE turns SET used = used - 365 * 86400")


def shop() -> str:
    """README's policy with the mistake that README makes in it."""
    (policy,) = (one.text for one in blocks(ROOT / "README.md", "yaml") if "name: shop" in one.text)
    assert yaml.safe_load(policy)["budgets"][0]["threshold"] == 0.5
    return policy.replace("threshold", "treshold", 1)


def bank() -> str:
    """The workbench's policy with the two slips that its page makes in it."""
    (policy,) = (one.text for one in blocks(ROOT / "docs" / "workbench.md", "yaml") if "name: bank" in one.text)
    return policy.replace("longest_match: 22", "longest_match: 20").replace("tool: refund", "tool: refnd")


def test_there_are_commands_and_programs() -> None:
    assert len(COMMANDS) >= 10
    assert len(PYTHON) >= 3


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", [one for one in COMMANDS if not is_checked_only(one.line)], ids=lambda c: c.place)
def test_a_command_runs(
    command: Command,
    folder: Path,
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    code, out, err = ran_here(command.line, capsys) if is_alone(command.line) else ran_by_a_shell(command.line, folder)
    assert code in (0, 1, 3, 4), err  # 1: a policy that is shown with its faults; 3, 4: outcomes
    assert "Traceback" not in err
    if f"$ {command.line}\n" in (ROOT / command.place.partition(":")[0]).read_text(encoding="utf-8"):
        shown_or_written(command.place, f"$ {command.line}\n", command.output, out + err, pytestconfig)
    else:
        assert code != 1, out + err


def is_alone(line: str) -> bool:
    """Whether a line is one command of ours, and nothing that a shell must read."""
    return line.startswith("ig-guardrail ") and not set(line) & set("|&;<>$`*#\\\n")


def ran_here(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """A command in this process, where the embedded model is loaded already: its exit code, and what it wrote."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run(shlex.split(line)[1:])
    assert isinstance(ended.value.code, int)
    return ended.value.code, *capsys.readouterr()


def ran_by_a_shell(line: str, folder: Path) -> tuple[int, str, str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.place)
def test_a_command_names_what_exists(command: Command) -> None:
    words = shlex.split(command.line.partition("|")[0].partition(">")[0], comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) - {"--only", "calm"} <= {*targets}
    elif words[0] == "ig-guardrail":
        check_options(words[1:])
    elif words[0] == "python" and words[1].startswith("benchmarks/"):
        source = (ROOT / words[1]).read_text()
        assert all(f'"{word}"' in source for word in words[2:] if word.startswith("--"))
    else:
        assert is_checked_only(command.line), f"nothing checks `{command.line}`"


def check_options(words: list[str]) -> None:
    """Every word that names a command or an option of ours exists."""
    command: Any = get_command(app)
    rest = list(words)
    while rest and (children := getattr(command, "commands", None)):
        assert rest[0] in children, f"there is no command {' '.join(words)}"
        command = children[rest.pop(0)]
    known = {spelling for option in command.params for spelling in option.opts} | {"--help"}
    assert {word for word in rest if word.startswith("-") and len(word) > 1} <= known


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.name)
def test_the_programs_of_a_page_run(page: Path, folder: Path, pytestconfig: pytest.Config) -> None:
    names: dict[str, Any] = readers_names(folder)
    for block, output in with_outputs(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            program = compile("\n" * block.line + block.text, page, "exec")
            if can_run(block):
                exec(program, names)
        if output is not None:
            shown_or_written(
                *(block.place, f"{block.text}```\n\n```output\n", output.text, printed.getvalue(), pytestconfig),
                said=True,
            )


def can_run(block: Block) -> bool:
    """False for a program that needs a newer release of others than the one that is installed."""
    return all(importlib.util.find_spec(module) for word, module in NEEDS.items() if word in block.text)


def with_outputs(page: Path, served: bool = False) -> Iterator[tuple[Block, Block | None]]:
    """Blocks of Python, each with the output that is shown right below it. served: those that talk to a server"""
    found = blocks(page, "python", "output")
    for one, after in zip(found, [*found, None][1:], strict=True):
        if one.language == "python" and (one.rest == SERVED) is served:
            yield one, after if after is not None and after.language == "output" else None


def shown_or_written(place: str, before: str, shown: str, real: str, config: pytest.Config, said: bool = False) -> None:
    """Compare, or with --rewrite-golden put the real output where the shown one is, behind `before`.

    said: by the model, which says something else on another kind of processor
    """
    if not config.getoption("--rewrite-golden"):
        alike = same(shown, real) or (said and real.strip() and not recorded_here())
        assert alike, f"{place} shows\n{shown}\nand the real output is\n{real}"
        return
    name_this_processor()
    page = ROOT / place.partition(":")[0]
    lines = (line.rstrip() for line in real.rstrip().splitlines())
    text = page.read_text(encoding="utf-8")
    assert text.count(before + shown) == 1
    page.write_text(text.replace(before + shown, before + "\n".join(lines) + "\n"), encoding="utf-8")
