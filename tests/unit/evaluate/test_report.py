"""The script that writes measured figures into documents."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
ROW = {
    "part": "risky prompts",
    "name": "fallback",
    "title": "refused or ended",
    "value": 0.0625,
    "interval": [0.0, 0.125],
    "n": 64,
    "bound": "< 0.1",
    "ok": True,
    "of": "calm",
}
COUNT = {**ROW, "name": "over", "title": "over budget", "value": 2, "interval": None, "bound": "= 0", "ok": False}


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("benchmark_report", BENCHMARKS / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def results(tmp_path: Path) -> Path:
    measured: dict[str, Any] = {"measured": "2030-01-02", "machine": "x86_64", "versions": {"torch": "9.9"}}
    (tmp_path / "bench.json").write_text(json.dumps({**measured, "figures": [ROW, COUNT]}))
    (tmp_path / "prompts.json").write_text(json.dumps({**measured, "figures": []}))
    for name in ("quality", "server"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"figures": []}))
    return tmp_path


def section(name: str) -> Any:
    """The section of that name, from the page of benchmarks."""
    documents: Any = importlib.import_module("sections.documents")
    (page,) = (found for path, found in documents.DOCUMENTS.items() if path.name == "benchmarks.md")
    return {name: page[name]}


def test_a_section_is_written_between_its_markers_and_nothing_else_changes(report: ModuleType, results: Path) -> None:
    filled = report.fill("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n", section("bench"), results)
    assert filled.startswith("before\n<!-- bench:begin -->\nMeasured 2030-01-02 on x86_64, torch 9.9, one thread.")
    assert filled.endswith("<!-- bench:end -->\nafter\n")
    assert "| refused or ended | 0.06 | 0.00 to 0.12 | 64 | < 0.1 | ok |" in filled
    assert "old" not in filled


def test_a_missed_bound_and_a_count_are_shown_as_such(report: ModuleType, results: Path) -> None:
    filled = report.fill("<!-- bench:begin --><!-- bench:end -->", section("bench"), results)
    assert "| over budget | 2 |  | 64 | = 0 | MISSED |" in filled


def test_the_short_table_holds_what_has_a_bound(report: ModuleType, results: Path) -> None:
    filled = report.fill("<!-- bounds:begin --><!-- bounds:end -->", section("bounds"), results)
    assert "| risky prompts: over budget | 2 |  | 64 | = 0 | MISSED |" in filled


def test_filling_twice_changes_nothing(report: ModuleType, results: Path) -> None:
    once = report.fill("<!-- bench:begin --><!-- bench:end -->", section("bench"), results)
    assert report.fill(once, section("bench"), results) == once


def test_a_marker_without_its_end_is_refused(report: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="<!-- bench:begin --> and its end do not come in pairs"):
        report.fill("<!-- bench:begin -->", section("bench"), tmp_path)


def test_the_documents_quote_the_committed_results(report: ModuleType) -> None:
    for document, sections in report.DOCUMENTS.items():
        text = document.read_text(encoding="utf-8")
        assert report.fill(text, sections, report.RESULTS) == text, (
            f"run `python benchmarks/report.py` to refresh {document.name}"
        )
