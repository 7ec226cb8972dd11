"""The recipes of docs/architecture.md, followed in a copy of the package: files written, edits made, programs run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, Block, blocks
from tests.walks import edit

PAGE = ROOT / "docs" / "architecture.md"
# the copy is imported, and not what is installed for editing
COPY_FIRST = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'importlib' in str(f.__module__)]\n"


def recipes() -> dict[str, list[Block]]:
    """The blocks of each recipe, by its title."""
    text = PAGE.read_text(encoding="utf-8")
    titles = [(text[: one.start()].count("\n"), one[1]) for one in re.finditer(r"^### (.+)$", text, re.MULTILINE)]
    found: dict[str, list[Block]] = {title: [] for _, title in titles}
    for block in blocks(PAGE, "python", "diff", "yaml"):
        above = [title for line, title in titles if line < block.line]
        if above:
            found[above[-1]].append(block)
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package as it installs, beside the tests' toys."""
    ignore = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOT / "ig_guardrail", tmp_path / "ig_guardrail", ignore=ignore)
    for name in ("integrations", "policies"):
        shutil.copytree(ROOT / name, tmp_path / "ig_guardrail" / name, ignore=ignore)
    (tmp_path / "tests").mkdir()
    for name in ("__init__.py", "toys.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("title", recipes())
def test_a_recipe_works(title: str, copy: Path) -> None:
    steps = recipes()[title]
    programs = [step for step in steps if step.rest == "run"]
    assert programs, f"the recipe '{title}' tries nothing"
    for step in steps:
        if step.rest.startswith("file="):
            place = copy / step.rest.removeprefix("file=")
            assert not place.exists()
            place.write_text(step.text, encoding="utf-8")
        elif step.language == "diff":
            edit(copy, step)
        elif step.language == "yaml":
            (copy / f"{re.findall('name: ([a-z]+)', step.text)[0]}.yaml").write_text(step.text, encoding="utf-8")
    for program in programs:
        ran = subprocess.run(
            [sys.executable, "-c", COPY_FIRST + program.text],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{program.place}\n{ran.stderr}"


@pytest.mark.parametrize("title", recipes())
def test_a_recipe_is_short(title: str) -> None:
    text = PAGE.read_text(encoding="utf-8").partition(f"### {title}\n")[2].partition("\n### ")[0]
    assert 1 <= len(re.findall(r"^\d+\. ", text, re.MULTILINE)) <= 10


def test_there_is_a_recipe_for_each_thing_that_is_often_added() -> None:
    assert len(recipes()) == 3
