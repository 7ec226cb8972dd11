"""Expressions as JSON Schemas have them, in the words that all their readers share: RE2, the grammar and its network.

JavaScript's escapes by number, such as `\\u00e9`, become the characters themselves.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ig_guardrail.schemas.numerals import without_look_around

_HEX = "[0-9A-Fa-f]"
_PAIR = rf"\\u(?P<high>[dD][89abAB]{_HEX}{{2}})\\u(?P<low>[dD][c-fC-F]{_HEX}{{2}})"
_ESCAPE = re.compile(rf"{_PAIR}|\\u(?P<four>{_HEX}{{4}})|\\u\{{(?P<any>{_HEX}{{1,6}})\}}|\\.", re.DOTALL)


@lru_cache(maxsize=256)
def readable(pattern: str) -> str:
    """The same expression without what only JavaScript reads. One that nobody reads is for its readers to refuse."""
    return without_look_around(_ESCAPE.sub(_as_character, pattern))


def has_borders(pattern: str) -> bool:
    """Whether an expression asks for the border of a word, or for none: no grammar can."""
    return any(found[0] in (r"\b", r"\B") for found in _ESCAPE.finditer(pattern))


def _as_character(found: re.Match[str]) -> str:
    if found["high"]:
        code = 0x10000 + ((int(found["high"], 16) - 0xD800) << 10) + int(found["low"], 16) - 0xDC00
    elif found["four"] or found["any"]:
        code = int(found["four"] or found["any"], 16)
    else:
        return found[0]
    if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        return found[0]
    return f"\\{chr(code)}" if chr(code) in r"\.+*?()|[]{}^$-&~#/" else chr(code)
