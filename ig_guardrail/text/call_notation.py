"""Where a tool call begins in what a model writes: one definition, for the grammar, the reader and the hold-back.

A call begins at the marker of the model's format with what follows it there, such as `<tool_call>` with an object
behind it, where the marker opens its line, ends its line, or stands behind a whole sentence. Anywhere else, as in
"write `<tool_call>` first", the marker is a word like any other.

A format without a marker, such as a bare JSON object, begins where the first signs of a line name a tool that may be
called. Any other object is a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from ig_guardrail.types import CallNotation, ToolFormat

OURS = CallNotation()
BARE = ToolFormat(open='{"name": "', close="}", separator="\n", fenced=True)
OPEN, CLOSE = "<tool_call>", "</tool_call>"
BLANKS = " \t\r\n"  # what may stand between the parts of a call, and between calls
FENCES = ("```json", "```")
_SENTENCE_ENDS = ".!?\u2026\u3002\uff01\uff1f"

_SPACE, _LINE_END = r"[ \t\r\n]*", r"[ \t]*\r?\n"
_PLACE = rf"[\n{_SENTENCE_ENDS}][ \t]*"
_SIGN = re.compile(r'<[^<>\s]*>|\[/?[A-Z_]+\]|"[^"]*"|[{}\[\](),:]|[^\s{}\[\](),:"]+|"')

NamedTokens: TypeAlias = tuple[tuple[str, ...], ...]  # one behind the other, blanks between; each one of several texts


@dataclass(frozen=True, slots=True)
class CallHead:
    """A beginning of calls: `first`, and the tokens behind it, in the last of which a tool is named, or not."""

    format: ToolFormat
    first: str
    rest: NamedTokens
    marker: bool
    named: bool

    def pattern(self, escape: Callable[[str], str]) -> str:
        """Of a text up to its first call and through the head of that, for grammars, if nothing else may begin one."""
        first, rest = escape(self.first), _tokens(self.rest, escape)
        if not self.marker:
            return rf"((?s:.*)\n)?[ \t]*{first}{_SPACE}{rest}"
        anywhere = rf"([ \t]*|(?s:.*){_PLACE}){first}{_SPACE}"
        return rf"({anywhere}|(?s:.*){first}{_LINE_END}{_SPACE}){rest}"

    def find(self, text: str) -> int | None:
        """Where the first call with this head begins."""
        found = _searching(self).search(text)
        return None if found is None else max(found.start(1), found.start(2))

    def may_begin(self, text: str, ended: bool) -> int:
        """Where an end of a text begins that may, with more, become this head; at its end, if none may.

        ended: nothing follows, so that a marker in the middle of a sentence is prose
        """
        start = text.rfind(self.first)
        reached = None if start < 0 else _reached(text[start + len(self.first) :], self.rest)
        if reached is None:
            start, reached = len(text) - overlap(text, self.first), 0
        if self.marker:
            return len(text) if ended and not _may_begin(text, start) else start
        before = text[:start].rstrip(" \t")
        opens = not before or before[-1] == "\n"
        return start if opens and (not ended or reached > 1) else len(text)


def heads(notation: CallNotation) -> tuple[CallHead, ...]:
    """The ways in which calls begin."""
    return _heads(notation.format, tuple(tool.name for tool in notation.named), notation.bare)


def beginning(text: str, notation: CallNotation = OURS) -> int | None:
    """Where the first call of a text begins; None where none does."""
    found = first_head(text, notation)
    return None if found is None else found[0]


def first_head(text: str, notation: CallNotation) -> tuple[int, ToolFormat] | None:
    """Where the first call of a text begins, and in which format it is written."""
    found = [(start, number) for number, head in enumerate(heads(notation)) if (start := head.find(text)) is not None]
    if not found:
        return None
    start, number = min(found)
    return start, heads(notation)[number].format


def before_calls(text: str, ended: bool, notation: CallNotation = OURS) -> int:
    """Characters before the first call of a text, or before an end of it that may become the beginning of one.

    ended: nothing follows, so that a marker in the middle of a sentence is prose
    """
    start = beginning(text, notation)
    if start is not None:
        return start
    return min((head.may_begin(text, ended) for head in heads(notation)), default=len(text))


def overlap(text: str, longer: str) -> int:
    """Length of the longest end of `text` that is a beginning of `longer`, and not the whole of it."""
    lengths = range(min(len(text), len(longer) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(longer[:length])), 0)


def marker_of(format: ToolFormat) -> str:
    """What opens calls, and may stand in prose; "" for a format that has no such text."""
    first = _cut(format)[0]
    return first[0] if first and _is_marker(first[0]) else ""


@lru_cache(maxsize=256)
def _heads(format: ToolFormat, names: tuple[str, ...], bare: bool) -> tuple[CallHead, ...]:
    found = _of_format(format, names)
    if bare and names:
        found = [head for head in found if head.marker or not format.keys] + _of_format(BARE, names)
    return tuple(found)


def _of_format(format: ToolFormat, names: tuple[str, ...]) -> list[CallHead]:
    tokens, whole = _cut(format)
    if tokens and _is_marker(tokens[0]) and (whole or len(tokens) > 1):
        return [CallHead(format, tokens[0], tuple((token,) for token in tokens[1:]), marker=True, named=False)]
    if not names:
        return []
    signs = _SIGN.findall(format.begin + format.open)
    before = signs.pop() if signs and not (format.begin + format.open)[-1].isspace() and signs[-1] == '"' else ""
    last = tuple(f"{before}{spelled(name, format)}{first_sign(format)}" for name in names)
    marker = bool(signs) and _is_marker(signs[0])
    rest: NamedTokens = (*((sign,) for sign in signs[1:]), last)
    if not signs:
        return []
    plain = CallHead(format, signs[0], rest, marker, named=True)
    fences = [CallHead(format, fence, ((signs[0],), *rest), marker=False, named=True) for fence in FENCES]
    return [*(fences if format.fenced else []), plain]


def spelled(name: str, format: ToolFormat) -> str:
    """A tool's name as it stands in a call."""
    return json.dumps(name, ensure_ascii=False)[1:-1] if format.keys else name


