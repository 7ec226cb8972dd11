"""Whole brief answers are read by a line of their own, where a head has one; all else by the first, as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.encoder.cost import read_encoder_cost
from ig_guardrail.costs.encoder.loading import open_encoder
from ig_guardrail.costs.heads.brief import BRIEF_TOKENS, BRIEF_WORDS
from ig_guardrail.costs.heads.latent import LatentHead, read_latent_head
from ig_guardrail.costs.heads.lexical import LexicalHead, read_lexical_head
from ig_guardrail.costs.heads.words import bucket, count_terms, words_in
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Piece, Prompt
from tests.unit.costs.artifacts import MODEL, SIZE, latent_tensors, write
from tests.unit.costs.encoders import bert_encoder, head, head_tensors

PROMPT = Prompt((), ())
BASE = {"name": "toy", "sha256": MODEL, "numerics": "bfloat16", "layer": 2}


def latent_head(folder: Path, **more: Any) -> LatentHead:
    return read_latent_head(write(folder, "latent", latent_tensors() | more, base_model=BASE), "tone", ("hte",))


def brief_latent() -> dict[str, Any]:
    """A second line whose logit is always 3."""
    zeros, ones = np.zeros(SIZE, dtype=np.float32), np.ones(SIZE, dtype=np.float32)
    bias = np.array([3], dtype=np.float32)
    return {"brief_weight": zeros, "brief_bias": bias, "brief_mean": zeros, "brief_deviation": ones}


def tokens(count: int, ended: bool) -> Piece:
    """So many of an answer, their states all zero."""
    return Piece("x", tuple(range(count)), {2: (torch.zeros(count, SIZE),)}, ended=ended)


def after(head: LatentHead, *pieces: Piece) -> float:
    """The score of an answer after these pieces."""
    state, score = head.start(PROMPT), (0.0,)
    for piece in pieces:
        ((state, score),) = head.advance([(state, piece)])
    return score[0]


def test_a_whole_answer_of_few_tokens_is_read_by_the_second_line(tmp_path: Path) -> None:
    head, always = latent_head(tmp_path, **brief_latent()), pytest.approx(1 / (1 + np.exp(-3)))
    for count in (1, BRIEF_TOKENS - 1):
        assert after(head, tokens(count, ended=True)) == always
    assert after(head, tokens(1, ended=False), tokens(2, ended=True)) == always
    assert after(head, tokens(3, ended=False), Piece("", ended=True)) == always


def test_what_goes_on_or_is_longer_is_read_by_the_first_line(tmp_path: Path) -> None:
    both, one = latent_head(tmp_path / "both", **brief_latent()), latent_head(tmp_path / "one")
    for pieces in (
        (tokens(1, ended=False),),
        (tokens(BRIEF_TOKENS, ended=True),),
        (tokens(4, ended=False), tokens(4, ended=True)),
    ):
        assert after(both, *pieces) == after(one, *pieces)


def test_a_batch_of_brief_and_long_answers_scores_each_as_it_would_alone(tmp_path: Path) -> None:
    head = latent_head(tmp_path, **brief_latent())
    pieces = [Piece("x", tuple(range(n)), {2: (torch.randn(n, SIZE),)}, ended=n % 2 > 0) for n in (1, 40, 7, 8, 3)]
    together = head.advance([(head.start(PROMPT), piece) for piece in pieces])
    alone = [head.advance([(head.start(PROMPT), piece)])[0] for piece in pieces]
    assert [scores for _, scores in together] == [scores for _, scores in alone]


@pytest.mark.parametrize("lacking", ["brief_bias", "brief_mean", "brief_deviation", "brief_weight"])
def test_a_part_of_a_second_line_is_not_read_as_none(tmp_path: Path, lacking: str) -> None:
    tensors = {name: value for name, value in brief_latent().items() if name != lacking}
    with pytest.raises(ModelError, match=lacking):
        latent_head(tmp_path, **tensors)


def test_a_second_line_of_another_size_is_refused(tmp_path: Path) -> None:
    wide = {name: np.ones(SIZE + 1, dtype=np.float32) for name in ("brief_weight", "brief_mean", "brief_deviation")}
    with pytest.raises(ModelError, match="'brief_weight' has 5 numbers instead of 4"):
        latent_head(tmp_path, **(brief_latent() | wide))


def word_head(folder: Path, **more: Any) -> LexicalHead:
    tensors = {
        "weight": np.zeros(64, dtype=np.float16),
        "frequency": np.ones(64, dtype=np.float16),
        "bias": np.array([-2], dtype=np.float32),
        "centre": np.array([0], dtype=np.float32),
        "width": np.array([1], dtype=np.float32),
    }
    return read_lexical_head(write(folder, "lexical", tensors | more), "words", ("hte",))


def brief_words(word: str) -> dict[str, Any]:
    """A second line that knows one word."""
    weight = np.zeros(64, dtype=np.float16)
    weight[bucket(word, 64)] = 8
    bias = np.array([-2], dtype=np.float32)
    return {"brief_weight": weight, "brief_frequency": np.ones(64, dtype=np.float16), "brief_bias": bias}


def score(model: CostModel, text: str) -> float:
    ((_, (found,)),) = model.advance([(model.start(PROMPT), Piece(text, ended=True))])
    return found


def test_a_text_of_few_words_is_read_by_the_second_line_and_more_by_the_first(tmp_path: Path) -> None:
    head = word_head(tmp_path, **brief_words("idiot"))
    assert score(head, "idiot") > 0.5
    assert score(head, " ".join(["idiot"] * (BRIEF_WORDS - 1))) > 0.5
    assert score(head, " ".join(["idiot"] * BRIEF_WORDS)) < 0.5
    ((_, (begun,)),) = head.advance([(head.start(PROMPT), Piece("idiot "))])
    assert begun < 0.5


def test_what_words_weigh_is_told_of_the_line_that_read_them(tmp_path: Path) -> None:
    head = word_head(tmp_path, **brief_words("idiot"))
    for text in ("you idiot", "you idiot, I really did not mean that"):
        line = head.line_of(count_terms(text, 64))
        assert head.scale.score(sum(head.weigh(text).values()) + line.bias) == pytest.approx(score(head, text))


@pytest.mark.parametrize(("text", "words"), [("", 0), ("one", 1), ("one, two", 2), ("one one one one", 4)])
def test_words_are_counted_from_their_terms(text: str, words: int) -> None:
    assert words_in(count_terms(text, 64)) == words


def test_an_answer_of_few_pieces_is_read_by_the_second_line(tmp_path: Path) -> None:
    encoder = open_encoder(str(bert_encoder(tmp_path / "encoder")), tmp_path, "encoder")
    first = head_tensors(encoder.size)
    brief = {f"brief_{name}": first[name] for name in ("weight", "words.weight", "words.frequency")}
    brief["brief_bias"] = np.array([40], dtype=np.float32)
    found = {}
    for name, more in (("one", {}), ("both", brief)):
        model = read_encoder_cost(head(tmp_path / name, encoder, more=more), encoder, "tone", ("hte",))
        ((_, (begun,)),) = model.advance([(model.start(PROMPT), Piece("good soup "))])
        long = "good soup bread soup good bread soup good"
        found[name] = [score(model, "good soup"), score(model, long), begun]
    assert found["both"][0] > 0.99 > found["one"][0]
    assert found["both"][1:] == found["one"][1:]


def test_the_second_line_is_part_of_the_hash(tmp_path: Path) -> None:
    one, both = latent_head(tmp_path / "one"), latent_head(tmp_path / "both", **brief_latent())
    assert one.sha256 != both.sha256
