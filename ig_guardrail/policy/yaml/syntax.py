"""What the YAML parser stumbled over, said for people who do not know the parser, at the line that causes it.

The parser stops where it can go on no longer. What is left open, a quote or a bracket, swallows the lines below it, and
the parser stops there; so does a word that is no key. Indentation tells which lines do not belong to what is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import yaml

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Position, Spot, clipped
from ig_guardrail.policy.yaml.decoding import lines

_HELP = {
    "mapping values are not allowed": "put text that contains `: ` in quotes, or check the indentation of this line",
    "cannot start any token": "indent with spaces, and put text that begins with a special character in quotes",
    "could not find expected ':'": "write `key: value`, with a space after the colon",
    "but found '<scalar>'": "check the quotes on this line and above it",
    "expected the node content": "close the bracket that is open above, or delete what stands here",
    "expected <block end>": "line this line up with the lines that it belongs to",
    "expected ',' or": "close the bracket that is open, or put a comma between the items",
    "unexpected end of stream": "close the quote or bracket that is still open",
    "unknown escape character": "double a backslash inside double quotes, or use single quotes",
    "undefined tag handle": "delete the tag; a policy needs none",
}
_OPENING = (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSING = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


@dataclass(frozen=True, slots=True)
class _Cause:
    """What is wrong in a text, before the parser stops: where, what, and what to write."""

    mark: yaml.Mark
    label: str
    help: str


def syntax_fault(error: Exception, text: str, last: Position) -> Diagnostic:
    """A fault for an error of the YAML parser; at `last`, the end of what was read, if the error names no place."""
    stop = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or stop is None:
        return _told(last, "a value cannot be read", "")
    cause = _cause(error, text, stop)
    if cause is not None:
        return _fault(_position(cause.mark), cause.label, cause.help)
    problem, context, began = error.problem or "", error.context_mark, ""
    if error.context and context is not None and context.line != stop.line:
        began = f" ({error.context}, which began on line {context.line + 1})"
    return _told(_position(stop), _plain(problem) + began, problem)


def _told(place: Position, label: str, problem: str) -> Diagnostic:
    advice = next((text for sign, text in _HELP.items() if sign in problem), "check quotes, brackets and indentation")
    return _fault(place, label, advice)


def _fault(place: Position, label: str, advice: str) -> Diagnostic:
    return Spot((), place).fault("P004", "the file is not YAML", label=label, help=advice)


def _cause(error: yaml.MarkedYAMLError, text: str, stop: yaml.Mark) -> _Cause | None:
    """What made the parser stop, where that stands above the place at which it did."""
    rows, tokens = lines(text), _tokens(text, stop)
    return (
        _open_quote(error, tokens, rows, stop)
        or _open_bracket(text, tokens, rows, stop)
        or (_no_key(error, tokens, rows, stop) or _out_of_line(error, rows, stop))
    )


def _open_quote(error: yaml.MarkedYAMLError, tokens: list[Any], rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """A quote that swallows lines which do not belong to it, up to the next quote or the end."""
    begin = error.context_mark
    inside = "quoted scalar" in (error.context or "")
    if begin is not None and inside and ("end of stream" in (error.problem or "") or _spills(rows, begin, stop.line)):
        return _Cause(begin, "this quote is never closed", "close it where its text ends")
    for token in tokens:
        if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
            begin, end = token.start_mark, token.end_mark
            if end.line >= stop.line > begin.line and _spills(rows, begin, end.line):
                label = f"the next quote, on line {end.line + 1}, ends it"
                return _Cause(begin, label, "close the quote where its text ends")
    return None


def _open_bracket(text: str, tokens: list[Any], rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """A bracket that swallows lines which do not belong to it, or all that follows."""
    opened: list[yaml.Mark] = []
    for token in tokens:
        if isinstance(token, _OPENING):
            opened.append(token.start_mark)
        elif isinstance(token, _CLOSING) and opened and token.start_mark.index < stop.index:
            opened.pop()
    at_end = stop.index >= len(text.rstrip())
    for begin in reversed({mark.line: mark for mark in opened}.values()):
        if begin.line < stop.line and (at_end or _spills(rows, begin, stop.line)):
            return _Cause(begin, "this bracket is never closed", "close it where its items end")
    return None


def _tokens(text: str, stop: yaml.Mark) -> list[Any]:
    """The tokens of a text that begin before the parser stopped, or where it did."""
    loader: Any = yaml.SafeLoader(text)
    found: list[Any] = []
    try:
        while loader.check_token() and loader.peek_token().start_mark.index <= stop.index:
            found.append(loader.get_token())
    except (yaml.YAMLError, ValueError, OverflowError):
        found += loader.tokens
    return [token for token in found if token.start_mark.index <= stop.index]


def _spills(rows: list[str], begin: yaml.Mark, last: int) -> bool:
    """Whether a line below what is open, down to `last`, is indented no deeper than its key, as all inside would be."""
    row = rows[begin.line]
    outer = _first(row) if begin.column > _first(row) else _indent(row)
    inside = (row for row in rows[begin.line + 1 : last + 1] if _counts(row) and row.lstrip()[0] not in "]}")
    return any(_indent(row) <= outer for row in inside)


def _no_key(error: yaml.MarkedYAMLError, tokens: list[Any], rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """Words alone on a line, which the parser takes for a key, or for a text that goes on below."""
    begin = error.context_mark
    if "mapping values are not allowed" in (error.problem or ""):
        words = [token for token in tokens if isinstance(token, yaml.ScalarToken)]
        begin = words[-1].start_mark if words else None
        if begin is not None and not begin.column == _first(rows[begin.line]) >= _indent(rows[stop.line]):
            return None
    elif "could not find expected ':'" not in (error.problem or ""):
        return None
    if begin is None or begin.line == stop.line:
        return None
    return _Cause(begin, "there is no `: ` behind it", _HELP["could not find expected ':'"])


def _out_of_line(error: yaml.MarkedYAMLError, rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """A first entry that does not line up with those that follow, or is of another sort."""
    there = _indent(rows[stop.line]) if stop.line < len(rows) else 0
    if "expected <block end>" not in (error.problem or "") or stop.column != there:
        return None
    above = [index for index in range(stop.line) if _counts(rows[index])]
    outer = next((index for index in reversed(above) if _indent(rows[index]) < there), -1)
    inside = [rows[index] for index in above if index > outer]
    if outer >= 0 and _first(rows[outer]) == there:
        inside.insert(0, " " * there + rows[outer][there:])
    if not inside or (_indent(inside[0]) == there and _is_item(inside[0]) == _is_item(rows[stop.line])):
        return None
    first = above[-len(inside)]
    here = _indent(inside[0])
    alike = sum(_indent(row) == here for row in inside)
    below = (row for row in rows[stop.line :] if _counts(row))
    others = sum(_indent(row) == there for row in takewhile(lambda row: _indent(row) >= there, below))
    if alike > others or (alike == others and (there if here == there else here % 2 <= there % 2)):
        return None
    mark = yaml.Mark("", 0, first, here, None, 0)
    return _Cause(mark, f"line {stop.line + 1} does not line up with it", "line up what belongs together")


def _counts(row: str) -> bool:
    """Whether a line is more than white space and comment."""
    return bool(row.strip()) and row.lstrip()[0] != "#"


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" "))


def _is_item(row: str) -> bool:
    return row.lstrip(" ").startswith("- ")


def _first(row: str) -> int:
    """The column of the first character of a line, that of a list's item aside."""
    return len(row) - len(row.lstrip(" ").removeprefix("- ").lstrip(" "))


def _position(mark: yaml.Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _plain(problem: str) -> str:
    """The parser's words, without what a terminal could trip over."""
    return "".join(clipped(word) + " " for word in problem.split()).rstrip()
