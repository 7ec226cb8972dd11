"""What YAML readers make of a plain word. YAML 1.1 and 1.2 differ, so a policy must not leave the choice to them."""

from __future__ import annotations

import re

_READINGS = {
    "a boolean": re.compile(r"true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|y|Y|n|N"),
    "nothing": re.compile(r"|~|null|Null|NULL"),
    "a number": re.compile(
        r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o[0-7]+|[0-9][0-9_]*(?::[0-5]?[0-9])*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"
        r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
    ),
    "a date": re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?"),
}
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"[-+]?0[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.?(?:inf|infinity|nan)", re.IGNORECASE)
_LONGEST = 32  # characters of a number


def read_as(word: str) -> str | None:
    """What some YAML reader takes a plain word for, other than text: "a boolean", "nothing", "a number", "a date"."""
    return next((reading for reading, form in _READINGS.items() if form.fullmatch(word)), None)


def decimal(word: str) -> float | None:
    """The value of a plain decimal number; infinite if it is too large for one; None for anything else."""
    if len(word) > _LONGEST or _OCTAL.fullmatch(word) or not _DECIMAL.fullmatch(word):
        return None
    return float(word)


def not_finite(word: str) -> bool:
    """Whether a word stands for infinity or for not-a-number."""
    return _NOT_FINITE.fullmatch(word) is not None
