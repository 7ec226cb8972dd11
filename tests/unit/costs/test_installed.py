"""Cost models of installed distributions and of the program: taken in by name, checked, held to what they declare."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.costs.catalog import build_cost_model, build_costs
from ig_guardrail.errors import ModelError
from ig_guardrail.types import CostModelSpec, Piece, Prompt
from tests.distributions import MODULE, install


class Given:
    """A cost model that a program might hand in."""

    name = "whatever"
    hazards: Any = ("hte",)
    sha256: Any = "1"
    granularity: Any = "block"
    reading: Any = "level"
    layers: Any = ()
    longest_match: Any = 0

    def __init__(self, **declared: Any) -> None:
        for name, value in declared.items():
            setattr(self, name, value)

    def start(self, prompt: Prompt) -> str:
        return ""

    def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
        return [(state, (0.25,)) for state, _ in steps]


def spec(entry_point: str = "shouting", name: str = "loud", **options: str) -> CostModelSpec:
    return CostModelSpec(name, "python", ("hte",), {"entry_point": entry_point, "options": options or None}, 2.0)


def asked(name: str = "mine") -> CostModelSpec:
    return CostModelSpec(name, "provided", ("hte",), {}, 2.0)


def build(entry: CostModelSpec) -> Any:
    return build_cost_model(entry, engine=None, base_dir=None)


def given(*entries: CostModelSpec, **models: Any) -> Any:
    built = build_costs(entries, given=models, engine=None, base_dir=None)
    return {name: one.model for name, one in built.items()}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python looks for installed distributions in."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shouting_costs", raising=False)
    return tmp_path


def test_an_installed_cost_model_is_found_by_its_name_and_given_its_options(site: Path) -> None:
    install(site, "shouting-costs", "1.0")
    model = build(spec(share="0.5"))
    ((state, scores),) = model.advance([(model.start(Prompt((), ())), Piece("LOUD"))])
    assert (state, scores) == ("LOUD", (0.5,))
    assert (model.name, model.hazards, model.granularity, model.reading) == ("loud", ("hte",), "block", "level")


def test_another_version_or_other_options_have_another_hash(site: Path, tmp_path: Path) -> None:
    install(site, "shouting-costs", "1.0")
    old, other = build(spec()).sha256, build(spec(share="0.5")).sha256
    (site / "shouting_costs-1.0.dist-info").rename(site / "shouting_costs-1.1.dist-info")
    facts = site / "shouting_costs-1.1.dist-info" / "METADATA"
    facts.write_text(facts.read_text().replace("1.0", "1.1"))
    assert len({old, other, build(spec()).sha256}) == 3


def test_a_name_that_nothing_declares_is_refused_with_those_there_are(site: Path) -> None:
    install(site, "shouting-costs", "1.0")
    with pytest.raises(ModelError, match="there is no cost model 'whispering'") as raised:
        build(spec("whispering"))
    assert "absent, breaking, house-rules, number, shouting" in raised.value.why


def test_a_module_that_no_distribution_declares_cannot_be_named(site: Path) -> None:
    (site / "shouting_costs.py").write_text(MODULE)
    for name in ("shouting_costs", "shouting_costs:Shouting", "shouting"):
        with pytest.raises(ModelError, match=f"there is no cost model '{name}'"):
            build(spec(name))
    assert "shouting_costs" not in sys.modules


def test_a_name_that_two_distributions_declare_is_refused(site: Path) -> None:
    install(site, "shouting-costs", "1.0")
    install(site, "other-costs", "2.0")
    with pytest.raises(ModelError, match="two distributions declare a cost model 'shouting'") as raised:
        build(spec())
    assert {"shouting-costs 1.0", "other-costs 2.0"} <= set(
        raised.value.why.removeprefix("declared by ").split(" and ")
    )


@pytest.mark.parametrize(
    ("name", "why"), [("breaking", "OSError: no such file"), ("number", "TypeError"), ("absent", "AttributeError")]
)
def test_an_entry_point_that_makes_no_cost_model_is_refused(site: Path, name: str, why: str) -> None:
    install(site, "shouting-costs", "1.0")
    with pytest.raises(ModelError, match=f"the entry point '{name}' made no cost model") as raised:
        build(spec(name))
    assert why in raised.value.why


def test_a_given_cost_model_goes_by_the_policys_name() -> None:
    model = given(asked("mine"), mine=Given())["mine"]
    assert (model.name, model.advance([("", Piece("a"))])) == ("mine", [("", (0.25,))])
    assert model.sha256 != given(asked("mine"), mine=Given(sha256="2"))["mine"].sha256


def test_what_a_given_cost_model_declares_later_does_not_count() -> None:
    given_one = Given()
    model = given(asked(), mine=given_one)["mine"]
    given_one.granularity, given_one.reading, given_one.hazards = "final", "event", ()
    assert (model.granularity, model.reading, model.hazards) == ("block", "level", ("hte",))


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("granularity", "sentence", "'token' or 'block' or 'final'"),
        ("granularity", ["block"], "'token' or 'block' or 'final'"),
        ("reading", None, "'level' or 'event'"),
        ("hazards", ("hte", "ncr"), r"\('hte',\), as in the policy"),
        ("hazards", ["hte"], r"\('hte',\), as in the policy"),
        ("sha256", b"1", "a text"),
        ("sha256", "", "a text"),
        ("layers", [2], "a tuple of layer numbers"),
        ("layers", ("2",), "a tuple of layer numbers"),
        ("longest_match", -1, "a count of characters"),
        ("longest_match", True, "a count of characters"),
        ("advance", None, "it has no method `advance`"),
        ("start", 3, "it has no method `start`"),
    ],
)
def test_a_wrong_declaration_is_refused_and_named(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(ModelError, match=wanted) as raised:
        given(asked(), mine=Given(**{name: value}))
    assert name in raised.value.why


def test_a_given_cost_model_that_is_not_given_is_refused() -> None:
    with pytest.raises(ModelError, match="the program gives no cost model 'mine'") as raised:
        given(asked())
    assert "cost_models={'mine': ...}" in raised.value.fix


@pytest.mark.parametrize("name", ["words", "tone"])
def test_a_program_cannot_replace_or_add_a_cost_model(name: str) -> None:
    words = CostModelSpec("words", "lexical", ("hte",), {"model": "words"}, 2.0)
    with pytest.raises(ModelError, match=f"the policy does not ask the program for a cost model '{name}'") as raised:
        given(words, asked(), mine=Given(), **{name: Given()})
    assert raised.value.fix == "leave it out; it leaves open: mine"
