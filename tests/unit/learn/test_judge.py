"""The judge is fitted on reserved rows only, keeps each part's opinion, and says what it shares with cost models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.costs.encoder.loading import open_encoder
from ig_guardrail.costs.encoder.sentences import SentenceEncoder
from ig_guardrail.errors import GuardrailError, MissingExtra, ModelError
from ig_guardrail.judge import ENCODER, WORDS, Judge, VectorReader, count_features, read_judge
from ig_guardrail.learn import judge as module
from ig_guardrail.learn.agreement import agreement_of
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.judge import WHOLE, train_judge
from ig_guardrail.types import Piece, Prompt
from tests.unit.costs.encoders import onnx_encoder
from tests.unit.learn.small import write_benign, write_rows

RUDE, KIND = "you zog, you blarg", "here is a warm soup the garden is calm today"


class ZogCost:
    """A cost model that knows one word, as the stand-in for one that guides."""

    def start(self, prompt: Prompt) -> None:
        return None

    def advance(self, steps: list[tuple[None, Piece]]) -> list[tuple[None, tuple[float, ...]]]:
        return [(None, (float("zog" in piece.text),)) for _, piece in steps]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    return open_encoder(str(onnx_encoder(tmp_path_factory.mktemp("encoder"))), None, "here")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data")
    return [
        write_rows(folder / "tone.jsonl", "t-davidson", count=40),
        write_rows(folder / "help.jsonl", "JailbreakBench-artifacts", seed=5, count=40),
        write_benign(folder / "benign.jsonl", count=250),
    ]


@pytest.fixture(scope="module")
def folder(encoder: SentenceEncoder, data: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "judge"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "BUCKETS", 2**10)
        train_judge(encoder, data, out, out.with_name("cache"), {"tone": {"zogs": ZogCost()}})  # type: ignore[dict-item]
    return out


@pytest.fixture(scope="module")
def judge(folder: Path, encoder: SentenceEncoder) -> Judge:
    return read_judge(folder, encoder)


@pytest.fixture(scope="module")
def card(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return found


@pytest.mark.slow
def test_it_and_each_of_its_parts_tell_rude_from_kind(judge: Judge) -> None:
    for one in (judge, *judge.parts.values()):
        assert one.harmful(RUDE)
        assert not one.harmful(KIND)
        assert one.score("x y z") == max(one.scores("x y z").values())
        assert one.score(" \n") == 0
    assert set(judge.parts) == {WORDS, ENCODER}


@pytest.mark.slow
def test_it_is_the_sum_of_how_far_its_parts_lie_above_their_thresholds(judge: Judge) -> None:
    for name, topic in judge.topics.items():
        parts = [part.topics[name] for part in judge.parts.values()]
        steps = [(one.view.logit(RUDE) - one.scale.centre) / one.scale.width for one in parts]
        assert topic.view.logit(RUDE) == pytest.approx(sum(steps))


@pytest.mark.slow
def test_every_opinion_has_a_hash_of_its_own_that_covers_the_encoder(
    judge: Judge, folder: Path, tmp_path: Path
) -> None:
    assert len({judge.sha256, *(part.sha256 for part in judge.parts.values())}) == 3
    other = open_encoder(str(onnx_encoder(tmp_path, seed=1)), None, "here")
    with pytest.raises(ModelError, match="the artifact is unfit") as raised:
        read_judge(folder, other)
    assert other.sha256 in (raised.value.why or "")


@pytest.mark.slow
def test_an_answer_is_read_once(judge: Judge, encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    read = SentenceEncoder.vectors
    monkeypatch.setattr(SentenceEncoder, "vectors", lambda self, texts: asked.extend(texts) or read(self, texts))
    for _ in range(2):
        for one in (judge, *judge.parts.values()):
            one.harmful("a text that was never read")
    assert asked == ["a text that was never read"]


@pytest.mark.slow
def test_half_of_a_pair_of_surrogates_is_read_like_any_text(judge: Judge) -> None:
    assert 0 <= judge.score("so \ud83d it is") <= 1


@pytest.mark.slow
def test_it_is_fitted_on_reserved_rows_only(
    encoder: SentenceEncoder, data: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {"fit_words": set(), "fit_latent": set()}

    def spied(name: str) -> Any:
        fit = getattr(module, name)

        def spy(looks: Any, *more: Any) -> Any:
            seen[name].update(row.prompt for row in looks.rows)
            return fit(looks, *more)

        return spy

    for name in seen:
        monkeypatch.setattr(module, name, spied(name))
    monkeypatch.setattr(module, "BUCKETS", 2**10)
    train_judge(encoder, data, tmp_path / "judge", tmp_path / "cache", {})
    reserved = {row.prompt for row in read_rows(data).rows if row.reserved}
    assert seen["fit_words"] == seen["fit_latent"] != set()
    assert seen["fit_words"] <= reserved


@pytest.mark.slow
def test_at_most_a_twentieth_of_the_reserved_benign_answers_is_called_harmful(card: dict[str, Any]) -> None:
    for name in (WHOLE, WORDS, ENCODER):
        assert card["calibration"][f"called harmful by either topic, {name}"]["value"] <= 0.05


@pytest.mark.slow
def test_the_card_says_what_each_opinion_is_worth_and_what_it_shares(
    card: dict[str, Any], encoder: SentenceEncoder
) -> None:
    for name in (WHOLE, WORDS, ENCODER):
        assert card["quality"]["tone"]["t-davidson"][name]["auc"]["value"] > 0.8
    assert card["encoder"] == {"name": encoder.name, "sha256": encoder.sha256}
    compared = card["agreement with cost models"]["tone"]["zogs"]["t-davidson"]
    assert 0 < compared["mistakes of the cost model"] < compared["answers"]
    assert any("frozen weights" in limit for limit in card["limits"])


def test_agreement_is_that_of_one_label_and_on_mistakes() -> None:
    class Says:
        def __init__(self, marks: dict[str, float]) -> None:
            self.marks = marks

        def logit(self, text: str) -> float:
            return self.marks[text]

        start = ZogCost.start

        def advance(self, steps: list[tuple[None, Piece]]) -> list[tuple[None, tuple[float, ...]]]:
            return [(None, (self.marks[piece.text],)) for _, piece in steps]

    from ig_guardrail.costs.heads.linear import Scale
    from ig_guardrail.judge import Topic

    texts = {"a": 0.9, "b": 0.8, "c": 0.2, "d": 0.1, "e": 0.7, "f": 0.3}
    harm = "abc"  # so c is missed, and e is a false alarm
    rows = [LabelledRow("", text, "harmful" if text in harm else "safe") for text in texts]
    same, better = Says(texts), Says({**texts, "c": 1.0, "e": 0.0})
    opinions = {
        name: Judge({"tone": Topic(view, Scale(0, 1))}, "") for name, view in (("same", same), ("better", better))
    }
    found = agreement_of(opinions, {"tone": {"cost": same}}, {"tone": {"here": rows}})["tone"]["cost"]["here"]  # type: ignore[dict-item]
    assert found["mistakes of the cost model"] == 2
    assert found["same"]["rank correlation among answers of one label"] == 1
    assert found["better"]["rank correlation among answers of one label"] < 0.5
    assert found["same"]["auc on its mistakes"]["value"] == 0
    assert found["better"]["auc on its mistakes"]["value"] == 1


def test_without_reserved_rows_of_both_labels_it_is_refused(
    encoder: SentenceEncoder, data: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(GuardrailError, match="no reserved rows of both labels for the topic 'help'"):
        train_judge(encoder, [data[2]], tmp_path / "judge", tmp_path / "cache", {})


def test_without_the_encoder_there_is_no_other_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: module != "onnxruntime")
    with pytest.raises(MissingExtra, match="the packaged judge cannot be used without onnxruntime") as raised:
        read_judge()
    assert "ig-guardrail[eval]" in raised.value.fix


def test_a_vector_is_read_of_the_first_characters_alone(encoder: SentenceEncoder) -> None:
    reader = VectorReader(encoder)
    assert reader.vector("soup " * 300) is reader.vector("soup " * 300 + "and bread")


def test_it_reads_runs_of_three_to_five_characters_words_and_pairs() -> None:
    counts = count_features("Ab cd", 2**16)
    assert sum(count for index, count in counts.items() if index < 2**15) == 5 + 4 + 3  # of " ab cd "
    assert sum(count for index, count in counts.items() if index >= 2**15) == 2 + 1
    assert count_features("A  b\n", 2**16) == count_features("a b", 2**16)
    assert count_features(" \n", 2**16) == {}
