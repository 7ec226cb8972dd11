"""`policy lsp` without its extra."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Command


def test_without_the_extra_the_error_names_it(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: module != "pygls")
    ran = ig("policy", "lsp")
    assert (ran.code, ran.out) == (2, "")
    assert "`policy lsp` cannot be used without pygls" in ran.err
    assert "pip install 'ig-guardrail[editor]'" in ran.err
