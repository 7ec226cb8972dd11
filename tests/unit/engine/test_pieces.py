"""Pieces of text: they put the text together again, and their borders are the text's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.engine.external.pieces import LONGEST, Cutter, Lexicon, pieces_of

texts = st.text(st.sampled_from("ab \n.é你🌊") | st.characters(exclude_categories=["Cs"]), max_size=120)


@given(st.lists(texts, max_size=8))
def test_where_a_text_is_cut_does_not_depend_on_its_chunks(chunks: list[str]) -> None:
    cutter = Cutter()
    pieces = [piece for chunk in chunks for piece in cutter.read(chunk)] + cutter.end()
    assert pieces == pieces_of("".join(chunks))


@given(texts)
def test_pieces_are_the_text_again_and_none_is_empty_or_long(text: str) -> None:
    pieces = pieces_of(text)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= LONGEST for piece in pieces)


def test_a_piece_is_a_word_with_the_space_before_it() -> None:
    assert pieces_of("I do,  so\nthere ") == ["I", " do,", "  so", "\nthere", " "]
    assert pieces_of("incomprehensible") == ["incomprehens", "ible"]


def test_a_word_waits_for_its_end() -> None:
    cutter = Cutter()
    assert cutter.read("I am h") == ["I", " am"]
    assert cutter.read("ere") == []
    assert cutter.read(" ") == [" here"]
    assert cutter.read("a" * LONGEST) == [" " + "a" * (LONGEST - 1)]
    assert cutter.end() == ["a"]


def test_a_piece_of_full_length_waits_for_nothing() -> None:
    assert Cutter().read("a" * LONGEST) == ["a" * LONGEST]


def test_numbers_are_exact() -> None:
    lexicon = Lexicon()
    numbers = [lexicon.id(piece) for piece in ("I", " do", "I")]
    assert numbers == [1, 2, 1]
    assert [lexicon.spelled(number) for number in numbers] == [b"I", b" do", b"I"]
    assert lexicon.spelled(Lexicon.END) == b""
