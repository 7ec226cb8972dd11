"""A sequence classifier as the judge of a comparison: it judges by a label, and never one that guides."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.errors import MissingExtra, ModelError, RequestError
from ig_guardrail.evaluate.comparison.config import Config
from ig_guardrail.evaluate.comparison.judges import ClassifierJudge, check_judge, open_judge
from ig_guardrail.evaluate.judged import opinion
from tests.unit.costs.classifiers import classifier
from tests.unit.policy.texts import edited

LABELS = ("kind", "rude", "grim")
LEXICAL = "kind: lexical, model: words, hazards: [hte, S2]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("judges") / "three", LABELS)


def config(judge: str, **keys: Any) -> Config:
    prompts = [{"name": "risky", "kind": "risky", "file": "packaged:risky"}]
    fields = {"name": "toy", "strategies": [{"name": "cut"}], "prompts": prompts, "device": "cpu"}
    return Config.model_validate({**fields, "judge": judge, **keys})


def policy(folder: Path, model: str) -> str:
    """A policy, in a file of that folder, one of whose cost models is a classifier."""
    own = f"kind: classifier, model: {model}, labels: {{hte: [rude], ncr: [grim]}}, hazards: [hte, ncr]"
    file = folder / "policy.yaml"
    file.write_text(edited((LEXICAL, own)))
    return str(file)


def test_it_judges_by_the_labels_that_are_named(folder: Path) -> None:
    one, two = (open_judge(config(f"classifier:{folder}#{labels}")) for labels in ("rude", "rude#grim"))
    assert isinstance(one, ClassifierJudge)
    for text in ("good soup", "bad bad bread", "why"):
        assert 0 <= one.score(text) <= two.score(text) <= 1
        assert one.harmful(text) == (one.score(text) > 0.5)
    assert one.sha256 != two.sha256
    assert opinion(one, " ").harm is False


def test_the_packaged_judge_says_what_it_lacks_before_anything_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: module != "tokenizers")
    with pytest.raises(MissingExtra, match="the packaged judge cannot be used without tokenizers"):
        check_judge(config("packaged"))


def test_one_label_needs_no_name(tmp_path: Path) -> None:
    alone = classifier(tmp_path / "one", ["harm"])
    named, not_named = (open_judge(config(f"classifier:{alone}{label}")) for label in ("#harm", ""))
    assert named.score("bad") == not_named.score("bad")
    assert named.sha256 == not_named.sha256


def test_labels_are_checked_before_weights_are_read(folder: Path) -> None:
    with pytest.raises(RequestError, match="the judge has 3 labels, and none is named") as raised:
        check_judge(config(f"classifier:{folder}"))
    assert "its labels are kind, rude, grim" in raised.value.fix
    with pytest.raises(ModelError, match="has no label 'mean'"):
        check_judge(config(f"classifier:{folder}#mean"))
    with pytest.raises(ModelError, match=r"there is no folder '\./nowhere'"):
        check_judge(config("classifier:./nowhere#rude"))


def test_what_guides_nothing_may_judge(folder: Path, tmp_path: Path) -> None:
    other = classifier(tmp_path / "other", LABELS, seed=1)
    asked = config(f"classifier:{folder}#rude", policies=["default", policy(tmp_path, "./other")])
    check_judge(asked)
    with pytest.raises(RequestError, match="as cost model 'words' of policy"):
        check_judge(asked.model_copy(update={"judge": f"classifier:{other}#rude"}))


@pytest.mark.parametrize("spelling", ["absolute", "relative", "through a link", "roundabout", "a copy"])
def test_what_guides_may_not_judge_however_it_is_spelt(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.chdir(folder.parent)
    (tmp_path / "link").symlink_to(folder)
    shutil.copytree(folder, tmp_path / "copy")
    spelt = {
        "absolute": str(folder),
        "relative": folder.name,
        "through a link": str(tmp_path / "link"),
        "roundabout": f"{folder.parent}/./{folder.name}/../{folder.name}/",
        "a copy": str(tmp_path / "copy"),
    }[spelling]
    by_policy = policy(tmp_path, os.path.relpath(folder, tmp_path))
    for guiding in ({"policies": [by_policy]}, {"reward": f"classifier:{folder}"}, {"critic": str(folder)}):
        with pytest.raises(RequestError, match="also guides"):
            check_judge(config(f"classifier:{spelt}#rude", **guiding))


def test_a_judge_that_gives_no_number_is_an_error_and_no_verdict(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    broken = classifier(tmp_path / "broken", LABELS)
    weights = load_file(broken / "model.safetensors")
    weights["classifier.bias"][:] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="the judge gave no number"):
        open_judge(config(f"classifier:{broken}#rude")).harmful("bad")
