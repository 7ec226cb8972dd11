"""A text is judged as it is read, whichever characters it was written with, and wherever it was cut."""

# ruff: noqa: RUF001  (characters that look like others are what this is about)

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.heads.lexical import LexicalHead, read_lexical_head
from ig_guardrail.costs.heads.words import count_terms
from ig_guardrail.costs.pattern import PatternCost, compile_patterns
from ig_guardrail.text.normalisation import compose, composed, folded, folded_word, may_vanish, normalise, start_of_last
from ig_guardrail.types import Piece, Prompt

PROMPT = Prompt((), ())
RUNS = int(os.environ.get("IG_STREAMS", "200"))
LOOKS_LIKE = {"a": "\u0430", "c": "\u0441", "e": "\u0435", "o": "\u03bf", "p": "\u0440", "x": "\u0445", "i": "\u0456"}
SMALL = {"a": "ᴀ", "b": "ʙ", "e": "ᴇ", "n": "ɴ", "t": "ᴛ", "l": "ʟ", "s": "ꜱ"}


def put_after(mark: str, times: int = 1) -> Callable[[str], str]:
    return lambda text: "".join(c + mark * times if c.isalnum() else c for c in text)


def exchanged(table: dict[str, str]) -> Callable[[str], str]:
    return lambda text: "".join(table.get(character, character) for character in text)


def moved(base: int, first: str, last: str) -> Callable[[str], str]:
    return lambda text: "".join(chr(base + ord(c) - ord(first)) if first <= c <= last else c for c in text)


DISGUISES: dict[str, Callable[[str], str]] = {
    "none": str,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "zero width": put_after("\u200b"),
    "fifty zero width": put_after("\u200b", 50),
    "joiner": put_after("\u200d"),
    "word joiner": put_after("\u2060"),
    "soft hyphen": put_after("\u00ad"),
    "byte order mark": put_after("\ufeff"),
    "variation selector": put_after("\ufe0f"),
    "late variation selector": put_after("\U000e0101"),
    "direction mark": put_after("\u200e"),
    "override": lambda text: f"\u202d{text}\u202c",
    "tag": put_after("\U000e0061"),
    "grapheme joiner": put_after("\u034f"),
    "control character": put_after("\x00"),
    "controls of all kinds": put_after("\x01\x08\x0e\x1b\x1f\x7f\x9f"),
    "annotation": lambda text: f"\ufff9{text[:3]}\ufffa{text[3:]}\ufffb",
    "no-break space": exchanged({" ": "\u00a0"}),
    "narrow space": exchanged({" ": "\u202f"}),
    "ideographic space": exchanged({" ": "\u3000"}),
    "line separator": exchanged({" ": "\u2028"}),
    "no-break hyphen": exchanged({"-": "\u2011"}),
    "en dash": exchanged({"-": "\u2013"}),
    "minus": exchanged({"-": "\u2212"}),
    "look-alikes": exchanged(LOOKS_LIKE),
    "small capitals": exchanged(SMALL),
    "full width": moved(0xFF01, "!", "~"),
    "mathematical": moved(0x1D41A, "a", "z"),
    "circled": moved(0x24D0, "a", "z"),
    "in filled squares": moved(0x1F170, "a", "z"),
    "in brackets": moved(0x249C, "a", "z"),
    "capitals in brackets": lambda text: moved(0x1F110, "A", "Z")(text.upper()),
    "digits in brackets": moved(0x2474, "1", "9"),
    "digits in filled circles": moved(0x2776, "1", "9"),
    "mathematical digits": moved(0x1D7CE, "0", "9"),
    "arabic digits": moved(0x0660, "0", "9"),
    "devanagari digits": moved(0x0966, "0", "9"),
    "struck through": put_after("\u0336"),
    "dots below": put_after("\u0323"),
    "arabic marks": put_after("\u064b\u0651"),
    "hebrew points": put_after("\u05b0"),
    "thai vowels": put_after("\u0e34\u0e48"),
    "devanagari signs": put_after("\u093c\u094d"),
    "marks of music": put_after("\U0001d167"),
    "marks of two scripts": put_after("\u0336\u0651\u0e48"),
    "many marks": put_after("\u0336\u0321\u0353\u0489\u035c"),
}
FORBIDDEN = {
    r"(?i)banana split": "banana split",
    r"\b\d{4}-\d{4}-\d{4}\b": "1234-5678-9012",
    r"(?i)\bcodeword\b": "codeword",
    r"(?i)x[a-z]{2}p": "xeop",
}


