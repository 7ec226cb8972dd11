"""docs/first-hour.md beside the embedded model: its steps, in their order, write what it shows."""

from __future__ import annotations

import re
from functools import cache
from itertools import zip_longest
from pathlib import Path

import pytest

from ig_guardrail.engine.loading import models
from ig_guardrail.workbench.traffic.recordings import read_recordings
from tests.first_hour import BATCH, MADE, differs, shows, walk

pytestmark = [pytest.mark.real, pytest.mark.slow]

NUMBER = re.compile(r"\b(0\.\d+)")
ROUNDING = 0.02  # of a score, between two kinds of processors


def test_all_steps_write_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_engine", cache(models.load_engine))
    for step, output in walk(tmp_path, monkeypatch, with_model=True):
        other = differs(step, output) and not (step.needs_model and nearly(shows(step), output))
        assert not other, f"{step.place} shows\n{shows(step)}\nand the real output is\n{output}"
        if BATCH in step.line:
            check_scores(tmp_path / "traffic" / "harmless.jsonl")


def nearly(shown: str, real: str) -> bool:
    """Whether two outputs are equal but for what scores differ by on another kind of processor."""
    pairs = list(zip_longest(NUMBER.split(shown), NUMBER.split(real), fillvalue=""))
    words, numbers = pairs[::2], pairs[1::2]
    alike = all(abs(float(one or 0) - float(other or 0)) <= ROUNDING for one, other in numbers)
    return alike and all(" ".join(one.split()) == " ".join(other.split()) for one, other in words)


def check_scores(file: Path) -> None:
    """What is recorded now was recorded when the page was walked."""
    before = {one.text_sha256: one.tracks for _, one in read_recordings(MADE / "traffic" / "harmless.jsonl")}
    now = [one for _, one in read_recordings(file)]
    assert len(now) == 2
    for one in now:
        for track, earlier in zip(one.tracks, before[one.text_sha256], strict=True):
            assert [score for *_, score in track.points] == pytest.approx(
                [score for *_, score in earlier.points], abs=ROUNDING
            )
