"""`ig-guardrail strategies`: every method that can be named, with its source and what it needs."""

from __future__ import annotations

import pytest

from ig_guardrail.search.registry import METHODS
from tests.unit.cli.conftest import Command


def test_every_method_is_listed_with_its_source(ig: Command) -> None:
    ran = ig("strategies", "--json")
    assert ran.code == 0
    assert [row["name"] for row in ran.objects] == list(METHODS)
    assert all(
        row["what"] and set(row) == {"name", "what", "source", "needs", "uses", "streams", "baseline"}
        for row in ran.objects
    )
    (guard,) = [row for row in ran.objects if row["name"] == "inference_guard"]
    assert (guard["source"], guard["streams"], guard["baseline"]) == ("arXiv 2502.01208", True, False)


@pytest.mark.parametrize("columns", ["80", "160"])
def test_a_reader_gets_a_table_with_whole_names(columns: str, ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    ran = ig("strategies")
    assert ran.code == 0
    assert all(name in ran.out for name in METHODS)


@pytest.mark.parametrize("columns", ["10", "30", "80", "119", "120", "300"])
def test_no_word_is_cut_however_narrow_the_terminal_is(
    columns: str, ig: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    words = set(ig("strategies").out.split())
    for method in METHODS.values():
        assert {method.name, *method.title.split()} <= words
