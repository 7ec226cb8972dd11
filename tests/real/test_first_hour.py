"""docs/first-hour.md beside the embedded model: its steps, in their order, write what it shows."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from ig_guardrail.engine.loading import models
from ig_guardrail.workbench.traffic.recordings import read_recordings
from tests.first_hour import BATCH, MADE, differs, shows, walk

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_all_steps_write_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_engine", cache(models.load_engine))
    for step, output in walk(tmp_path, monkeypatch, with_model=True):
        assert not differs(step, output), f"{step.place} shows\n{shows(step)}\nand the real output is\n{output}"
        if BATCH in step.line:
            check_scores(tmp_path / "traffic" / "harmless.jsonl")


def check_scores(file: Path) -> None:
    """What is recorded now was recorded when the page was walked."""
    before = {one.text_sha256: one.tracks for _, one in read_recordings(MADE / "traffic" / "harmless.jsonl")}
    now = [one for _, one in read_recordings(file)]
    assert len(now) == 2
    for one in now:
        for track, earlier in zip(one.tracks, before[one.text_sha256], strict=True):
            assert [score for *_, score in track.points] == pytest.approx([score for *_, score in earlier.points])