@cache
def cost(*patterns: str, longest: int = 14, normalise: bool = True) -> PatternCost:
    return compile_patterns(patterns, longest, "codes", ("prv",), normalise=normalise)


def scores(model: PatternCost | LexicalHead, pieces: list[str], ended: bool = True) -> list[float]:
    state, found = model.start(PROMPT), []
    for text in pieces:
        ((state, (score,)),) = model.advance([(state, Piece(text))])  # type: ignore[list-item]
        found.append(score)
    if ended:
        ((state, (score,)),) = model.advance([(state, Piece("", ended=True))])  # type: ignore[list-item]
        found.append(score)
    return found


def cut(text: str, cuts: list[int]) -> list[str]:
    ends = [0, *sorted(min(one, len(text)) for one in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(ends)]


cutting = st.lists(st.integers(0, 900), max_size=6)


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("pattern", FORBIDDEN)
@settings(max_examples=max(5, RUNS // 10), deadline=None)
@given(cuts=cutting)
def test_what_a_pattern_denies_it_denies_in_any_disguise_and_cut(pattern: str, disguise: str, cuts: list[int]) -> None:
    said = f"I say {DISGUISES[disguise](FORBIDDEN[pattern])} to you."
    assert max(scores(cost(pattern), cut(said, cuts))) == 1.0


@pytest.mark.parametrize("disguise", DISGUISES)
def test_nothing_else_is_denied(disguise: str) -> None:
    assert not any(scores(cost(*FORBIDDEN), list(DISGUISES[disguise]("A melon is split, 123-4567 times."))))


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("own", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(?i)café", "ein CAFÉ"),
        ("(?i)ärger", "so ein Ärger heute"),
        ("[àâ]l", "là, âl"),
        ("пароль", "мой пароль такой"),
        ("κωδικός", "ο κωδικός"),
        ("パスポート", "私のパスポート番号"),
        ("비밀", "내 비밀번호"),
        ("كلمة", "هذه كلمة السر"),
        ("सूत्र", "यह सूत्र है"),
    ],
)
def test_a_policy_in_any_script_matches_composed_and_decomposed(pattern: str, said: str, own: str, form: str) -> None:
    model = cost(unicodedata.normalize(own, pattern))
    text = unicodedata.normalize(form, said)
    for place in range(len(text)):
        assert max(scores(model, cut(text, [place]))) == 1.0


@pytest.mark.parametrize("sign", ["²", "…", "\u200b", "ﬁ", "\u00a0", "１", "№"])
def test_a_pattern_may_still_name_what_no_reading_shows(sign: str) -> None:
    assert max(scores(cost(sign), [f"a {sign}", " b"])) == 1.0


def test_code_points_are_compared_where_the_policy_asks_for_it() -> None:
    literal = cost("banana", normalise=False)
    assert max(scores(literal, ["a banana"])) == 1.0
    for name in ("zero width", "look-alikes", "full width"):
        assert max(scores(literal, [DISGUISES[name]("a banana")])) == 0.0
    assert literal.sha256 != cost("banana").sha256


PIECES = [
    "a",
    "b",
    "e",
    "é",
    "\u0301",
    "\u0327",
    "\u200b",
    "а",
    "é",
    "각",
    "\u064b",
    "\u093e",
    "가",
    "\u11a8",
    "か",
    "\u3099",
    " ",
    "\u0336",
]
OTHERS = ["ab", "é", "a.b", r"\be", "ae$", r"(?m)b$", r"a\B", "[^a]b", "가", "각", "が", r"e\b", "аb", r" \b"]


@pytest.mark.slow
@settings(max_examples=RUNS * 5, deadline=None)
@given(
    st.sampled_from(OTHERS),
    st.integers(1, 4),
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.lists(st.integers(0, 14), max_size=8),
)
def test_any_cut_denies_exactly_what_the_whole_text_denies(
    pattern: str, longest: int, said: str, cuts: list[int]
) -> None:
    model = cost(pattern, longest=longest)
    assert max(scores(model, cut(said, cuts))) == max(scores(model, [said]))


@pytest.mark.parametrize(
    ("pattern", "longest", "said"),
    [
        ("が", 1, "aaaaaaaか\u3099\u0301\u0301a"),
        ("がb", 2, "aaか\u3099b\u0336\u0336\u0336a"),
        ("éb", 2, "aae\u0301b\u0336\u0336\u0336a"),
    ],
)
def test_a_match_that_marks_keep_waiting_is_found_at_any_cut(pattern: str, longest: int, said: str) -> None:
    assert [max(scores(cost(pattern, longest=longest), cut(said, [at]))) for at in range(len(said))] == [1.0] * len(
        said
    )


@settings(max_examples=RUNS * 2, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=80).map("".join), st.lists(st.integers(0, 80), max_size=8))
def test_the_composed_reading_does_not_depend_on_cuts(said: str, cuts: list[int]) -> None:
    settled = waiting = ""
    for piece in cut(said, cuts):
        more, waiting = compose(waiting, piece, False)
        settled += more
    assert settled + compose(waiting, "", True)[0] == composed(said)
    assert composed(said).startswith(settled)


@settings(max_examples=RUNS, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_the_folded_reading_only_grows(first: str, second: str) -> None:
    assert folded(first + second) == folded(first) + folded(second, folded(first))


def test_marks_of_another_script_stay_on_its_letters() -> None:
    for said in ("كِتاب", "שָׁלוֹם", "กิน", "हिन्दी", "မြန်မာ"):
        assert normalise(said) == composed(said)
        assert unicodedata.normalize("NFD", folded(said)) == unicodedata.normalize("NFD", composed(said))


@settings(max_examples=RUNS, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=126, exclude_categories=["Cc"], include_characters="\t\n\v\f\r")))
def test_ascii_is_read_as_it_is(text: str) -> None:
    assert composed(text) == folded(text) == normalise(text) == text


