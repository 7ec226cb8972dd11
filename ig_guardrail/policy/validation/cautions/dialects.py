"""Patterns that are written as other programs want them: RE2 takes their signs for letters, and finds nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.validation.cautions.places import PatternPlace


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a pattern of another program is told, what RE2 makes of it, and what to write instead."""

    sign: re.Pattern[str]
    label: str
    help: str
    message: str = "this pattern is written for another program"


_DIALECTS = (
    Dialect(
        re.compile(r"^/(?:[^/\\]|\\.)+/[dgimsuvxy]{1,5}$"),
        "between slashes as in JavaScript, the slashes and letters behind them are part of it",
        "write what stands between the slashes; `(?i)` in front is their `i`",
    ),
    Dialect(
        re.compile("^[\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb].*[\u2018\u2019\u201c\u201d\u00ab\u00bb]$"),
        "quotes that a word processor made are part of it",
        "write straight quotes: `'...'`",
    ),
    Dialect(
        re.compile(r"""^[rR](["']).+\1$"""),
        "as in Python, the `r` and its quotes are part of it",
        "write it in single quotes alone, where YAML leaves backslashes alone",
    ),
    Dialect(re.compile(r"^%\w.*\w%$"), "as in SQL, the percent signs are part of it", "leave them out"),
    Dialect(
        re.compile(r"^\\\\[bBdDsSwW](?!\\)|\\\\[bB]$|\\\\[dDsSwW](?=[+*?{)\]|]|$)"),
        "two backslashes stand for one in a text, and the letter for itself",
        "write one backslash: in single quotes YAML leaves it alone",
    ),
    Dialect(
        re.compile(r"^[\w -]+(?:,[\w -]+){2,}$"),
        "it finds the whole list, with its commas, and none of its words",
        "write each as an item of its own: `['...', '...']`",
        "this pattern is a list of words",
    ),
    Dialect(
        re.compile(r"(?<!\\)\[(?:[^\]\\]|\\.)*?\w\|\w(?:[^\]\\]|\\.)*\]"),
        "inside brackets, `|` is the sign itself",
        "leave it out, as in `[Pp]`; for a choice of words write `(?:one|other)`",
        "a `|` stands among the characters of a class",
    ),
    Dialect(re.compile(r"\\<(?=\w)|(?<=\w)\\>"), "this is the sign itself", r"write `\b` for the border of a word"),
    Dialect(
        re.compile(r"\(\?[imsU]+\)$"), "it speaks about what stands behind it, and nothing does", "write it in front"
    ),
    Dialect(
        re.compile(r"(?<!\[)(?<!\\)\[:\^?[a-z]+:\]"),
        "this is a class of the letters between the brackets",
        "write two brackets at each side: `[[:alpha:]]`",
    ),
    Dialect(
        re.compile(r"^(?:[\w -]*\w{2}|[\w/:@. -]*\w[-/_:@])\*$"),
        "its star repeats the sign before it, any number of times",
        r"write `\w*` for the rest of a word, `.*` for any characters",
    ),
)


def of_other_programs(pattern: str, place: PatternPlace) -> Iterator[Diagnostic]:
    """The first sign in a pattern that it was written in a form which RE2 does not read."""
    for dialect in _DIALECTS:
        found = dialect.sign.search(pattern)
        if found:
            spot = place.spot(found.start(), len(found[0]))
            yield spot.fault("P157", dialect.message, label=dialect.label, help=dialect.help)
            return
