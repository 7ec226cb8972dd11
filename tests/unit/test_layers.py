"""The layers of the house, checked on the package as it is installed: kept as they are, broken by a seeded import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as a wheel installs: integrations and policies inside the package."""
    folder = tmp_path_factory.mktemp("installed")
    ignore = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOT / "ig_guardrail", folder / "ig_guardrail", ignore=ignore)
    for name in ("integrations", "policies"):
        shutil.copytree(ROOT / name, folder / "ig_guardrail" / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", "pyproject.toml", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_every_room_keeps_to_its_floor(installed: Path) -> None:
    result = lint(installed)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("search/plain.py", "from ig_guardrail.stream.gate import Gate"),
        ("stream/gate.py", "import torch"),
        ("engine/text/detokenize.py", "from ig_guardrail.engine.kv import trunk"),
        ("costs/pattern.py", "import llguidance"),
        ("costs/catalog.py", "from ig_guardrail.judge import read_judge"),
        ("drive/decode.py", "from ig_guardrail.integrations.langchain import chat_model"),
    ],
)
def test_an_import_that_points_up_or_sideways_is_reported(installed: Path, room: str, line: str) -> None:
    file = installed / "ig_guardrail" / room
    sound = file.read_text()
    file.write_text(
        sound.replace("from __future__ import annotations", f"from __future__ import annotations\n\n{line}")
    )
    try:
        result = lint(installed)
    finally:
        file.write_text(sound)
    assert result.returncode == 1
    assert "BROKEN" in result.stdout
