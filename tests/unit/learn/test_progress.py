"""The line that says how far a long job is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ig_guardrail.learn.fitting import tensor_cache
from ig_guardrail.learn.fitting.tensor_cache import progress_line


def told(
    shown: Sequence[tuple[float, int]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The last line after so much was done of 600, each at its second."""
    now = 100.0
    monkeypatch.setattr(tensor_cache.time, "monotonic", lambda: now)
    show = progress_line("answering")
    for seconds, done in shown:
        now = 100.0 + seconds
        show(done, 600)
    return capsys.readouterr().err.split("\r")[-1].strip()


def test_time_is_told_by_what_was_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert told([(20, 30), (40, 60)], monkeypatch, capsys) == "answering: 60 of 600, 40 s, about 360 s left"


@pytest.mark.parametrize("kept", [[(0.01, 300)], [(0.01, 100), (0.02, 200), (0.3, 300)]])
def test_what_a_run_before_has_done_says_nothing_of_time(
    kept: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = told([*kept, (20, 320)], monkeypatch, capsys)
    assert line.startswith("answering: 320 of 600, 20 s, about 2")  # 280 more, one a second


def test_nothing_is_said_of_time_before_anything_took_some(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told([(0.01, 300)], monkeypatch, capsys) == "answering: 300 of 600, 0 s"
