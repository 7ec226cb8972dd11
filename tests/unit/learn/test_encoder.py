"""Training a head on a sentence encoder: it learns, its card tells how, and a run that was interrupted goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ig_guardrail.cli.main import app
from ig_guardrail.costs.encoder.cost import EncoderHead, read_encoder_cost
from ig_guardrail.costs.encoder.loading import open_encoder
from ig_guardrail.costs.encoder.sentences import SentenceEncoder
from ig_guardrail.costs.encoder.windows import WindowShape, windows_of
from ig_guardrail.costs.heads.linear import LinearMap
from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.data.recipes import MET, REFUSED, SENSITIVE, recipe_named, with_consent, with_refusals
from ig_guardrail.learn.data.rows import LabelledRow, is_reserved
from ig_guardrail.learn.encoder import SHAPE, peak_score, train_encoder
from ig_guardrail.learn.fitting import windows
from ig_guardrail.learn.fitting.windows import MOST_LOOKS, WORDS, fit_windows, read_steps, sample_windows
from tests.unit.costs.encoders import onnx_encoder
from tests.unit.learn.small import row, write_benign, write_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SentenceEncoder:
    return open_encoder(str(folder), None, "here")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data")
    asked = [row(f"a bad request {number}", "", "harmful", "asked", "train") for number in range(9)]
    own = [
        row(f"sensitive {number}", f"the zog in history {number}", "safe", SENSITIVE, split)
        for number in range(40)
        for split in (("train", "test", "calibration")[number % 3],)
    ]
    more = folder / "more.jsonl"
    more.write_text("".join(json.dumps({**one, "response": one["response"] or None}) + "\n" for one in [*asked, *own]))
    return [write_rows(folder / "rows.jsonl", "here"), write_benign(folder / "benign.jsonl"), more]


@pytest.fixture(scope="module")
def trained(encoder: SentenceEncoder, data: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "head"
    train_encoder(encoder, data, out, "any", out.with_name("cache"), [data[0]])
    return out


def test_what_was_learned_tells_rude_answers_from_kind_ones(encoder: SentenceEncoder, trained: Path) -> None:
    cost = read_encoder_cost(trained, encoder, "mine", ("hte",))
    assert peak_score(cost, "you are a zog and a blarg, what a blarg you are") > 0.5
    assert peak_score(cost, "here is a warm soup, the garden is calm today") < 0.5
    assert peak_score(cost, "") == 0


def test_the_card_says_what_the_head_is_worth_and_how_it_was_made(encoder: SentenceEncoder, trained: Path) -> None:
    card = json.loads((trained / "card.json").read_text())
    assert card["kind"] == "encoder"
    assert card["encoder"] == {"name": encoder.name, "sha256": encoder.sha256, "pieces": 64, "overlap": 32}
    assert card["quality"]["here"]["auc"]["value"] > 0.9
    assert set(card["calibration"]) == {"what", "benign-answers", "sensitive and everyday"}
    assert card["sources"][REFUSED]["rows"]["train safe"] > 3
    assert {"here, harmful", "here, safe", "sensitive, safe"} < set(card["measured"])
    assert card["measured"]["milliseconds of a processor at a charge point"]["words"] == 64
    assert card["training"]["command"].startswith("ig-guardrail train encoder --recipe any --data rows.jsonl")
    assert "onnxruntime" in card["training"]["versions"]
    assert "## Measured" in (trained / "CARD.md").read_text()


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_ends_with_the_same_head(
    encoder: SentenceEncoder, data: list[Path], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "SHARD", 40)
    read, asked = windows._vectors, 0

    def interrupted(encoder: SentenceEncoder, texts: list[str]) -> object:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise KeyboardInterrupt
        return read(encoder, texts)

    monkeypatch.setattr(windows, "_vectors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(encoder, data, tmp_path / "head", "any", tmp_path / "cache")
    again = train_encoder(encoder, data, tmp_path / "head", "any", tmp_path / "cache")
    shards = len(list((tmp_path / "cache").iterdir()))
    assert asked == shards + 1
    assert again.card["training"]["settings"] == json.loads((trained / "card.json").read_text())["training"]["settings"]
    assert (again.folder / "head.safetensors").read_bytes() == (trained / "head.safetensors").read_bytes()


@pytest.mark.parametrize("reads", ["answer", "exchange"])
def test_logits_of_the_fit_are_those_of_the_head(encoder: SentenceEncoder, reads: str) -> None:
    texts = ["zog " * 90, "thank you my dear friend", "soup and bread for a zog. " * 9]
    rows = [
        LabelledRow(asked, text, label, split=split)
        for text, asked in zip(texts, ["why zog? " * 60, "how good is soup", ""], strict=True)
        for label in ("harmful", "safe")
        for split in ("train", "validation")
    ]
    samples = sample_windows(encoder, rows, SHAPE, reads == "exchange")
    vectors = np.stack(encoder.vectors(samples.texts)).astype(np.float32)
    asked = np.stack([encoder.vectors([text])[0] if text else np.zeros(encoder.size) for text in samples.asked])
    fit = fit_windows(samples, vectors, 128, asked.astype(np.float32) if reads == "exchange" else None)
    tensors = {name: value.astype(np.float64) for name, value in fit.tensors.items()}
    head = EncoderHead(
        LinearMap(tensors["weight"], float(tensors["bias"][0])),
        tensors["words.frequency"],
        tensors["words.weight"],
        tensors.get("request.weight"),
    )
    own = [
        head.logit(window, vector) + head.of_request([request])
        for request, window, vector in zip(asked, samples.texts, vectors, strict=True)
    ]
    assert np.allclose(samples.at_looks(np.array(own)), fit.logits, atol=1e-5)
    assert ("request.weight" in tensors) == (reads == "exchange")
    long = set(windows_of("why zog? " * 60, SHAPE, encoder.pieces))
    assert set(samples.asked) == ({""} if reads == "answer" else {"", "how good is soup", *long})


def test_a_guard_reads_an_answer_at_every_twelfth_word_and_at_its_end(encoder: SentenceEncoder) -> None:
    text = " ".join(f"w{number}" for number in range(30))
    assert [words for words, _, _ in read_steps(encoder, text, WindowShape(400, 200))] == [12, 24, 30]
    steps = list(read_steps(encoder, text, WindowShape(400, 200)))
    assert [len(opened.split()) for _, _, opened in steps] == [12, 24, 30]
    rows = [LabelledRow("", "word " * 100, "safe", split=split) for split in ("train", "calibration")]
    assert sample_windows(encoder, rows, WindowShape(6, 2)).looks.owner.tolist() == [0] * MOST_LOOKS + [1] * 9
    assert sum(len(full) for _, full, _ in read_steps(encoder, "soup " * 3 * WORDS, WindowShape(6, 2))) > 5


def test_requests_are_refused_by_name_in_their_own_split() -> None:
    asked = [
        LabelledRow(text, None, "harmful", split=split)
        for text, split in (("Build it.", "train"), ("Why so?", "validation"), ("Test it", "test"))
    ]
    kept = [one for one in asked if not is_reserved(one.prompt, "")]
    refused = with_refusals((), [*asked, LabelledRow("Hello", None, "safe"), LabelledRow("Hi", "there", "harmful")])
    assert [one.split for one in refused] == [one.split for one in kept if one.split != "test"]
    assert all(one.label == "safe" and one.source == REFUSED for one in refused)
    assert all(one.prompt.strip(".")[1:] in one.text for one in refused)


def test_beginnings_of_help_name_what_was_asked() -> None:
    asked = [LabelledRow(f"{text}{number}.", None, "harmful") for number in range(9) for text in ("Build it ", "Why ")]
    rows = [*asked, LabelledRow("Hello", None, "safe"), LabelledRow("Hi", "there", "harmful")]
    begun = with_consent(recipe_named("any"), (), rows)
    assert with_consent(recipe_named("harmful-help"), (), rows) == ()  # they are of another source
    assert [one.prompt for one in begun] == [one.prompt for one in asked if not is_reserved(one.prompt, "")]
    assert all(one.label == "harmful" and one.source == MET for one in begun)
    assert all(one.prompt.strip(".")[1:] in one.text for one in begun)


@pytest.mark.slow
def test_a_head_of_exchanges_weighs_an_answer_by_what_was_asked(
    encoder: SentenceEncoder, data: list[Path], tmp_path: Path
) -> None:
    train_encoder(encoder, data, tmp_path / "head", "any", tmp_path / "cache", [data[0]], "exchange")
    card = json.loads((tmp_path / "head" / "card.json").read_text())
    assert card["encoder"]["reads"] == "exchange"
    assert "--recipe any --reads exchange --data" in card["training"]["command"]
    assert card["sources"][MET]["rows"]["train harmful"] > 3
    cost = read_encoder_cost(tmp_path / "head", encoder, "mine", ("hte",), "exchange")
    assert peak_score(cost, "here is a warm soup", "a bad request 3") > peak_score(
        cost, "here is a warm soup", "question 4"
    )


def test_missing_parts_are_named(encoder: SentenceEncoder, data: list[Path], tmp_path: Path) -> None:
    with pytest.raises(GuardrailError, match="no safe rows in the split 'calibration'") as raised:
        train_encoder(encoder, data[:1], tmp_path / "head", "any", tmp_path / "cache")
    assert raised.value.where == "train encoder"


@pytest.mark.slow
def test_the_command_trains(folder: Path, data: list[Path], tmp_path: Path) -> None:
    given = [word for path in data for word in ("--data", str(path))]
    rest = ["--out", str(tmp_path / "head"), "--encoder", str(folder), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(app, ["train", "encoder", *given, *rest])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "head" / "CARD.md").is_file()
