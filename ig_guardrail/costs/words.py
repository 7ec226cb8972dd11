"""Words of a growing text, hashed into buckets, the same however the text was cut.

A word is a run of letters, digits, underscores and apostrophes, at most `LONGEST_WORD` characters; it is normalised
(NFKC, case folded) on its own. Terms are words and pairs of neighbouring words. Buckets keep no word list, so no
training text ships with a model; two terms may share a bucket.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

LONGEST_WORD = 40

_APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"
_RUN = re.compile(rf"[\w{_APOSTROPHES}]{{1,{LONGEST_WORD}}}")


@dataclass(frozen=True, slots=True)
class Reader:
    """What was read of a text: `tail` may still be an incomplete word, `last` is the word before it.

    counts  bucket -> how many terms fell into it; never changed once made
    """

    tail: str = ""
    last: str = ""
    counts: Mapping[int, int] = field(default_factory=dict)

    def read(self, text: str, ended: bool, buckets: int) -> Reader:
        """This reader after more text. Unless the text ended there, a word at its very end waits for the rest."""
        known = self.tail + text
        closed = known if ended else known[: _open_word(known)]
        counts, last = dict(self.counts), self.last
        for word in _words(closed):
            for term in (word, f"{last} {word}") if last else (word,):
                index = bucket(term, buckets)
                counts[index] = counts.get(index, 0) + 1
            last = word
        return Reader(known[len(closed) :], last, counts)


def bucket(term: str, buckets: int) -> int:
    """The bucket of a term: CRC-32 of its UTF-8 bytes, modulo the number of buckets."""
    return zlib.crc32(term.encode("utf-8", "surrogatepass")) % buckets


def count_terms(text: str, buckets: int) -> Mapping[int, int]:
    """Bucket counts of a whole text."""
    return Reader().read(text, True, buckets).counts


def _open_word(text: str) -> int:
    """Where the word at the very end of `text` begins that more text could lengthen; a full-length word is closed."""
    start = len(text)
    while start and _in_word(text[start - 1]):
        start -= 1
    return start + (len(text) - start) // LONGEST_WORD * LONGEST_WORD


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_" or character in _APOSTROPHES


def _words(text: str) -> Iterator[str]:
    for run in _RUN.findall(text):
        word = unicodedata.normalize("NFKC", run).casefold().strip(_APOSTROPHES)
        if word:
            yield word
