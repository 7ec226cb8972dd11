"""From rows to an artifact that a policy can name, and a card that says how it was made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.heads.artifact import read_artifact
from ig_guardrail.costs.heads.brief import has_brief
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.errors import GuardrailError, HeadMismatch
from ig_guardrail.learn.data.recipes import choose_rows, recipe_named
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.heads import Trained, add_brief_line, layers_to_try, train_head
from ig_guardrail.types import CostModelSpec, Piece, Prompt
from tests.conformance.engine.tiny import tiny_weights
from tests.unit.learn.small import write_benign, write_rows


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_weights(context=512)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data")
    return [write_rows(folder / "rows.jsonl", "HateCheck"), write_benign(folder / "benign.jsonl")]


@pytest.fixture(scope="module")
def words(weights: Weights, data: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("heads")
    return train_head(weights, data, folder / "words", "words", folder / "cache")


@pytest.fixture(scope="module")
def tone(weights: Weights, data: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("heads")
    return train_head(weights, data, folder / "tone", "any", folder / "cache")


def score_of(folder: Path, text: str) -> float:
    spec = CostModelSpec("words", "lexical", ("hte",), {"model": str(folder)}, timeout_s=2.0)
    head = build_cost_model(spec, engine=None, base_dir=None)
    ((_, (score,)),) = head.advance([(head.start(Prompt((), ())), Piece(text, ended=True))])
    return score


def test_a_trained_word_head_tells_rude_from_kind(words: Trained) -> None:
    assert score_of(words.folder, "here is a calm garden") < 0.5 < score_of(words.folder, "you zog, you blarg")


def test_a_latent_head_lies_in_a_folder_for_its_numerics_and_fits_only_its_model(
    tone: Trained, weights: Weights
) -> None:
    assert tone.folder.name == "float32"
    spec = CostModelSpec("tone", "latent", ("hte",), {"head": str(tone.folder.parent)}, timeout_s=2.0)
    head = build_cost_model(spec, engine=EngineFacts(weights.sha256, "float32"), base_dir=None)
    assert head.layers == (tone.card["base_model"]["layer"],)
    with pytest.raises(HeadMismatch, match="another base model"):
        build_cost_model(spec, engine=EngineFacts("1" * 64, "float32"), base_dir=None)


@pytest.mark.parametrize("which", ["words", "tone"])
def test_the_card_says_how_good_it_is_and_of_what_it_was_made(which: str, request: pytest.FixtureRequest) -> None:
    trained: Trained = request.getfixturevalue(which)
    card = json.loads((trained.folder / "card.json").read_text())
    quality = card["quality"]["HateCheck"]
    assert quality["harmful"] > 5
    assert quality["auc"]["value"] > 0.8
    low, high = quality["auc"]["interval"]
    assert low <= quality["auc"]["value"] <= high
    assert card["sources"]["HateCheck"]["licence"] == "MIT"
    assert card["training"]["rows reserved for judges"] > 0
    assert card["training"]["command"].startswith("ig-guardrail train head --recipe")
    own = card["calibration"]["the model's own"]
    assert own["share above 0.5 at some charge point"]["value"] <= 0.05


def test_the_readable_card_has_the_same_sections(words: Trained) -> None:
    text = (words.folder / "CARD.md").read_text()
    for heading in ("# words", "## Calibration", "## Quality", "## Training", "## Sources", "## Limits"):
        assert heading in text.splitlines()


@pytest.mark.slow
def test_training_again_gives_the_same_artifact(
    words: Trained, weights: Weights, data: list[Path], tmp_path: Path
) -> None:
    again = train_head(weights, data, tmp_path / "words", "words", tmp_path / "cache")
    for name in ("card.json", "head.safetensors", "CARD.md"):
        assert (again.folder / name).read_bytes() == (words.folder / name).read_bytes()


def test_no_recipe_reads_a_reserved_row(data: list[Path]) -> None:
    rows = read_rows(data).rows
    assert any(row.reserved for row in rows)
    for recipe in ("harmful-help", "toxic-tone", "words", "screen", "any"):
        assert not any(row.reserved for row in choose_rows(recipe_named(recipe), rows))


def test_a_prompt_recipe_reads_each_prompt_once_and_takes_no_label_from_a_harmful_answer() -> None:
    rows = [
        LabelledRow("a", None, "harmful", source="AdvBench"),
        LabelledRow("b", "x", "safe", source="DiaSafety"),
        LabelledRow("b", "y", "safe", source="DiaSafety"),
        LabelledRow("c", "y", "harmful", source="AdvBench"),
        LabelledRow("d", "y", "safe", source="HateCheck"),
    ]
    open_rows = [row for row in rows if not row.reserved]
    chosen = choose_rows(recipe_named("screen"), rows)
    assert {row.text for row in chosen} == {row.prompt for row in open_rows} & {"a", "b"}
    assert all(row.prompt == "" for row in chosen)


def test_data_without_benign_answers_is_refused_with_the_command_that_makes_them(
    weights: Weights, data: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(GuardrailError) as raised:
        train_head(weights, data[:1], tmp_path / "words", "words", tmp_path / "cache")
    assert "no safe rows in the split 'calibration'" in str(raised.value)
    assert "ig-guardrail train answers" in str(raised.value)
    assert not (tmp_path / "words").exists()


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(GuardrailError) as raised:
        recipe_named("tone")
    assert "the recipes are harmful-help, toxic-tone, words, screen, any" in str(raised.value)


@pytest.mark.parametrize(("depth", "layers"), [(30, (12, 16, 20)), (2, (1,)), (16, (6, 9, 11)), (1, (1,))])
def test_layers_in_the_middle_are_tried(depth: int, layers: tuple[int, ...]) -> None:
    assert layers_to_try(depth) == layers


def test_a_head_learns_a_second_line_and_its_card_says_so(words: Trained, tone: Trained) -> None:
    for trained in (words, tone):
        artifact = read_artifact(trained.folder, trained.card["kind"])
        assert has_brief(artifact)
        assert trained.card["brief"]["brief answers that set it"] > 100
        assert set(trained.card["brief"]["sources"]) == {"brief answers"}


def test_brief_harmless_answers_lie_where_longer_ones_do(tone: Trained, words: Trained) -> None:
    for trained in (tone, words):
        assert trained.card["brief"]["brief answers above 0.5"]["value"] < 0.2


def test_a_second_line_can_be_learned_anew_and_the_first_stays(
    words: Trained, weights: Weights, data: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "words"
    shutil.copytree(words.folder, folder)
    before = read_artifact(folder, "lexical").tensors
    add_brief_line(weights, data, folder, "words", tmp_path / "cache")
    after = read_artifact(folder, "lexical").tensors
    assert after.keys() == before.keys()
    for name, value in after.items():
        assert value == pytest.approx(before[name], abs=0 if not name.startswith("brief_") else 1e-5), name
    assert json.loads((folder / "card.json").read_text())["brief"]["training"]["command"].startswith(
        "ig-guardrail train brief --recipe words"
    )


def test_a_second_line_needs_its_own_model(tone: Trained, weights: Weights, data: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "tone"
    shutil.copytree(tone.folder, folder)
    card = json.loads((folder / "card.json").read_text())
    card["base_model"]["sha256"] = "1" * 64
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(HeadMismatch):
        add_brief_line(weights, data, folder, "any", tmp_path)


def test_a_screen_of_prompts_has_no_second_line(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(GuardrailError, match="reads prompts, and these whole"):
        add_brief_line(weights, [], tmp_path / "screen", "screen", tmp_path)
