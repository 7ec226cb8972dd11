"""Files, modules, commands and options that the documents name exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ig_guardrail.cli.main import app
from tests.documents import PAGES, ROOT

# what commands write
WRITTEN = re.compile(r"benchmarks/out/.*")
PATH = re.compile(r"(?:ig_guardrail|integrations|policies|tests|benchmarks|docs|examples)/[\w./-]*")
MODULE = re.compile(r"ig_guardrail(?:\.\w+)+")


def spans(page: Path) -> list[tuple[int, str]]:
    """What stands in backticks outside of blocks, with its line."""
    text = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), page.read_text("utf-8"), flags=re.DOTALL)
    return [(text[: one.start()].count("\n") + 1, one[1]) for one in re.finditer(r"`([^`\n]+)`", text)]


@cache
def options() -> frozenset[str]:
    """Every option of every command."""
    found, waiting = {"--help"}, [get_command(app)]
    while waiting:
        command: Any = waiting.pop()
        found |= {spelling for option in command.params for spelling in option.opts}
        waiting += getattr(command, "commands", {}).values()
    return frozenset(found)


def missing(span: str) -> str | None:
    """What a span names and is not there."""
    if PATH.fullmatch(span) and not WRITTEN.fullmatch(span) and not (ROOT / span).exists():
        return f"the file {span}"
    if MODULE.fullmatch(span) and not exists(span):
        return f"the module or name {span}"
    if span.startswith("ig-guardrail "):
        words = span.split()[1:]
        command: Any = get_command(app)
        while words and hasattr(command, "commands") and re.fullmatch("[a-z]+", words[0]):
            if words[0] not in command.commands:
                return f"the command {span}"
            command = command.commands[words.pop(0)]
        unknown = {word for word in words if re.fullmatch(r"--[a-z-]+", word)} - options()
        return f"the option {unknown.pop()}" if unknown else None
    return None


def exists(dotted: str) -> bool:
    """Whether a module has this name, or defines its last part."""
    parts = dotted.replace("ig_guardrail.integrations", "integrations").split(".")
    path = ROOT.joinpath(*parts)
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    owner = path.parent.with_suffix(".py")
    owner = owner if owner.is_file() else path.parent / "__init__.py"
    return owner.is_file() and parts[-1] in defined(owner)


def defined(file: Path) -> set[str]:
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names | {"cost_models", "causes"}  # an entry-point group, and a logger


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    gone = [f"{page.name}:{line}: {what}" for line, span in spans(page) if (what := missing(span))]
    assert not gone, "\n".join(gone)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [one.partition("#")[0] for one in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in one]
    assert not [target for target in targets if target and not (page.parent / target).exists()]


@pytest.mark.parametrize(
    "span",
    ["ig_guardrail/no_such.py", "ig_guardrail.search.no_such", "ig-guardrail nothing", "ig-guardrail run --no-such"],
)
def test_a_name_of_nothing_is_found(span: str) -> None:
    assert missing(span)
