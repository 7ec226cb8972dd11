"""A sequence classifier as a cost model: labels become hazards, logits become scores, and nothing goes unread."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.classifier import ClassifierCost, squashed
from ig_guardrail.errors import ModelError
from ig_guardrail.types import CostModelSpec, Message, Piece, Prompt
from tests.unit.costs.classifiers import CONTEXT, classifier

LABELS = ("kind", "rude", "grim")
ASKED = Prompt((Message("user", "why"),), ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("models") / "three", LABELS)


def cost(folder: Path, **options: Any) -> ClassifierCost:
    usual = {"model": f"./{folder.name}", "labels": {"hte": ("rude",), "vcr": ("rude", "grim")}}
    spec = CostModelSpec("own", "classifier", ("hte", "vcr"), {**usual, **options}, timeout_s=2.0)
    model = build_cost_model(spec, engine=None, base_dir=folder.parent)
    assert isinstance(model, ClassifierCost)
    return model


def scores(model: ClassifierCost, *texts: str, prompt: Prompt = ASKED) -> list[tuple[float, ...]]:
    return [found for _, found in model.advance([(model.start(prompt), Piece(text)) for text in texts])]


def logits(model: ClassifierCost, text: str) -> Any:
    """What transformers' own call gives for one text, alone."""
    import torch

    read = model.scores.classifier.tokenizer([text], return_tensors="pt")
    with torch.inference_mode():
        return model.scores.classifier.model(**read).logits[0].double().numpy()


def test_it_is_a_level_of_text_at_block_points(folder: Path) -> None:
    model = cost(folder)
    declared = (model.hazards, model.granularity, model.reading, model.layers, model.longest_match)
    assert declared == (("hte", "vcr"), "block", "level", (), 0)


def test_softmax_is_over_all_labels_and_the_highest_of_a_hazard_counts(folder: Path) -> None:
    model = cost(folder)
    odds = np.exp(logits(model, "bad soup"))
    rude, grim = (odds / odds.sum())[1:]
    assert scores(model, "bad soup") == [pytest.approx((rude, max(rude, grim)), abs=1e-5)]


def test_several_labels_at_once_are_scored_each_alone(tmp_path: Path) -> None:
    model = cost(classifier(tmp_path / "many", LABELS, problem_type="multi_label_classification"))
    _, rude, grim = 1 / (1 + np.exp(-logits(model, "bad soup")))
    assert scores(model, "bad soup") == [pytest.approx((rude, max(rude, grim)), abs=1e-5)]


def test_what_is_written_goes_before_what_the_config_implies(folder: Path) -> None:
    model = cost(folder, scores="sigmoid")
    assert model.scores.squash == "sigmoid"
    assert scores(model, "bad")[0][0] == pytest.approx(1 / (1 + math.exp(-logits(model, "bad")[1])), abs=1e-5)


def test_one_label_is_scored_alone(tmp_path: Path) -> None:
    single = classifier(tmp_path / "one", ["harm"])
    named: dict[str, Any] = {"labels": {"hte": ("harm",), "vcr": ("harm",)}}
    model = cost(single, **named)
    assert scores(model, "bad")[0][0] == pytest.approx(1 / (1 + math.exp(-logits(model, "bad")[0])), abs=1e-5)
    with pytest.raises(ModelError, match="softmax of one label is always 1"):
        cost(single, scores="softmax", **named)


def test_the_whole_answer_so_far_is_read_and_its_state_is_never_changed(folder: Path) -> None:
    model = cost(folder)
    ((first, _),) = model.advance([(model.start(ASKED), Piece("bad "))])
    one, other = model.advance([(first, Piece("soup")), (first, Piece("bread"))])
    assert [one[1], other[1]] == [pytest.approx(found, abs=1e-6) for found in scores(model, "bad soup", "bad bread")]
    assert first.answer == "bad "


def test_a_batch_gives_what_each_text_gives_alone(folder: Path) -> None:
    model = cost(folder)
    texts = ["good", "bad soup", "good good bread soup", "how " * 40, "bad soup"]
    alone = [scores(model, text)[0] for text in texts]
    assert scores(model, *texts) == [pytest.approx(found, abs=1e-5) for found in alone]


@pytest.mark.parametrize("with_prompt", [False, True])
def test_the_worst_window_of_a_long_text_counts(folder: Path, with_prompt: bool) -> None:
    model = cost(folder, with_prompt=with_prompt)
    words = ("good", "bad", "soup", "bread", "why", "how")
    text = " ".join(words[place * place % 6] for place in range(5 * CONTEXT))
    prompt = model.start(Prompt((Message("user", "why " * 40),), ())).prompt
    (read,) = model.scores.classifier.of_windows(prompt, [text])
    assert len(read) > 4
    worst = squashed(read, "softmax").max(axis=0)
    found = scores(model, text, prompt=Prompt((Message("user", "why " * 40),), ()))[0]
    assert found == pytest.approx((worst[1], max(worst[1:])), abs=1e-6)


