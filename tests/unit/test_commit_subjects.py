"""The rule for commit subjects, on subjects that keep to it and on others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / ".ci" / "subject.py"


def check(subject: str, folder: Path) -> subprocess.CompletedProcess[str]:
    message = folder / "message"
    message.write_text(f"{subject}\n\nMore about it.\n")
    return subprocess.run([sys.executable, str(CHECK), str(message)], capture_output=True, text=True)


@pytest.mark.parametrize(
    "subject",
    [
        "gate: judge decoded arguments",
        "text: pass marks on",
        "heads: embed words",
        "Merge branch 'main'",
        "x: do " + "a" * 66,
    ],
)
def test_a_good_subject_passes(subject: str, tmp_path: Path) -> None:
    assert check(subject, tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("judge decoded arguments", "room: do this"),
        ("gate: judge decoded arguments.", "full stop"),
        ("Gate: Judge", "room: do this"),
        ("gate: judges arguments", "imperative"),
        ("gate: judged arguments", "imperative"),
        ("gate: judging arguments", "imperative"),
        ("gate: " + "judge " * 12 + "it", "72"),
    ],
)
def test_a_bad_subject_is_told(subject: str, said: str, tmp_path: Path) -> None:
    result = check(subject, tmp_path)
    assert result.returncode == 1
    assert said in result.stderr
