"""The lexical head: a level over the whole text, for answers and for prompts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.heads.lexical import LexicalHead, logit_of, read_lexical_head
from ig_guardrail.costs.heads.words import count_terms
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Piece, Prompt
from tests.unit.costs.artifacts import latent, lexical, write

PROMPT = Prompt((), ())


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> LexicalHead:
    return read_lexical_head(lexical(tmp_path_factory.mktemp("words")), "words", ("hte",))


def score(head: LexicalHead, *pieces: str) -> float:
    state, scores = head.start(PROMPT), (0.0,)
    for number, text in enumerate(pieces, start=1):
        ((state, scores),) = head.advance([(state, Piece(text, ended=number == len(pieces)))])
    return scores[0]


def test_the_harmful_word_raises_the_score(head: LexicalHead) -> None:
    assert score(head, "you are kind") < 0.2 < 0.5 < score(head, "you idiot")


@settings(deadline=None)
@given(st.text(alphabet="idot yu.", max_size=60), st.integers(0, 60))
def test_any_cut_scores_the_same(head: LexicalHead, text: str, cut: int) -> None:
    assert score(head, text[:cut], text[cut:]) == score(head, text)


def test_a_text_without_words_scores_zero(head: LexicalHead) -> None:
    assert score(head, "") == 0.0
    assert score(head, "...") == 0.0


def test_an_incomplete_word_is_not_judged_before_it_is_complete(head: LexicalHead) -> None:
    state = head.start(PROMPT)
    ((state, early),) = head.advance([(state, Piece("oh you idiot"))])
    ((_, late),) = head.advance([(state, Piece(" ", ended=True))])
    assert early[0] < 0.5 < late[0]


def test_a_prompt_is_scored_as_one_ended_piece(head: LexicalHead) -> None:
    ((_, scores),) = head.advance([(head.start(PROMPT), Piece("are you an idiot", ended=True))])
    assert scores[0] == score(head, "are you an idiot")


def test_the_logit_is_the_cosine_of_terms_and_weights(head: LexicalHead) -> None:
    counts = count_terms("one two", 64)
    frequency, weight = head.line.frequency * 2, head.line.weight * 0 + 1
    values = [2.0 * count for count in counts.values()]
    expected = sum(values) / math.sqrt(sum(value * value for value in values))
    assert logit_of(counts, frequency, weight) == pytest.approx(expected)


def test_terms_that_were_never_seen_have_no_say(head: LexicalHead) -> None:
    assert logit_of(count_terms("one two", 64), head.line.frequency * 0, head.line.weight) == 0.0


def test_an_artifact_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the artifact is of kind 'latent', not 'lexical'"):
        read_lexical_head(latent(tmp_path / "head"), "words", ("hte",))


def test_an_artifact_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no vector of numbers called 'weight'"):
        read_lexical_head(write(tmp_path / "head", "lexical", {}), "words", ("hte",))
