"""Decimal numbers as texts: the expressions that pydantic wrote for them, said without look-around.

They begin by looking ahead for a digit. Of those with a limit, pydantic's also find one at the start of longer texts;
here the whole text is a number.
"""

from __future__ import annotations

import re
from functools import lru_cache

_HEAD = r"^(?!^[-+.]*$)[+-]?0*"
_FORMS = re.compile(
    r"(?P<any>\\d\*\\\.\?\\d\*\$)"
    r"|\\d\*\\\.\?\\d\{0,(?P<places>\d{1,2})\}0\*\$"
    r"|\(\?:\\d\{0,(?P<whole>\d{1,2})\}\|\(\?=\[\\d\.\]\{1,(?P<size>\d{1,2})\}0\*\$\)"
    r"(?:\\d\{0,\d{1,2}\}\\\.\\d\{0,(?P<behind>\d{1,2})\}|(?P<anywhere>\\d\*\\\.\\d\*))0\*\$\)"
)


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
