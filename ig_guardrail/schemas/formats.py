"""The formats that are enforced, as expressions of whole texts. Any other is a note, as the standard has it."""

from __future__ import annotations

from collections.abc import Mapping

_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_LONG = r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT = r"(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])"
_DATE = rf"(?:{_YEAR}-(?:{_LONG}|{_SHORT})|{_LEAP}-02-29)"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_SECONDS = r"[0-9]{1,4}(?:\.[0-9]{1,6})?S"
_MINUTES = rf"[0-9]{{1,4}}M(?:{_SECONDS})?"
_HOURS = rf"T(?:[0-9]{{1,4}}H(?:{_MINUTES}|{_SECONDS})?|{_MINUTES}|{_SECONDS})"
_DAYS = r"[0-9]{1,4}D"
_MONTHS = rf"[0-9]{{1,4}}M(?:{_DAYS})?"
_PERIOD = rf"(?:[0-9]{{1,4}}Y(?:{_MONTHS}|{_DAYS})?|{_MONTHS}|{_DAYS})"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_H = r"[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [rf"(?:{_H}:){{7}}{_H}", rf"(?:{_H}:){{1,7}}:"]
    + [rf"(?:{_H}:){{1,{7 - n}}}(?::{_H}){{1,{n}}}" for n in range(1, 7)]
    + [rf":(?:(?::{_H}){{1,7}}|:)"]
)
_IPV4 = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_X = "[0-9A-Fa-f]"
_OF_URI = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})"

FORMATS: Mapping[str, str] = {
    name: f"^(?:{expression})$"
    for name, expression in {
        "date": _DATE,
        "time": _TIME,
        "date-time": f"{_DATE}T{_TIME}",
        "duration": rf"P(?:[0-9]{{1,4}}W|{_PERIOD}(?:{_HOURS})?|{_HOURS})",
        "email": rf"{_ATOM}(?:\.{_ATOM})*@{_HOST}",
        "hostname": _HOST,
        "ipv4": _IPV4,
        "ipv6": _IPV6,
        "ipvanyaddress": f"{_IPV4}|{_IPV6}",
        "uuid": rf"{_X}{{8}}(?:-{_X}{{4}}){{3}}-{_X}{{12}}",
        **{
            f"uuid{v}": rf"{_X}{{8}}-{_X}{{4}}-{v}{_X}{{3}}-[89ABab]{_X}{{3}}-{_X}{{12}}" for v in (1, 3, 4, 5, 6, 7, 8)
        },
        "uri": rf"[A-Za-z][A-Za-z0-9+.-]*:{_OF_URI}(?:{_OF_URI}|\?)*(?:#(?:{_OF_URI}|\?)*)?",
    }.items()
}
