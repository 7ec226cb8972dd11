"""How patterns are spelled: letters that are not what they look like, capitals alone, parts of other words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, quoted
from ig_guardrail.policy.validation.cautions.places import PatternPlace
from ig_guardrail.policy.validation.patterns import matches
from ig_guardrail.policy.validation.regex import Asserts, Part, Reads, parsed, sequences
from ig_guardrail.text.normalisation import composed, folded, seen

ADDRESSES = ("someone@example.org", "https://www.example.org/page")
_AROUND = (  # words of everyday, in which there are words that people deny
    "class passage assistant grass hello shell skill title constitution document circumstance analysis canal grape "
    "therapist Essex cocktail peacock scrap whatever begun audience soldier knight suspicious homogeneous coarse "
    "Dickens Saturday raccoon basement software toward opinion important syntax dumbbell Scunthorpe method seaweed "
    "business alphabet shack another again"
)
AROUND = tuple(_AROUND.split())
_FORMS = ("<wide>", "<narrow>", "<compat>", "<font>", "<noBreak>")
_NO_COUNT = re.compile(r"\{,\d+\}")
_BESIDE_LATIN = re.compile(r"(?<=[A-Za-z])[^\W\d_\x00-\x7f]|[^\W\d_\x00-\x7f](?=[A-Za-z])")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f\n]")
_CAPITALS = re.compile("[A-Z]{3,}")


def disguised(pattern: str, place: PatternPlace, folds: bool) -> Iterator[Diagnostic]:
    """Characters in a row that are not what they look like; in a class, or as an escape, they are meant.

    folds: whether plain characters are found in texts that have others of the same looks
    """
    for parts in sequences(parsed(pattern)):
        run = [one if isinstance(one, Reads) and one.form == "letter" else None for one in parts]
        text = "".join(one.written if one and len(one.written) == 1 else "\n" for one in run)
        found = _NO_COUNT.search(text) or _unseen(text) or _look_alike(text) or (_other_form(text) if folds else None)
        first = run[found.start()] if found else None
        if found is None or first is None:
            continue
        label, advice = "these characters, and no count", f"write `{{0{found[0][1:]}` for a count, else `\\{{`"
        if not seen(found[0]):
            label = f"U+{ord(found[0]):04X}, which nobody sees"
            advice = "delete it; if it is meant, write its number: `\\x{...}`"
        elif not found[0].isascii():
            label = unicodedata.name(found[0]).lower()
            plain = re.sub(r"\.", r"\\.", folded(composed(found[0])))
            written = f"the plain {quoted(plain)}" if plain != " " else "a plain space"
            written += ", which is found in either form" if folds else ""
            advice = f"write {written}; if this one alone is meant, put it into a class, `[...]`"
        message = "a part of this pattern is not what it looks like"
        yield place.spot(first.at, len(found[0])).fault("P156", message, label=label, help=advice)


def _unseen(text: str) -> re.Match[str] | None:
    """A character that nobody sees, but beside those beyond ASCII, where scripts and emoji need such."""
    for one in _BEYOND_ASCII.finditer(text):
        before, behind = text[max(0, one.start() - 1) : one.start()], text[one.end() : one.end() + 1]
        if not seen(one[0]) and before.isascii() and (before.isalpha() or behind.isascii()):
            return one
    return None


def _look_alike(text: str) -> re.Match[str] | None:
    """A letter of another script that stands for a Latin one beside Latin letters."""
    for one in _BESIDE_LATIN.finditer(text):
        if one[0].isalpha() and "LATIN" not in unicodedata.name(one[0], "LATIN") and folded(one[0]).isascii():
            return one
    return None


def _other_form(text: str) -> re.Match[str] | None:
    """Another form of plain characters: a ligature, a wide letter, a space that holds; a curled quote or a dash."""
    for one in _BEYOND_ASCII.finditer(text):
        form = unicodedata.decomposition(one[0]).partition(" ")[0]
        around = text[max(0, one.start() - 1) : one.start()] + text[one.end() : one.end() + 1]
        other = unicodedata.category(one[0])[0] in "LZ" and form in _FORMS and composed(one[0]).isascii()
        other = other or seen(one[0]) == " "
        sign = unicodedata.category(one[0])[0] == "P" and any(map(str.isascii, around.strip()))
        if other or (sign and folded(composed(one[0])).isascii()):
            return one
    return None


def shouted(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """One whole word in capitals, which is found in no other spelling."""
    found = [run for parts in sequences(parsed(pattern)) for run in _capital_words(parts)]
    words = {"".join(part.written for part in run) for run in found}
    if len(words) == 1 and len(set(_CAPITALS.findall(pattern))) == 1:
        (word,), at = words, found[0][0].at
        if pattern[max(0, at - 3) : at] == "-i:":
            return
        label = "small letters, as in " + quoted(word.lower()) + ", do not match"
        advice = f"write `(?i)` in front; `(?-i:{word})` says that capitals alone are meant"
        message = f"{quoted(word)} is found in capitals alone"
        yield place.spot(at, len(word)).fault("P130", message, label=label, help=advice)


def _capital_words(parts: tuple[Part, ...]) -> Iterator[list[Reads]]:
    run: list[Reads] = []
    for before, part in pairwise((None, *parts, None)):
        if isinstance(part, Reads) and part.form == "letter" and part.written.isupper() and len(part.ranges) == 1:
            if run or _ends_words(before):
                run.append(part)
            continue
        if len(run) >= 3 and _ends_words(part):
            yield run
        run = []


def _ends_words(part: Part | None) -> bool:
    """Whether a word begins behind it, or ends before it."""
    if part is None or isinstance(part, Asserts):
        return True
    return isinstance(part, Reads) and part.form == "letter" and not alnum(part)


def alnum(part: Reads) -> bool:
    """Whether a letter, a digit, `_` or `-` is written."""
    return part.written.isalnum() or part.written in "_-"


def addresses_in_capitals(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Patterns for addresses that find none in small letters, since they come from where case does not count."""
    for written in ADDRESSES:
        low, high = matches(pattern, (written, written.upper()))
        if low is None and high == written.upper():
            message = "this pattern finds addresses in capitals alone"
            label = f"small letters, as in {quoted(written)}, do not match"
            yield place.spot().fault("P130", message, label=label, help="write `(?i)` in front")
            return


def inside_words(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """Short words that stand in harmless ones too: where no border is asked for, they are found there."""
    for word, found in zip(AROUND, matches(pattern, AROUND), strict=True):
        if found is not None and 2 <= len(found) < len(word) and found.lower() in pattern.lower():
            message = "this pattern finds parts of other words"
            label = f"it finds {quoted(found)} in {quoted(word)}"
            advice = r"write `\b` before and behind the word"
            yield place.spot().fault("P162", message, label=label, help=advice)
            return