def test_a_window_at_the_end_of_a_long_text_is_read_too(folder: Path) -> None:
    model = cost(folder)
    calm = "soup " * 5 * CONTEXT
    assert scores(model, calm + "bad bad bad bad") != scores(model, calm)


def test_the_prompt_counts_where_it_is_read_and_nowhere_else(folder: Path) -> None:
    other = Prompt((Message("user", "how"),), ())
    pair, alone = cost(folder, with_prompt=True), cost(folder)
    assert scores(pair, "soup") != scores(pair, "soup", prompt=other)
    assert scores(alone, "soup") == scores(alone, "soup", prompt=other)


def test_blank_texts_score_nothing(folder: Path) -> None:
    assert scores(cost(folder, with_prompt=True), "", " \n") == [(0, 0), (0, 0)]


def test_a_special_token_in_an_answer_is_text(folder: Path) -> None:
    read = cost(folder).scores.classifier.tokenizer("[PAD]")["input_ids"]
    assert 0 not in read


def test_the_hash_covers_weights_labels_scores_and_prompt(folder: Path, tmp_path: Path) -> None:
    usual = cost(folder)
    others = [
        cost(classifier(tmp_path / "other", LABELS, seed=1)),
        cost(folder, labels={"hte": ("grim",), "vcr": ("grim",)}),
        cost(folder, scores="sigmoid"),
        cost(folder, with_prompt=True),
    ]
    shutil.copytree(folder, tmp_path / "copy")
    assert cost(tmp_path / "copy").sha256 == usual.sha256
    assert len({usual.sha256, *(model.sha256 for model in others)}) == 5


def test_a_label_that_is_not_there_is_refused_with_those_there_are(folder: Path) -> None:
    with pytest.raises(ModelError, match="has no label 'Rude'") as raised:
        cost(folder, labels={"hte": ("Rude",), "vcr": ("grim",)})
    assert (raised.value.where, raised.value.fix) == ("cost_models.own.labels.hte", "its labels are kind, rude, grim")
    with pytest.raises(ModelError, match="no label stands for it"):
        cost(folder, labels={"hte": ("rude",)})


def test_a_classifier_that_gives_numbers_is_refused_unless_told_how_to_read_them(tmp_path: Path) -> None:
    number = classifier(tmp_path / "number", ["harm"], problem_type="regression")
    named: dict[str, Any] = {"labels": {"hte": ("harm",), "vcr": ("harm",)}}
    with pytest.raises(ModelError, match="was trained to give numbers"):
        cost(number, **named)
    assert cost(number, scores="sigmoid", **named).scores.squash == "sigmoid"


def test_a_head_that_was_never_trained_is_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(folder, tmp_path / "headless")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
    save_file(kept, tmp_path / "headless" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="cannot be had") as raised:
        cost(tmp_path / "headless")
    assert "its files hold no weights for classifier.bias, classifier.weight" in raised.value.why


def test_a_half_download_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "half")
    whole = (tmp_path / "half" / "model.safetensors").read_bytes()
    (tmp_path / "half" / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be had") as raised:
        cost(tmp_path / "half")
    assert "file not fully covered" in raised.value.why


def test_weights_that_could_run_code_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be had"):
        cost(tmp_path / "pickled")


def test_a_folder_that_is_not_there_is_refused_without_a_look_at_the_hub(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no folder '.*/nowhere'") as raised:
        cost(folder, model="./nowhere")
    assert raised.value.where == "cost_models.own.model"


def test_a_classifier_of_the_hub_is_read_at_its_revision(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(name: str, revision: str | None = None, **_: Any) -> str:
        asked.append((name, revision))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert cost(folder, model="someone/own", revision="v1.0").sha256 == cost(folder, model="someone/own").sha256
    assert asked == [("someone/own", "v1.0"), ("someone/own", None)]


@pytest.mark.parametrize("model", [None, "someone/own"])
def test_a_revision_of_a_folder_or_one_that_is_none_is_refused(folder: Path, model: str | None) -> None:
    revision = "v1.0" if model is None else "../main"
    named = {} if model is None else {"model": model}
    with pytest.raises(ModelError, match=r"of classifier '.*' cannot be had") as raised:
        cost(folder, revision=revision, **named)
    assert raised.value.where == "cost_models.own.model"
    assert "only models of the hub have revisions" in raised.value.why


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5), st.sampled_from(["softmax", "sigmoid"]))
def test_scores_lie_between_0_and_1_and_keep_the_order_of_logits(row: list[float], squash: Any) -> None:
    found = squashed(np.array([row]), squash)[0]
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found[np.argsort(row)]) >= 0).all()


@pytest.mark.parametrize("squash", ["softmax", "sigmoid"])
def test_what_is_not_a_number_stays_none(squash: Any) -> None:
    assert np.isnan(squashed(np.array([[math.nan, 1.0]]), squash)[0]).any()
