"""Expressions as JSON Schemas have them, in the words that all their readers share: RE2, the grammar and its network.

JavaScript's escapes by number, such as `\\u00e9`, become the characters themselves. Pydantic's expressions of decimal
numbers begin by looking ahead for a digit, and are said without that. Some of those with a limit also find a number at
the start of longer texts; here the whole text is a number.
"""

from __future__ import annotations

import re
from functools import lru_cache

_HEX = "[0-9A-Fa-f]"
_PAIR = rf"\\u(?P<high>[dD][89abAB]{_HEX}{{2}})\\u(?P<low>[dD][c-fC-F]{_HEX}{{2}})"
_ESCAPE = re.compile(rf"{_PAIR}|\\u(?P<four>{_HEX}{{4}})|\\u\{{(?P<any>{_HEX}{{1,6}})\}}|\\.", re.DOTALL)

_HEAD = r"^(?!^[-+.]*$)[+-]?0*"
_FORMS = re.compile(
    r"(?P<any>\\d\*\\\.\?\\d\*\$)"
    r"|\\d\*\\\.\?\\d\{0,(?P<places>\d{1,2})\}0\*\$"
    r"|\(\?:\\d\{0,(?P<whole>\d{1,2})\}\|\(\?=\[\\d\.\]\{1,(?P<size>\d{1,2})\}0\*\$\)"
    r"(?:\\d\{0,\d{1,2}\}\\\.\\d\{0,(?P<behind>\d{1,2})\}|(?P<anywhere>\\d\*\\\.\\d\*))0\*\$\)"
)


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


@lru_cache(maxsize=64)
def without_look_around(pattern: str) -> str:
    """The same expression, unless it is one of pydantic's for decimals."""
    found = _FORMS.fullmatch(pattern[len(_HEAD) :]) if pattern.startswith(_HEAD) else None
    if found is None:
        return pattern
    if found["any"]:
        ways = [_way("*", "*")]
    elif found["places"]:
        ways = [_way("*", f"{{0,{found['places']}}}0*")]
    elif found["behind"]:
        size, whole = int(found["size"]) - 1, int(found["whole"])
        ways = [_way(f"{{0,{whole}}}", f"{{0,{min(size - whole, int(found['behind']))}}}0*")]
    else:
        size = int(found["size"]) - 1
        ways = [_way(f"{{0,{whole}}}", f"{{0,{size - whole}}}0*") for whole in range(size + 1)]
    return f"^[+-]?0*(?:{'|'.join(ways)})$"


def _way(whole: str, behind: str) -> str:
    """Digits, a point where there are others, and digits behind it: one at least before or behind."""
    some = whole.replace("*", "+").replace("{0,", "{1,")
    fewest = "+" if behind == "*" else behind.replace("{0,", "{1,")
    before = "0" if some == "{1,0}" else rf"\d{some}"
    return rf"{before}(?:\.\d{behind})?" + ("" if "{1,0}" in fewest else rf"|\.\d{fewest}")
