"""Each seeded fault must make the fast tests fail: they are run against a copy of the package that holds it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.faults import FAULTS, Fault

HERE = Path(__file__).resolve().parents[2]
WATCH = ["tests/unit/budget", "tests/unit/stream", "tests/unit/drive", "tests/property"]


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private copy of package and tests."""
    folder = tmp_path_factory.mktemp("mutants")
    ignore = shutil.ignore_patterns("__pycache__", "artifacts", "mutants")
    for name in ("ig_guardrail", "tests"):
        shutil.copytree(HERE / name, folder / name, ignore=ignore)
    shutil.copy(HERE / "pyproject.toml", folder)
    return folder


def run_watch(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "IG_STREAMS": "600", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *WATCH]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_without_a_fault_the_watch_is_quiet(copy: Path) -> None:
    result = run_watch(copy)
    assert result.returncode == 0, result.stdout[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_seeded_fault_is_caught(copy: Path, fault: Fault) -> None:
    file = copy / "ig_guardrail" / fault.file
    sound = file.read_text()
    assert sound.count(fault.text) >= 1, f"the fault's place is gone from {fault.file}: update the list"
    file.write_text(sound.replace(fault.text, fault.instead, 1))
    try:
        result = run_watch(copy)
    finally:
        file.write_text(sound)
    assert result.returncode == 1, f"not caught (exit {result.returncode}): {result.stdout[-1500:]}"