@settings(max_examples=RUNS, deadline=None)
@given(st.text(max_size=60), st.integers(0, 60), st.integers(0, 20))
def test_what_is_held_back_spans_as_many_characters_in_every_reading(text: str, end: int, characters: int) -> None:
    end = min(end, len(text))
    start = start_of_last(text, end, characters)
    assert 0 <= start <= end
    for reading in (str, composed, folded):
        assert start == 0 or len(reading(text[start:end])) >= characters
    assert not (start and may_vanish(text[start - 1])) or characters == 0


@settings(max_examples=RUNS, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "é", "\u0301", "\u200b", '"', "\\", "\n", "\b", "\0", "u", "0", "\U000e0041", "😀"]),
        max_size=40,
    ),
    st.randoms(use_true_random=False),
    st.integers(0, 200),
    st.integers(0, 12),
)
def test_what_is_held_back_of_json_spans_as_many_decoded_characters(
    said: list[str], dice: Random, end: int, characters: int
) -> None:
    text = "".join(json.dumps(one)[1:-1] if dice.random() < 0.6 or one in '"\\' else one for one in said)
    end = min(end, len(text))
    start = start_of_last(text, end, characters, escaped=True)
    whole = re.sub(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?$", r"\1", text[start:end])
    decoded = json.loads(f'"{whole}"', strict=False)
    for reading in (str, composed, folded):
        assert start == 0 or len(reading(decoded)) >= characters


def test_real_words_of_other_scripts_and_accents_stay_as_they_are() -> None:
    for word in ("молоко", "привет", "κωδικός", "Ängste", "naïve", "ещё", "日本", "don’t", "garçon"):
        assert normalise(word) == word
    assert folded_word("b\u0430n\u0430n\u0430") == "banana"
    assert folded_word("c\u0430fé") == "café"


@cache
def words() -> LexicalHead:
    return read_lexical_head(files("ig_guardrail.artifacts") / "words", "words", ("hte",))


def at_letters(disguise: str) -> bool:
    """Whether a disguise changes letters, and not to others that words have."""
    return "dots" not in disguise and disguise not in ("no-break hyphen", "en dash", "minus")


@pytest.mark.parametrize("disguise", [name for name in DISGUISES if at_letters(name)])
def test_words_are_counted_alike_in_any_disguise(disguise: str) -> None:
    plain = "You are a total idiot, and nobody likes an arrogant blockhead."
    said = DISGUISES[disguise](plain)
    assert count_terms(said, 2**15) == count_terms(plain, 2**15)
    assert scores(words(), [said])[-1] == scores(words(), [plain])[-1] > 0.3


@settings(max_examples=RUNS, deadline=None)
@given(
    st.sampled_from(list(DISGUISES)),
    st.lists(
        st.sampled_from(
            ["idiot", "café", " ", "ab\u0336\u0336\u0336", "b\u064b", "\u0e34", "’s", "\u200b", "x" * 39, "я"]
        ),
        max_size=9,
    ),
    st.lists(st.integers(0, 90), max_size=6),
)
def test_words_do_not_depend_on_cuts(disguise: str, parts: list[str], cuts: list[int]) -> None:
    said = DISGUISES[disguise]("".join(parts))
    assert scores(words(), cut(said, cuts))[-1] == scores(words(), [said])[-1]
