"""What came of the trial of a model's exactness, as it is kept from one start to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.engine.llama_cpp import proving

ABOUT = ("a file", "a build", ("libllama.so", 1, 2), "float16")


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bool]:
    """What trials will say, the last first; the store is empty."""
    said = [False, True]
    (tmp_path / "start").write_text("monday")
    monkeypatch.setattr(proving, "_START", tmp_path / "start")
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path))
    monkeypatch.setattr(proving, "try_out", lambda pool, ids: said.pop())
    return said


def steady(*about: object) -> bool:
    pool: Any = None
    return proving.is_steady(pool, (1, 2), about or ABOUT)


def test_a_model_is_tried_once(trials: list[bool]) -> None:
    assert [steady(), steady(), len(trials)] == [True, True, 1]
    assert [steady("another file"), steady("another file"), len(trials)] == [False, False, 0]
    assert steady() is True


def test_a_model_is_tried_again_once_the_machine_was_started_anew(trials: list[bool], tmp_path: Path) -> None:
    assert steady() is True
    (tmp_path / "start").write_text("tuesday")
    assert [steady(), trials] == [False, []]


def test_a_machine_that_does_not_say_when_it_was_started_remembers_nothing(
    trials: list[bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(proving, "_START", tmp_path / "none")
    assert [steady(), steady(), trials] == [True, False, []]


@pytest.mark.parametrize("spoil", ["text", "folder", "link"])
def test_a_note_that_is_not_ours_is_not_believed(trials: list[bool], tmp_path: Path, spoil: str) -> None:
    assert steady() is True
    (note,) = (tmp_path / "trials").iterdir()
    if spoil == "text":
        note.write_text("very steady")
    elif spoil == "folder":
        note.parent.chmod(0o777)
    else:
        note.rename(tmp_path / "elsewhere")
        note.symlink_to(tmp_path / "elsewhere")
    assert [steady(), trials] == [False, []]
