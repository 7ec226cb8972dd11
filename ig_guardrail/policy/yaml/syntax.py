"""What the YAML parser stumbled over, said for people who do not know the parser, at the line that causes it.

The parser stops where it can go on no longer. What is left open, a quote or a bracket, swallows the lines below it, and
the parser stops there; so does a word that is no key. Indentation tells which lines do not belong to what is open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import yaml

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Position, Spot, clipped
from ig_guardrail.policy.yaml.decoding import WIDE_SPACES, lines

_LABELS = {  # what the parser says, in words
    "mapping values are not allowed": "a `: ` cannot stand here",
    "cannot start any token": "no text begins with this sign",
    "alphabetic or numeric character": "no text begins with this sign",
    "could not find expected ':'": "there is no `: ` behind it",
    "but found '<scalar>'": "a text cannot stand here",
    "expected the node content": "a value is missing here",
    "found '{'": "a bracket cannot stand here",
    "found '}'": "this bracket closes nothing",
    "found ']'": "this bracket closes nothing",
    "expected <block end>": "this does not belong to the lines above it",
    "expected ',' or": "a comma or a closing bracket is missing before this",
    "unknown escape character": "YAML has no escape `\\` with this letter",
}
_HELP = {
    "alphabetic or numeric character": "put a text that begins with `*` or `&` in quotes",
    "found '{'": "put a text that holds brackets in quotes; patterns are best put in single ones",
    "got '{'": "put a text that holds brackets in quotes; patterns are best put in single ones",
    "got '['": "put a text that holds brackets in quotes; patterns are best put in single ones",
    "found '}'": "delete this bracket, or open it before",
    "found ']'": "delete this bracket, or open it before",
    "mapping values are not allowed": "put text that contains `: ` in quotes, or check the indentation of this line",
    "cannot start any token": "indent with spaces, and put text that begins with a special character in quotes",
    "could not find expected ':'": "write `key: value`, with a space after the colon",
    "but found '<scalar>'": "check the quotes on this line and above it",
    "expected the node content": "close the bracket that is open above, or delete what stands here",
    "expected <block end>": "line this line up with the lines that it belongs to",
    "expected ',' or": "close the bracket that is open, or put a comma between the items",
    "unexpected end of stream": "close the quote or bracket that is still open",
    "unknown escape character": "double a backslash inside double quotes, or use single quotes",
    "expected '<document start>'": "delete the `...` above, which ends the policy, or what stands behind it",
    "undefined tag handle": "delete the tag; a policy needs none",
}
_CONFLICT = re.compile(r"(?:<{7}|>{7}|\|{7}) |={7}$")
_TO_FILL = re.compile(r"\$\{[^}\n]*\}|\{\{.*?\}\}|\{%.*?%\}")
_WIDE = re.compile(f" *[{''.join(WIDE_SPACES)}]")
_ODD_COLON = re.compile(rf" *(?:- )?[\w-]+ ?(:[{''.join(WIDE_SPACES)}]|\uff1a)")
_TIGHT = re.compile(r" *-[^\s-]")
_BLOCK = re.compile(r": [|>][+-]?\s*$")
_DOUBLED = {"'": "`''` for an apostrophe", '"': '`\\"` for a quote'}
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
    label = next((words for sign, words in _LABELS.items() if sign in problem), None)
    return _told(_position(stop), label or _plain(problem) + began, problem)


def _told(place: Position, label: str, problem: str) -> Diagnostic:
    advice = next((text for sign, text in _HELP.items() if sign in problem), "check quotes, brackets and indentation")
    return _fault(place, label, advice)


def _fault(place: Position, label: str, advice: str) -> Diagnostic:
    return Spot((), place).fault("P004", "the file is not YAML", label=label, help=advice)


def _cause(error: yaml.MarkedYAMLError, text: str, stop: yaml.Mark) -> _Cause | None:
    """What made the parser stop, where that stands above the place at which it did."""
    rows, tokens = lines(text), _tokens(text, stop)
    return (
        _unmerged(rows)
        or _tab(rows, stop)
        or _wide_spaces(rows, stop)
        or _odd_colon(rows, stop)
        or _template(rows, stop)
        or _open_quote(error, tokens, rows, stop)
        or _ended_early(text, tokens, stop)
        or _open_bracket(text, tokens, rows, stop)
        or _no_space(rows, stop)
        or _not_indented(error, rows, stop)
        or (_no_key(error, tokens, rows, stop) or _out_of_line(error, rows, stop))
    )


def _unmerged(rows: list[str]) -> _Cause | None:
    """What a merge of two versions leaves behind where it cannot be settled."""
    for line, row in enumerate(rows):
        if _CONFLICT.match(row):
            advice = "choose one of the two versions, and delete the marks `<<<<<<<`, `=======` and `>>>>>>>`"
            return _Cause(_mark(line, 0), "a merge left this mark", advice)
    return None


def _tab(rows: list[str], stop: yaml.Mark) -> _Cause | None:
    if stop.line < len(rows) and rows[stop.line][stop.column : stop.column + 1] == "\t":
        return _Cause(stop, "a tab stands here", "write spaces: YAML takes no tab outside of texts")
    return None


def _wide_spaces(rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """Indentation by spaces that are no plain ones, as word processors and web pages have them."""
    for line, row in enumerate(rows[: stop.line + 1]):
        if _WIDE.match(row):
            return _Cause(
                _mark(line, _indent(row)), "a space that is no plain one stands here", "indent with plain spaces"
            )
    return None


def _odd_colon(rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """A colon that ends no key: a wide one, or one with a space behind it that is no plain one."""
    for line in range(max(0, stop.line - 1), min(stop.line + 1, len(rows))):
        found = _ODD_COLON.match(rows[line])
        if found:
            label = (
                "a space that is no plain one stands behind this" if found[1][0] == ":" else "this colon is a wide one"
            )
            return _Cause(_mark(line, found.start(1)), label, "write a plain colon, and a plain space behind it")
    return None


def _ended_early(text: str, tokens: list[Any], stop: yaml.Mark) -> _Cause | None:
    """A text in quotes that goes on behind the quote which ends it, as in `'I can't'`."""
    for token in tokens:
        quoted = isinstance(token, yaml.ScalarToken) and token.style in _DOUBLED
        if quoted and token.end_mark.index == stop.index and text[stop.index : stop.index + 1].isalnum():
            mark = _mark(token.end_mark.line, token.end_mark.column - 1)
            advice = f"inside these quotes write {_DOUBLED[token.style]}, or put the text in the other quotes"
            return _Cause(mark, "this quote ends the text", advice)
    return None


def _template(rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """A place that another program was to fill in."""
    found = _TO_FILL.search(rows[stop.line]) if stop.line < len(rows) else None
    if found and found.start() <= stop.column <= found.end():
        advice = "write the value: a policy is read as it stands, and nothing is filled in"
        return _Cause(_mark(stop.line, found.start()), "this was left to be filled in", advice)
    return None


def _no_space(rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """An item of a list without a space behind its hyphen, beside items that have one."""
    row = rows[stop.line] if stop.line < len(rows) else ""
    if _TIGHT.match(row) and any(_is_item(one) and _indent(one) == _indent(row) for one in rows):
        return _Cause(_mark(stop.line, _indent(row)), "there is no space behind the `-`", "write `- ` before the item")
    return None


def _not_indented(error: yaml.MarkedYAMLError, rows: list[str], stop: yaml.Mark) -> _Cause | None:
    """A text below `>` or `|` that does not stand deeper than its key."""
    line = error.context_mark.line if error.context_mark is not None else stop.line
    above = next((row for row in reversed(rows[:line]) if row.strip()), "")
    if _BLOCK.search(above) and line < len(rows) and _indent(rows[line]) <= _indent(above):
        sign = above.rstrip().rstrip("+-")[-1]
        label, advice = f"it does not belong to the `{sign}` above", "indent the text deeper than its key"
        return _Cause(_mark(line, _indent(rows[line])), label, advice)
    return None


def _mark(line: int, column: int) -> yaml.Mark:
    return yaml.Mark("", 0, line, column, None, 0)


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
        if at_end or (begin.line < stop.line and _spills(rows, begin, stop.line)):
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
    return _Cause(_mark(first, here), f"line {stop.line + 1} does not line up with it", "line up what belongs together")


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
