"""A folder that holds the core alone: this package as it installs, and what it asks for without extras."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("ig_guardrail", "integrations", "policies", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
PIP = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index")


def install_core(folder: Path, workplace: Path) -> None:
    """Fill `folder` with the package, built from a copy in `workplace`, and with links to what it asks for."""
    for name in SOURCES:
        _copy(ROOT / name, workplace / name)
    pip = [sys.executable, "-m", "pip", *PIP, "--target", str(folder), str(workplace)]
    ran = subprocess.run(pip, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in closure(project["dependencies"]):
        link(importlib.metadata.distribution(name), folder)


def closure(requirements: Sequence[str]) -> list[str]:
    """The names of all distributions that requirements bring without extras of their own, each once."""
    found: dict[str, None] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        if name in found or not (needed.marker is None or needed.marker.evaluate({"extra": ""})):
            continue
        found[name] = None
        waiting += [Requirement(text) for text in importlib.metadata.requires(name) or ()]
    return list(found)


def link(distribution: importlib.metadata.Distribution, folder: Path) -> None:
    """Links to what a distribution has installed, by the top-level names of its files."""
    site = Path(str(distribution.locate_file("")))
    for name in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
        if not (folder / name).exists():
            (folder / name).symlink_to(site / name)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What an interpreter says that sees the standard library and `folder`, and nothing else."""
    paths = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "IG_"))}
    environment = {**paths, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    command = [sys.executable, "-S", "-W", "error", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def _copy(source: Path, target: Path) -> None:
    for file in _files(source):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    yield from (file for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
