"""Swapped words: twice is not at all, case is kept, and nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.errors import ModelError
from ig_guardrail.text.counterfactual import Swap, paired, plural, read_swaps, swap_words

LEXICON = read_swaps()
swaps = st.sampled_from(list(LEXICON.values()))
names = st.sampled_from(sorted({word for swap in LEXICON.values() for word in swap}))
cases = st.sampled_from([str.lower, str.upper, str.capitalize, str.swapcase, lambda word: word[0] + word[1:].upper()])
people = st.builds(lambda case, word: case(word), cases, names)
texts = st.lists(people | st.text(max_size=6) | st.sampled_from([" ", "'s ", "-", "\u212a", "\u0130"])).map("".join)


@given(texts, swaps)
def test_swapping_twice_gives_the_text_back(text: str, swap: Swap) -> None:
    assert swap_words(swap_words(text, swap), swap) == text


@given(names, swaps)
def test_a_word_keeps_its_case(word: str, swap: Swap) -> None:
    other = swap.get(word, word)
    assert [swap_words(case(word), swap) for case in (str.lower, str.upper, str.capitalize)] == [
        other,
        other.upper(),
        other.capitalize(),
    ]


@given(st.text(), swaps)
def test_a_text_without_its_words_is_not_touched(text: str, swap: Swap) -> None:
    if not any(word in text.lower() for word in swap):
        assert swap_words(text, swap) == text


@given(texts, names, st.sampled_from("abcdefghijklmnopqrstuvwxyz\u00e9"), swaps)
def test_a_word_inside_a_longer_one_is_not_touched(before: str, word: str, letter: str, swap: Swap) -> None:
    longer = f"{word}{letter}{letter}{letter}"
    assert swap_words(f"{before} {longer}.", swap) == f"{swap_words(f'{before} ', swap)}{longer}."


def test_sentences_read_as_they_should() -> None:
    gender = LEXICON["gender"]
    assert swap_words("She thanked HER aunt's Brothers; the ladies manage.", gender) == (
        "He thanked HIS uncle's Sisters; the gentlemen manage."
    )
    assert swap_words("mAn and woMan", gender) == "mAn and woMan"
    assert swap_words("The Hindu cook and the Buddhists", LEXICON["hindu and buddhist"]) == (
        "The Buddhist cook and the Hindus"
    )
    assert swap_words("She", {}) == "She"


def test_plurals_are_regular() -> None:
    assert [plural(noun) for noun in ("church", "lady", "boy", "actress", "cook")] == [
        "churches",
        "ladies",
        "boys",
        "actresses",
        "cooks",
    ]


@pytest.mark.parametrize(
    "pairs",
    [[("he", "she"), ("he", "they")], [("he", "he")], [("I", "you")], [("x", "yy")], [("He", "she")], [("é", "she")]],
)
def test_pairs_that_would_not_swap_back_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ModelError, match="the swap lexicon is unfit"):
        paired(pairs)


def test_a_lexicon_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "swaps.json"
    file.write_text(json.dumps({"kin": {"nouns": [["sister", "brother"]]}}))
    assert swap_words("two sisters", read_swaps(file)["kin"]) == "two brothers"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        "[" * 100_000,
        " " * 262_145,
        '{"kin": 3}',
        '{"kin": {}}',
        '{"kin": {"words": [["she"]]}}',
        '{"kin": {"words": [["she", 1]]}}',
        '{"kin": {"words": 1}}',
        '{"kin": {"words": []}}',
        '{"kin": {"word": [["she", "he"]]}}',
        '{"kin": {"words": [["she", "he"]]}, "kin": {"words": [["her", "his"]]}}',
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_lexicon_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "swaps.json"
    file.write_text(text)
    with pytest.raises(ModelError, match="cannot be read"):
        read_swaps(file)
    with pytest.raises(ModelError, match="cannot be read"):
        read_swaps(tmp_path / "absent.json")
