"""Words of a growing text, hashed into buckets, the same however the text was cut.

A word is a run of letters, digits, underscores and apostrophes, with the marks on them, at most `LONGEST_WORD`
characters; those that nobody sees are left out. It is normalised on its own: NFKC, look-alikes as Latin letters where
that makes it a Latin word, case folded. Terms are words and pairs of neighbouring words. Buckets keep no word list, so
no training text ships with a model; two terms may share a bucket.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from ig_guardrail.text.normalisation import DIACRITICS, folded_word, seen, unframed, without_stray_marks

LONGEST_WORD = 40

_CURLY = "\N{RIGHT SINGLE QUOTATION MARK}"
_APOSTROPHES = f"'{_CURLY}"
_RUN = re.compile(rf"[\w{_APOSTROPHES}{DIACRITICS}]{{1,{LONGEST_WORD}}}")
_MARK = re.compile(f"[{DIACRITICS}]")
_SURPLUS = re.compile(f"(?<=[{DIACRITICS}]{{2}})[{DIACRITICS}]+")  # no letter of a language has three
_LAST_LETTER = re.compile(rf"\w?[{DIACRITICS}]{{0,2}}$")


@dataclass(frozen=True, slots=True)
class WordReader:
    """What was read of a text: `tail` may still be an incomplete word, `last` is the word before it.

    counts  bucket -> how many terms fell into it; never changed once made
    behind  what the text before `tail` ends with: a letter and the marks on it, which tell what marks may follow
    """

    tail: str = ""
    last: str = ""
    counts: Mapping[int, int] = field(default_factory=dict)
    behind: str = ""

    def read(self, text: str, ended: bool, buckets: int) -> WordReader:
        """This reader after more text. Unless the text ended there, a word at its very end waits for the rest."""
        known = _without_surplus(self.behind + self.tail + unframed(seen(text)))[len(self.behind) :]
        closed = known if ended else known[: _open_word(known)]
        counts, last = dict(self.counts), self.last
        for word in _words(closed):
            for term in (word, f"{last} {word}") if last else (word,):
                index = bucket(term, buckets)
                counts[index] = counts.get(index, 0) + 1
            last = word
        return WordReader(known[len(closed) :], last, counts, _last_letter(self.behind + closed))


def bucket(term: str, buckets: int) -> int:
    """The bucket of a term: CRC-32 of its UTF-8 bytes, modulo the number of buckets."""
    return zlib.crc32(term.encode("utf-8", "surrogatepass")) % buckets


def count_terms(text: str, buckets: int) -> Mapping[int, int]:
    """Bucket counts of a whole text."""
    return WordReader().read(text, True, buckets).counts


def words_in(counts: Mapping[int, int]) -> int:
    """How many words bucket counts are of: each but the first makes a pair, too."""
    return (sum(counts.values()) + 1) // 2


def terms_of(text: str) -> list[str]:
    """The terms of a whole text, as often as they occur: its words in order, then its pairs."""
    words = list(_words(_without_surplus(unframed(seen(text)))))
    return [*words, *(f"{one} {other}" for one, other in pairwise(words))]


def _open_word(text: str) -> int:
    """Where the word at the very end of `text` begins that more text could lengthen; a full-length word is closed."""
    start = len(text)
    while start and _in_word(text[start - 1]):
        start -= 1
    return start + (len(text) - start) // LONGEST_WORD * LONGEST_WORD


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_" or character in _APOSTROPHES or _MARK.match(character) is not None


def _without_surplus(text: str) -> str:
    """The text without marks that no letter of a language has."""
    return _SURPLUS.sub("", without_stray_marks(text))


def _last_letter(text: str) -> str:
    found = _LAST_LETTER.search(text)
    return found[0] if found else ""


def _words(text: str) -> Iterator[str]:
    for run in _RUN.findall(text):
        word = _plain(run).casefold().strip(_APOSTROPHES)
        if word:
            yield word


def _plain(run: str) -> str:
    """A run without its disguise. A curly apostrophe is none, and stays."""
    if run.isascii():
        return run
    return _CURLY.join(folded_word(part) for part in unicodedata.normalize("NFKC", run).split(_CURLY))
