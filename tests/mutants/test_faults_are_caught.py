"""Each seeded fault must make the unit tests fail: they are run against a copy of the package that holds it.

Property tests are not asked: what they find depends on what they happen to draw. Nobody is asked for the smallest
example that fails, or to compile what a copy shares with the sound one. The tests of the fault's own room, the
likeliest to fail, come first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.mutants.faults import FAULTS, Fault

HERE = Path(__file__).resolve().parents[2]
HANGS = 100  # seconds, or ten times what the tests of the sound package take on a machine that is busy
WATCH = ("tests/unit/budget", "tests/unit/stream", "tests/unit/drive")
PLUGINS = ("pytest_asyncio.plugin", "pytest_socket", "_hypothesis_pytestplugin")  # others take as long to load as tests


@pytest.fixture(scope="session")
def caught(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """What the unit tests said of every fault, and of none (""); two copies of the package are tested side by side."""
    sound = _copied(tmp_path_factory.mktemp("sound"))
    began = time.monotonic()
    quiet = _watch(sound, None, None)
    limit = max(HANGS, 10 * (time.monotonic() - began))
    with ThreadPoolExecutor(2) as pool:
        runs = {
            fault.name: pool.submit(_seeded, sound, tmp_path_factory.mktemp("copy"), fault, limit) for fault in FAULTS
        }
        return {"": quiet, **{name: run.result() for name, run in runs.items()}}


def _copied(folder: Path) -> Path:
    """A copy of the package, and of the tests that watch it."""
    ignore = shutil.ignore_patterns("__pycache__", "artifacts", "mutants")
    for name in ("ig_guardrail", "tests"):
        shutil.copytree(HERE / name, folder / name, ignore=ignore)
    shutil.copy(HERE / "pyproject.toml", folder)
    return folder


def _seeded(sound: Path, folder: Path, fault: Fault, limit: float) -> subprocess.CompletedProcess[str]:
    """What the tests say of the sound copy, and all that is compiled there, with the fault in it."""
    shutil.copytree(sound, folder, dirs_exist_ok=True, copy_function=os.link)
    file = folder / "ig_guardrail" / fault.file
    assert fault.text in file.read_text(), f"the place of '{fault.name}' is gone from {fault.file}: update the list"
    text = file.read_text().replace(fault.text, fault.instead, 1)
    file.unlink()
    file.write_text(text)
    try:
        return _watch(folder, fault, limit)
    finally:
        shutil.rmtree(folder)


def _watch(folder: Path, fault: Fault | None, limit: float | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "IG_SHRINK": "0", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    first = sorted(WATCH, key=lambda room: fault is None or not fault.file.startswith(Path(room).name))
    named = [word for plugin in PLUGINS for word in ("-p", plugin)]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *named, *first]
    return _run(command, folder, environment, limit)


def _run(
    command: list[str], folder: Path, environment: dict[str, str], limit: float | None
) -> subprocess.CompletedProcess[str]:
    """A run that hangs is one that fails: a test that never ends is noticed too."""
    try:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, f"the tests did not end within {limit:.0f} s", "")


@pytest.mark.slow
def test_without_a_fault_the_watch_is_quiet(caught: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert caught[""].returncode == 0, caught[""].stdout[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_seeded_fault_is_caught(caught: dict[str, subprocess.CompletedProcess[str]], fault: Fault) -> None:
    result = caught[fault.name]
    assert result.returncode == 1, f"not caught (exit {result.returncode}): {result.stdout[-1500:]}"


def test_there_are_enough_faults_and_no_two_are_one() -> None:
    assert len(FAULTS) >= 15
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
