"""Words are read the same however a text was cut, and incomplete ones wait."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.heads.words import LONGEST_WORD, WordReader, bucket, count_terms

BUCKETS = 2**15

texts = st.text(alphabet=st.sampled_from("ab cÄß_'\u2019.\n\u0301\u00b2\u00a0日本1"), max_size=120)


def total(text: str) -> int:
    return sum(count_terms(text, BUCKETS).values())


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 120), max_size=5))
def test_any_cut_reads_the_same_terms(text: str, cuts: list[int]) -> None:
    reader, ends = WordReader(), sorted({min(cut, len(text)) for cut in cuts})
    for start, end in zip([0, *ends], ends, strict=False):
        reader = reader.read(text[start:end], False, BUCKETS)
    reader = reader.read(text[ends[-1] if ends else 0 :], True, BUCKETS)
    assert reader.counts == count_terms(text, BUCKETS)
    assert reader.tail == ""


@settings(deadline=None)
@given(texts)
def test_what_waits_is_always_shorter_than_the_longest_word(text: str) -> None:
    assert len(WordReader().read(text, False, BUCKETS).tail) < LONGEST_WORD


def test_a_word_at_the_end_waits_until_it_is_complete() -> None:
    reader = WordReader().read("you are an ass", False, BUCKETS)
    assert reader.tail == "ass"
    assert bucket("ass", BUCKETS) not in reader.counts
    assert bucket("assistant", BUCKETS) in reader.read("istant.", False, BUCKETS).counts


def test_a_word_at_the_end_of_the_text_counts() -> None:
    assert bucket("ass", BUCKETS) in WordReader().read("you ass", True, BUCKETS).counts


def test_words_and_neighbouring_pairs_are_counted() -> None:
    counts = count_terms("one two, TWO", BUCKETS)
    assert counts[bucket("two", BUCKETS)] == 2
    assert counts[bucket("one two", BUCKETS)] == 1
    assert counts[bucket("two two", BUCKETS)] == 1
    assert total("one two, TWO") == 5


def test_spellings_of_one_word_are_one_word() -> None:
    assert count_terms("STRASSE ﬁne", BUCKETS) == count_terms("straße fine", BUCKETS)


def test_buckets_are_the_same_on_every_machine() -> None:
    assert bucket("harmful", 2**15) == 2592


def test_a_text_without_words_has_no_terms() -> None:
    assert count_terms(" ... '' !?\n", BUCKETS) == {}


def test_reading_on_does_not_change_an_earlier_reader() -> None:
    first = WordReader().read("one two ", False, BUCKETS)
    before = dict(first.counts)
    first.read("three ", False, BUCKETS)
    assert first.counts == before