def first_sign(format: ToolFormat) -> str:
    """What stands next behind the name of a call."""
    return '"' if format.middle.startswith('"') else next(iter(_SIGN.findall(format.middle)), "")


def tokens_of(literal: str) -> list[str]:
    """A text in the parts between which blanks may stand."""
    bare = literal.rstrip("{[ \t\r\n")
    return [*bare.split(), *"".join(literal[len(bare) :].split())]


def _cut(format: ToolFormat) -> tuple[list[str], bool]:
    """The tokens at which a call of a format with a marker begins; whether a `{` is the last of them, or all `open`."""
    head, brace, _ = f"{format.begin}\n{format.open}".partition("{")
    return tokens_of(head + brace), bool(brace)


def _is_marker(token: str) -> bool:
    return len(token) > 2 and not token[0].isalnum() and any(sign.isalpha() for sign in token)


@lru_cache(maxsize=1024)
def _searching(head: CallHead) -> re.Pattern[str]:
    first, rest = re.escape(head.first), _tokens(head.rest, re.escape)
    if not head.marker:
        return re.compile(rf"(?:\A|\n)[ \t]*({first}|(?!)()){_SPACE}{rest}")
    return re.compile(rf"(?:(?:\A[ \t]*|{_PLACE})({first}){_SPACE}|({first}){_LINE_END}{_SPACE}){rest}")


def _tokens(tokens: NamedTokens, escape: Callable[[str], str]) -> str:
    said = [escape(token[0]) if len(token) == 1 else f"(?:{'|'.join(map(escape, token))})" for token in tokens]
    return _SPACE.join(said)


def _reached(text: str, tokens: NamedTokens) -> int | None:
    """How many characters of the last token a text reaches that may, with more, become these tokens; None if none."""
    for number, token in enumerate(tokens):
        text = text.lstrip(BLANKS)
        if not text:
            return 0
        whole = next((one for one in token if text.startswith(one)), None)
        if whole is None:
            last = number == len(tokens) - 1
            return (len(text) if last else 0) if any(one.startswith(text) for one in token) else None
        text = text[len(whole) :]
    return None


def _may_begin(text: str, start: int) -> bool:
    """Whether a marker at `start` may begin a call, if what belongs to it follows."""
    before = text[:start].rstrip(" \t")
    return not before or before[-1] in f"\n{_SENTENCE_ENDS}" or "\n" in text[start:]
