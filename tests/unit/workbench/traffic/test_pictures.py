"""Pictures of a calibration."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.workbench.traffic.calibrate import calibrate_budget
from tests.unit.workbench.traffic.test_calibrate import BUDGET, drawn, sample

pytest.importorskip("matplotlib")


@pytest.mark.slow
def test_a_calibration_is_drawn_as_far_as_its_samples_go(tmp_path: Path) -> None:
    from ig_guardrail.workbench.traffic.pictures import draw

    plain = draw(calibrate_budget(BUDGET, drawn(1, 300), 0.05), tmp_path / "plain")
    assert [file.name for file in plain] == ["tone-budget-curve.png", "tone-budget-curve.svg"]
    both = calibrate_budget(BUDGET, sample(*drawn(1, 300).peaks, float("inf")), 0.05, harmful=sample(0.2, 0.9, 1.0))
    first = {file.name: file.read_bytes() for file in draw(both, tmp_path / "both")}
    assert len(first) == 6
    assert all(content.startswith((b"\x89PNG", b"<?xml")) for content in first.values())
    again = {file.name: file.read_bytes() for file in draw(both, tmp_path / "again")}
    assert again == first
    assert f"threshold {both.threshold:g}".encode() in first["tone-budget-curve.svg"]
