"""RE2 expressions as the regular expressions of grammars, which know neither borders of words nor flags like `m`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

KEPT = 1_000  # expressions

_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_TOKEN = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)"
    r"|(?P<escape>\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|[pP](?:\{\^?\w+\}|\w)|.))"
    r"|(?P<group>\((?:\?(?:P?<\w+>|[is]*:|[is]+\)))?)"
    r"|(?P<set>\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\])"
    r"|(?P<times>\{\d+(?:,\d*)?\})"
    r"|(?P<other>.)",
    re.DOTALL,
)
_IN_SET = re.compile(r"\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|[pP](?:\{\^?\w+\}|\w)|.)|\[:\^?\w+:\]|.", re.DOTALL)


@lru_cache(KEPT)
def grammar_pattern(expression: str) -> str | None:
    """An expression for the texts that match `expression` as a whole in RE2; None where grammars cannot say it."""
    inner = re.sub(r"^(?:\^|\\A)", "", expression)
    inner = re.sub(r"(?<!\\)((?:\\\\)*)(?:\$|\\z)$", r"\1", inner)
    parts = [_said(found) for found in _TOKEN.finditer(inner)]
    if None in parts:
        return None
    pattern = f"^(?:{''.join(part for part in parts if part is not None)})$"
    return pattern if unfit({"type": "string", "pattern": pattern}) is None else None


def _said(found: re.Match[str]) -> str | None:
    """One part of an expression; None for one that has no like."""
    text = found[0]
    if found["quoted"] is not None:
        return "".join(map(_plain, found["quoted"]))
    if found["escape"]:
        if text[1] in "dwsDWS":
            return f"[{'^' if text[1].isupper() else ''}{_CLASSES[text[1].lower()]}]"
        return _escape(text)
    if found["group"]:
        return "(?:" if "<" in text else text
    if found["set"]:
        return _set(text)
    return None if text in "^$" or (text == "(" or text == "[") else text


def _set(text: str) -> str | None:
    head = re.match(r"\[\^?\]?", text)
    opening = head[0] if head else "["
    parts = [opening.replace("]", r"\]")]
    for found in _IN_SET.finditer(text, len(opening), len(text) - 1):
        part = found[0]
        if part[0] == "\\" and part[1] in "DWS":
            return None
        if part[0] == "\\":
            said = _CLASSES[part[1]] if part[1] in "dws" else _escape(part)
            if said is None:
                return None
            parts.append(said)
        else:
            parts.append(_plain(part) if part in "[&~" else part)
    return "".join(parts) + "]"


def _escape(text: str) -> str | None:
    """An escape that is no class: RE2 takes one before any mark, grammars only where it means something."""
    sign = text[1]
    if sign in "aftnrvxpP":
        return text
    return None if sign.isalnum() else _plain(sign)


def _plain(sign: str) -> str:
    return re.escape(sign) if sign in r"\.+*?()|[]{}^$#&-~" else sign


def unfit(schema: Mapping[str, Any]) -> str | None:
    """Why grammars do not take a schema; None if they do."""
    from llguidance import LLMatcher

    return LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(dict(schema))) or None
