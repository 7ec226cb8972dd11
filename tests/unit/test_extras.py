"""Extras: what each brings is listed once for pip and once for messages, and the lists are the same."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ig_guardrail.errors import MissingExtra
from ig_guardrail.extras import EXTRAS, MODULES, missing, require

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = PROJECT["optional-dependencies"]

ASIDE = {"llama", "ray"}  # extras that `all` leaves out: one is built where it is installed, one is large


def brought(extra: str) -> set[str]:
    """The distributions of an extra, those of the extras that it includes among them."""
    found: set[str] = set()
    for needed in map(Requirement, DECLARED[extra]):
        found |= set().union(*map(brought, needed.extras)) if needed.name == PROJECT["name"] else {needed.name}
    return found


def test_messages_know_every_extra() -> None:
    assert set(EXTRAS) == set(DECLARED) - {"all", "dev"}


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_messages_know_what_an_extra_brings(extra: str) -> None:
    assert set(EXTRAS[extra]) == brought(extra)


def test_every_extra_that_is_named_anywhere_is_there() -> None:
    places = [
        path for room in ("ig_guardrail", "integrations", "docs", "examples") for path in (ROOT / room).rglob("*")
    ]
    texts = [path.read_text(encoding="utf-8") for path in places if path.suffix in (".py", ".md", ".yaml")]
    named = {name for text in texts for name in re.findall(r"\bextras? ['`]\[?(\w+)", text)}
    named |= {
        one for text in texts for names in re.findall(r"ig-guardrail\[([\w,-]+)\]", text) for one in names.split(",")
    }
    assert len(named) >= 10
    assert named <= {*DECLARED}


def test_all_brings_every_extra_but_those_aside_and_dev_brings_all() -> None:
    assert brought("all") == set().union(*map(brought, EXTRAS.keys() - ASIDE))
    assert brought("all") <= brought("dev")


def test_the_core_names_nothing_that_an_extra_brings() -> None:
    assert {Requirement(text).name for text in PROJECT["dependencies"]}.isdisjoint(brought("all"))


@pytest.mark.slow
def test_every_distribution_is_imported_by_the_name_that_is_looked_for() -> None:
    modules = importlib.metadata.packages_distributions()
    for name in brought("all") - {"pydivsufsort"}:
        assert name in modules[MODULES.get(name, name)]


def test_what_is_there_is_not_asked_for() -> None:
    require("local", by="a local model")
    require("embedded", "torch", by="a local model")
    assert missing(EXTRAS["local"]) == ()


def test_one_error_names_what_is_missing_and_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: module == "transformers")
    with pytest.raises(MissingExtra) as raised:
        require("local", by="model 'x'", where="model")
    assert str(raised.value).splitlines() == [
        "model 'x' cannot be used without torch, llguidance and llvmlite",
        "  why: torch, llguidance and llvmlite are not installed: the extra 'local' brings what the core runs without",
        "  fix: run `pip install 'ig-guardrail[local]'`",
    ]
    with pytest.raises(MissingExtra, match="cannot be used without torch\n  why: torch is not installed"):
        require("local", "torch", "transformers", by="model 'x'")
