"""A process without a home, as in a container under a number that is no user's, is told what to set."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any, Never

import pytest

from ig_guardrail.costs.adoption import adoption_folder
from ig_guardrail.engine.loading.context_window import window_of
from ig_guardrail.engine.loading.models import load_engine
from ig_guardrail.engine.loading.store import store_folder
from ig_guardrail.errors import GuardrailError, ModelError
from ig_guardrail.fields.paths import expanded
from tests.unit.cli.conftest import Command
from tests.unit.cli.conftest import ig as ig

SETTINGS = ("HOME", "IG_GUARDRAIL_CACHE", "IG_GUARDRAIL_DATA", "XDG_CACHE_HOME", "XDG_DATA_HOME")


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> Never:
        raise KeyError("no such user")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


def test_what_to_set_is_told(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, setting in (
        (store_folder, "IG_GUARDRAIL_CACHE"),
        (lambda: adoption_folder("0" * 64, "bfloat16"), "IG_GUARDRAIL_DATA"),
    ):
        with pytest.raises(GuardrailError, match=rf"no home folder[\s\S]*set HOME, or {setting} to a folder"):
            place()
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", "~nobody-at-all/cache")
    with pytest.raises(GuardrailError, match="'~nobody-at-all/cache' is in a home that nobody knows"):
        store_folder()
    monkeypatch.delenv("IG_GUARDRAIL_CACHE")
    ran = ig("cache", "list")
    assert (ran.code, "this user has no home folder" in ran.err) == (2, True)


def test_what_is_set_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IG_GUARDRAIL_DATA", str(tmp_path / "data"))
    assert store_folder() == tmp_path / "cache"
    assert tmp_path / "data" in adoption_folder("0" * 64, "bfloat16").parents


@pytest.mark.parametrize("name", ["~/model", "~nobody-at-all/model"])
def test_a_home_that_nobody_knows_is_no_folder(name: str) -> None:
    assert expanded(name) == Path(name)
    assert window_of(name) is None
    with pytest.raises(ModelError, match=f"there is no folder '{name}'"):
        load_engine(name, device="cpu")
