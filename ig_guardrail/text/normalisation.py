"""Text without its disguises: what a reader sees, whichever characters it was written with.

A text has three readings, and a cost of texts judges those that differ:

- as it is written;
- *composed*: NFKC, without characters that nobody sees, and with every kind of space as a space;
- *folded*: besides, with Latin letters and digits for those that look like them, and without marks that were put on
  letters by characters of their own; marks of other scripts stay, but on Latin letters and digits. Each character is
  folded by itself and by the one before it, so more text never changes what was folded.

ASCII text without control characters has one reading: itself. Look-alikes are those of Unicode's confusables.txt
(package confusable-homoglyphs), small capitals and letters in brackets or filled frames by their names, digits of every
kind, and a few lower-case letters that the list leaves out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from itertools import takewhile

# Control characters but tabs and line breaks; Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt);
# and the marks of interlinear annotations.
_CONTROLS = "\x00-\x08\x0e-\x1f\x7f"
_UNSEEN = (
    f"{_CONTROLS}\u0080-\u0084\u0086-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
# The blocks of combining diacritical marks, Cyrillic ones, and those of voiced kana: characters put on any letter.
DIACRITICS = "\u0300-\u036f\u0483-\u0489\ua66f-\ua672\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u3099\u309a"
MOST_MARKS = 30  # on one letter, as in Unicode's stream-safe texts (UAX 15); more are left out of the composed reading

_ANY_CONTROL = re.compile(f"[{_CONTROLS}]")
_ANY_UNSEEN = re.compile(f"[{_UNSEEN}]+")
_DIACRITIC = re.compile(f"[{DIACRITICS}]")
_WORD = re.compile(rf"[\w{DIACRITICS}]+")
_FRAMED = re.compile(
    "(?:LATIN LETTER SMALL CAPITAL|PARENTHESIZED LATIN SMALL LETTER) ([A-Z])"
    "|(?:NEGATIVE CIRCLED|(?:CROSSED )?NEGATIVE SQUARED|PARENTHESIZED) LATIN CAPITAL LETTER ([A-Z])"
)
_LEFT_OUT = {"ĸ": "k", "к": "k", "κ": "k", "м": "m", "п": "n", "η": "n"}
_ESCAPE = 6  # characters of the longest escape in JSON
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([^u])|(?:u[0-9A-Fa-f]{0,3})?)", re.DOTALL)
_UNSEEN_ESCAPES = "b"  # of JSON, a control character
_BLANK_BRAILLE = "\u2800"
_ON_LETTERS = ("Mn", "Me")  # categories of characters that are drawn on the one before
_BEHIND_LATIN = re.compile(r"(?<=[0-9A-Za-z\u00c0-\u024f\u1e00-\u1eff])[^\w\x00-\x7f]+")


def seen(text: str) -> str:
    """The text without characters that nobody sees, and with every kind of space beyond ASCII as a space."""
    return text if _is_plain(text) else _ANY_UNSEEN.sub("", text).translate(_SPACES)


def compose(waiting: str, text: str, ended: bool) -> tuple[str, str]:
    """NFKC of a text that comes in pieces: what more text can no longer change, and what waits for the next piece.

    waiting  what waited after the piece before; the last character, with its marks, waits unless the text ended
    """
    known, border = _until_last(waiting + seen(text))
    border = len(known) if ended else border
    return unicodedata.normalize("NFKC", known[:border]), known[border:]


def composed(text: str) -> str:
    """NFKC of a whole text, without what nobody sees."""
    return compose("", text, True)[0]


def folded(text: str, behind: str = "") -> str:
    """The folded reading of a text, or of a piece of one; `behind` is what was folded before it, or its end."""
    return text if _is_plain(text) else without_stray_marks(text.translate(_FOLDS), behind)


def without_stray_marks(text: str, behind: str = "") -> str:
    """The text without marks of other scripts on Latin letters and digits; the text before it ends with `behind`."""
    if text.isascii():
        return text
    before = behind[-1:]
    return _BEHIND_LATIN.sub(_without_marks, before + text)[len(before) :]


def _without_marks(run: re.Match[str]) -> str:
    signs = run[0]
    marks = takewhile(lambda sign: unicodedata.category(sign) in _ON_LETTERS, signs)
    return signs[sum(1 for _ in marks) :]


def unframed(text: str) -> str:
    """The text with letters for the symbols that are letters in a frame, or look like one."""
    return text if text.isascii() else text.translate(_FRAMES)


def folded_word(word: str) -> str:
    """A composed word, folded where that makes it wholly Latin: words in other scripts and accents stay as they are."""
    if word.isascii():
        return word
    latin = folded(word)
    return latin if all(map(_is_latin, latin)) else word


def normalise(text: str) -> str:
    """A whole text for models that read words: composed, with every word folded that is Latin then."""
    if _is_plain(text):
        return text
    return _WORD.sub(lambda word: folded_word(word[0]), without_stray_marks(composed(unframed(text))))


def start_of_last(text: str, end: int, characters: int, escaped: bool = False) -> int:
    """Where the last `characters` characters before `end` begin; those that some reading leaves out do not count.

    escaped  whether the text is JSON: then an escape is the one character that it stands for, if it is whole
    """
    start = max(0, end - characters)
    around = text[max(0, start - 1) : end]
    if _is_plain(around) and not (escaped and "\\" in text[max(0, start - _ESCAPE) : end]):
        return start
    start, missing = end, characters
    while start and missing:
        start, counts = _unit_before(text, start, end, escaped)
        missing -= counts
    while start:
        before, counts = _unit_before(text, start, end, escaped)
        if counts:
            break
        start = before
    return start


def _unit_before(text: str, stop: int, end: int, escaped: bool) -> tuple[int, bool]:
    """Where the character or escape that ends at `stop` begins, and whether every reading shows it."""
    if escaped:
        for start in range(max(0, stop - _ESCAPE), stop):
            found = _JSON_ESCAPE.fullmatch(text, start, stop)
            if found and (found[1] or found[2] or stop == end) and _is_odd_backslash(text, start):
                shown = _shown(int(found[1], 16)) if found[1] else bool(found[2]) and found[2] not in _UNSEEN_ESCAPES
                return start, shown
    return stop - 1, not may_vanish(text[stop - 1])


def _is_odd_backslash(text: str, place: int) -> bool:
    """Whether a backslash begins an escape: an even number of others stand before it."""
    return (place - len(text[:place].rstrip("\\"))) % 2 == 0


def _shown(point: int) -> bool:
    """Whether every reading shows what an escape stands for. Halves of pairs do not count: they may be of a tag."""
    return not 0xD800 <= point < 0xE000 and not may_vanish(chr(point))


@cache
def may_vanish(character: str) -> bool:
    """Whether some reading leaves a character out, or joins it to the one before."""
    return not _is_plain(character) and (not folded(character) or not seen(character) or _joins(character))


@cache
def _joins(character: str) -> bool:
    """Whether NFKC may change a character, or the one before it, when they meet."""
    if character.isascii():
        return False
    first = unicodedata.normalize("NFKD", character)[:1]
    return unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"


def _until_last(known: str) -> tuple[str, int]:
    """A text with at most `MOST_MARKS` marks on a letter, and where the last letter begins, which more may join."""
    if known.isascii():
        return known, max(0, len(known) - 1)
    kept: list[str] = []
    border = marks = 0
    for character in known:
        marks = marks + 1 if kept and _joins(character) else 0
        if not marks:
            border = len(kept)
        if marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept), border


def _is_plain(text: str) -> bool:
    """Whether all readings of a text are the text itself, for certain."""
    return text.isascii() and _ANY_CONTROL.search(text) is None


def _is_latin(character: str) -> bool:
    return character.isascii() or unicodedata.name(character, "").startswith("LATIN")


class _Table(dict[int, str]):
    """A table for `str.translate` that is filled as characters are met."""

    def __init__(self, of: Callable[[str], str]) -> None:
        self._of = of

    def __missing__(self, point: int) -> str:
        self[point] = self._of(chr(point))
        return self[point]


def _space(character: str) -> str:
    return " " if not character.isascii() and (character.isspace() or character == _BLANK_BRAILLE) else character


def _fold(character: str) -> str:
    if _ANY_UNSEEN.fullmatch(character) or _DIACRITIC.fullmatch(character):
        return ""
    if character.isascii():
        return character
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    plain = _framed(character) or unicodedata.normalize("NFKC", _space(character))
    return "".join(map(_fold, plain)) if plain != character else _look_alike(character)


def _look_alike(character: str) -> str:
    """The ASCII character that one looks like, in its own case; else itself."""
    found = _LEFT_OUT.get(character)
    for other in _confusables().get(character, ()):
        found = found or (other if other.isascii() and len(other) == 1 else _framed(other))
    if not found:
        return character
    category = unicodedata.category(character)
    if category == "Lu" and found == "l":
        return "I"
    return found.lower() if category == "Ll" else found


def _framed(character: str) -> str:
    """The letter of a small capital, and of a letter in brackets or a filled frame; "" of others."""
    named = _FRAMED.fullmatch(unicodedata.name(character[:1], "")) if len(character) == 1 else None
    return (named[1].lower() if named[1] else named[2]) if named else ""


@cache
def _confusables() -> Mapping[str, tuple[str, ...]]:
    """What each character looks like, by Unicode's list; read when it is first needed."""
    from confusable_homoglyphs.confusables import confusables_data

    return {
        character: tuple(other["c"] for other in others) for character, others in confusables_data.items() if others
    }


def _unframe(character: str) -> str:
    plain = _fold(character) if unicodedata.category(character) == "So" else ""
    return plain if len(plain) == 1 and plain.isascii() and plain.isalnum() else character


_FRAMES = _Table(_unframe)
_SPACES = _Table(_space)
_FOLDS = _Table(_fold)
