"""A policy's entries become cost models: by packaged name or by folder, with errors that say what to write instead."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.costs import catalog
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.kinds.base import Declaration, EngineFacts
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.errors import HeadMismatch, ModelError
from ig_guardrail.types import CostModelSpec
from tests.unit.costs.artifacts import MODEL, latent, lexical

FACTS = EngineFacts(MODEL, "bfloat16")


def spec(kind: str, **options: Any) -> CostModelSpec:
    return CostModelSpec("tone", kind, ("hte",), options, timeout_s=2.0)


def build(entry: CostModelSpec, base: Path | None = None, engine: EngineFacts | None = FACTS) -> Any:
    return build_cost_model(entry, engine=engine, base_dir=base)


def test_a_folder_is_found_beside_the_policy(tmp_path: Path) -> None:
    latent(tmp_path / "heads" / "mine")
    model = build(spec("latent", head="heads/mine"), tmp_path)
    assert (model.name, model.hazards, model.layers) == ("tone", ("hte",), (2,))
    assert (model.granularity, model.reading, model.longest_match) == ("block", "level", 0)


@pytest.mark.parametrize("declares", [Declaration(reading="event"), Declaration("token")])
def test_a_kind_that_declares_something_else_than_its_cost_models_is_refused(
    declares: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latent(tmp_path / "mine")
    monkeypatch.setattr(catalog, "KINDS", {"latent": replace(KINDS["latent"], declares=declares)})
    with pytest.raises(ModelError, match="scores a level at each block") as raised:
        build(spec("latent", head="./mine"), tmp_path)
    assert f"{declares.reading} at each {declares.granularity}" in str(raised.value)


def test_the_numerics_of_the_engine_choose_the_head(tmp_path: Path) -> None:
    latent(tmp_path / "mine" / "bfloat16")
    latent(tmp_path / "mine" / "float32", numerics="float32")
    for numerics in ("bfloat16", "float32"):
        model = build(spec("latent", head="mine"), tmp_path, EngineFacts(MODEL, numerics))
        assert model.numerics == numerics


def test_numerics_without_a_head_are_refused_with_those_there_are(tmp_path: Path) -> None:
    latent(tmp_path / "mine" / "bfloat16")
    with pytest.raises(HeadMismatch) as raised:
        build(spec("latent", head="mine"), tmp_path, EngineFacts(MODEL, "float16"))
    assert "there is no head for weights in float16" in str(raised.value)
    assert "has heads for: bfloat16" in str(raised.value)
    assert "dtype='bfloat16'" in str(raised.value)


def test_a_head_of_another_model_is_refused(tmp_path: Path) -> None:
    latent(tmp_path / "mine")
    with pytest.raises(HeadMismatch, match="the head was trained on another base model"):
        build(spec("latent", head="mine"), tmp_path, EngineFacts("b" * 64, "bfloat16"))


def test_a_latent_head_without_an_engine_is_refused(tmp_path: Path) -> None:
    latent(tmp_path / "mine")
    with pytest.raises(ModelError, match="a latent head needs a language model to read"):
        build(spec("latent", head="mine"), tmp_path, engine=None)


def test_text_costs_need_no_engine(tmp_path: Path) -> None:
    lexical(tmp_path / "mine")
    assert build(spec("lexical", model="mine"), tmp_path, engine=None).layers == ()
    pattern = build(spec("pattern", patterns=("foo",), longest_match=8), engine=None)
    assert (pattern.reading, pattern.longest_match) == ("event", 8)


@pytest.mark.parametrize(
    ("entry", "near"),
    [(spec("latent", head="toxic-tome"), "toxic-tone"), (spec("lexical", model="wrods"), "words")],
)
def test_a_misspelt_name_is_refused_with_the_nearest(tmp_path: Path, entry: CostModelSpec, near: str) -> None:
    with pytest.raises(ModelError) as raised:
        build(entry, tmp_path)
    assert "there is no artifact" in str(raised.value)
    assert ", ".join(KINDS[entry.kind].packaged) in str(raised.value)
    assert f"write '{near}'" in str(raised.value)


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelError) as raised:
        build(spec("oracle"))
    assert "there is no kind of cost model called 'oracle'" in str(raised.value)
    assert "latent, lexical, encoder, pattern" in str(raised.value)


@pytest.mark.parametrize(
    "entry",
    [
        spec("latent"),
        spec("lexical", model=3),
        spec("pattern", patterns="foo", longest_match=3),
        spec("pattern", patterns=["foo"], longest_match=True),
    ],
)
def test_an_option_of_the_wrong_type_is_refused(entry: CostModelSpec) -> None:
    with pytest.raises(ModelError, match="is missing or of the wrong type"):
        build(entry)


def test_the_judge_cannot_be_named_by_a_policy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no artifact 'judge'"):
        build(spec("lexical", model="judge"), tmp_path)


def test_an_option_is_part_of_the_hash(tmp_path: Path) -> None:
    lexical(tmp_path / "mine")
    entry = spec("lexical", model="mine")
    other = CostModelSpec("tone", "lexical", ("hte", "ssh"), entry.options, timeout_s=2.0)
    assert build(entry, tmp_path).sha256 != build(other, tmp_path).sha256


def test_making_text_costs_does_not_load_torch() -> None:
    code = (
        "import sys; from ig_guardrail.costs.catalog import build_cost_model; "
        "from ig_guardrail.types import CostModelSpec; "
        "spec = CostModelSpec('w', 'lexical', ('hte',), {'model': 'words'}, 2.0); "
        "build_cost_model(spec, engine=None, base_dir=None); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
