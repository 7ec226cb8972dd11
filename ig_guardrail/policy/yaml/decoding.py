"""Bytes to characters: size, encoding, and the characters that no policy needs."""

from __future__ import annotations

import re

from ig_guardrail.fields.legible import misleading
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Position, Spot

MOST_BYTES = 256 * 1024

WIDE_SPACES = ("\u00a0", "\u2007", "\u202f", "\u3000")  # of word processors and web pages; they indent nothing
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPE = 'delete it; where a text needs it, write an escape in double quotes, such as "\\t"'
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def decode(source: str | bytes) -> str | Diagnostic:
    """The characters of a policy, or why it has none. A UTF-8 byte-order mark is dropped."""
    size = len(source) if isinstance(source, bytes) else len(source.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        return _whole().fault(
            "P003",
            "the policy is too large",
            label=f"more than {MOST_BYTES} bytes",
            help="keep long word lists in a cost model, and name that model here",
        )
    try:
        characters = source if isinstance(source, str) else source.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(error)
    text = characters.removeprefix("\ufeff")
    stray, shown = _NOT_TEXT.search(text), misleading(text)
    if stray is not None and (shown is None or stray.start() < shown[0]):
        return _stray(text, stray.start(), "not a character of text", _ESCAPE)
    return text if shown is None else _stray(text, *shown)


def lines(text: str) -> list[str]:
    """The lines of a text, broken where YAML breaks them."""
    return LINE_BREAK.split(text)


def readable(source: str | bytes) -> str:
    """Characters to show an excerpt from, whatever the bytes are."""
    return source.decode("utf-8", "replace").removeprefix("\ufeff") if isinstance(source, bytes) else source


def _not_utf8(error: UnicodeDecodeError) -> Diagnostic:
    source = error.object
    before = source[: error.start].decode("utf-8")
    other = _BYTE_ORDER_MARKS.get(source[:2])
    guess = f"; the file starts like {other}" if other else ""
    return _place(before).fault(
        "P002",
        f"byte {error.start} is not UTF-8",
        label=f"byte 0x{source[error.start]:02x}{guess}",
        help="save the file as UTF-8",
    )


def _stray(text: str, index: int, label: str, advice: str) -> Diagnostic:
    message = f"the file holds the control character U+{ord(text[index]):04X}"
    return _place(text[:index]).fault("P002", message, label=label, help=advice)


def _place(before: str) -> Spot:
    split = lines(before.removeprefix("\ufeff"))
    return Spot((), Position(len(split), len(split[-1]) + 1))


def _whole() -> Spot:
    return Spot((), Position())
