"""The grammars of calls: Lark texts in which a call is right by construction, in the format that a model writes.

A call is cut in three: what opens it up to where its words begin, its body, in which a tool is named and its arguments
follow their schema, and what closes it. White space between these is the model's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ig_guardrail.errors import RequestError
from ig_guardrail.schemas import followable
from ig_guardrail.text.call_notation import BARE, BLANKS, CallHead, first_sign, heads, marker_of, spelled, tokens_of
from ig_guardrail.text.call_reading import nameable
from ig_guardrail.text.call_values import kind_of
from ig_guardrail.types import CallNotation, Tool, ToolFormat

MOST = 8  # calls in one answer
MOST_BARE = 64  # tools beside which bare calls are looked for
_ANY_TOKENS = '%llguidance {"no_forcing": true}'  # how a call is cut into tokens is the model's choice
_BLANK = r"(\r?\n[ \t\r\n]{0,7}|[ ]{1,2})?"  # between the parts of a call, and between calls
USUAL_ROOM = 256  # tokens, where only what can be written is looked at
_BORDERS = (r"\A", r"\Z", r"\z", r"\b", r"\B")
_SIGN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()|^$]", re.DOTALL)  # of an expression, what may be an anchor
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)  # of an expression
_ENDS = re.compile(r"\\.|[/\n\r\t]", re.DOTALL)  # of a line, or of an expression between slashes


def no_calls(format: ToolFormat, tools: Sequence[Tool]) -> str:
    """Words in which no call begins."""
    marker = marker_of(format)
    patterns = [_said(marker)] if marker else []
    patterns += [f"({head.pattern(_said)})" for head in heads(CallNotation(format, tuple(tools))) if head.named]
    excluded = "|".join(patterns)
    opened = excluded if len(patterns) == 1 else f"({excluded})"
    return f"start: WORDS\nWORDS: /(?s:.*)/ & ~/(?s:.*){opened}(?s:.*)/\n"


def calls_alone(
    notation: CallNotation, tools: Sequence[Tool], parallel: bool, schema: Mapping[str, Any] | None, room: int
) -> str:
    """Calls, or JSON of a schema, and nothing before them."""
    if not tools:
        return f"start: %json {_schema(schema or {}, room)}\n"
    form = _Form(notation.format, tools, room)
    only = f"OPENING {form.calls(parallel)}"
    start = only if schema is None else f"json | {only}"
    rules = [_ANY_TOKENS, f"start: {start}", *form.rules()]
    if schema is not None:
        rules.append(f"json: %json {_schema(schema, room)}")
    return "\n".join(rules) + "\n"


def words_or_calls(notation: CallNotation, parallel: bool, room: int) -> str:
    """Words, with calls behind them or without."""
    form = _Form(notation.format, notation.named, room)
    found = heads(notation)
    ways, lexemes = ["WORDS"], list[str]()
    if any(not head.named for head in found):
        (marked,) = (head for head in found if not head.named)
        ways.append(f"begun {form.calls(parallel)}")
        lexemes.append(f"begun[lazy]: /{marked.pattern(_said)}/")
    for number, tool in enumerate(notation.named):
        for head_format, name in ((notation.format, "named"), (BARE, "bare")):
            mine = [head for head in found if head.named and head.format == head_format]
            if not mine:
                continue
            lexeme = "|".join(_of_tool(head, number).pattern(_said) for head in mine)
            lexemes.append(f"{name}{number}[lazy]: /{lexeme}/")
            ways.append(f"{name}{number} {form.behind_name(head_format, tool, parallel)}")
    excluded = "|".join(f"({head.pattern(_said)})" if len(found) > 1 else head.pattern(_said) for head in found)
    words = (
        f"WORDS: /(?s:.*)/ & ~/({excluded})(?s:.*)/" if len(found) > 1 else f"WORDS: /(?s:.*)/ & ~/{excluded}(?s:.*)/"
    )
    rules = [_ANY_TOKENS, f"start: {' | '.join(ways)}", *form.rules(), words, *lexemes]
    return "\n".join(rules) + "\n"


def writable(tool: Tool, format: ToolFormat) -> bool:
    """Whether calls that keep to a tool's schema can be written: JSON always, texts between tags and names not all."""
    if not nameable(tool.name, format):
        return False
    if format.values == "json":
        return True
    try:
        return _arguments(tool, format, 0, USUAL_ROOM) is not None
    except RequestError:
        return True  # said where the schema is looked at


class _Form:
    """The calls of some tools in one format; those of a bare kind beside it."""

    def __init__(self, format: ToolFormat, tools: Sequence[Tool], room: int) -> None:
        self._format, self._tools, self._room = format, tools, room
        self._rules: dict[str, str] = {}
        self._schemas: dict[int, str] = {}

    def calls(self, parallel: bool, first: str = "call") -> str:
        """What follows the opening of the first call; `first`: what that is."""
        form = self._format
        more = f" (NEXT call){{0,{MOST - 1}}}" if parallel and form.separator is not None else ""
        return f"{first}{more}{' ENDING' if form.end.strip(BLANKS) else ''} BLANKS?"

    def behind_name(self, format: ToolFormat, tool: Tool, parallel: bool) -> str:
        """What follows the name of the first call."""
        number = self._tools.index(tool)
        if format == BARE:
            more = f" (BARENEXT bare){{0,{MOST - 1}}}" if parallel and self._format.separator is not None else ""
            if "bare" not in self._rules:
                self._rules |= self._bare()
            self._rules[f"brest{number}"] = f"BAREMIDDLE %json {self._schema_of(tool)} BARECLOSE"
            return f"brest{number}{more} BAREEND?"
        middle = format.middle.lstrip(BLANKS).removeprefix(first_sign(format))
        self._rules[f"rest{number}"] = f"{self._behind(tool, number, middle)}{self._closing()}"
        return self.calls(parallel, f"rest{number}")

    def rules(self) -> list[str]:
        """The rules that calls are made of."""
        form = self._format
        opening, close = _parts(_opening(form)), _outer_close(form)
        found = [f"OPENING: /{opening}/"]
        if form.separator is not None:
            between = _parts(form.separator)
            inner = _parts(_cut_open(form.open))
            said = _BLANK.join(part for part in (between, inner) if part)
            found.append(f"NEXT: /{_BLANK}{said}{'' if inner else _BLANK}/")
        if close:
            found.append(f"CLOSING: /{_BLANK}{_parts(close)}/")
        if form.end.strip(BLANKS):
            found.append(f"ENDING: /{_BLANK}{_parts(form.end)}/")
        found += [r"BLANKS: /[ \t\r\n]{1,8}/", f"call: body{self._closing()}", f"body: {self._bodies()}"]
        return [*found, *(f"{name}: {body}" for name, body in self._rules.items())]

    def _closing(self) -> str:
        return " CLOSING" if _outer_close(self._format) else ""

    def _bodies(self) -> str:
        """What follows the opening of a call. One way for each tool: its name, its arguments by their schema."""
        form = self._format
        inner = form.open.partition("{")[2] if form.keys else ""
        ways = []
        for number, tool in enumerate(self._tools):
            head = inner + spelled(tool.name, form)
            ways.append(self._behind(tool, number, form.middle, head))
        return "\n    | ".join(ways)

    def _behind(self, tool: Tool, number: int, middle: str, head: str = "") -> str:
        """A call behind its name, up to what closes it."""
        form = self._format
        if form.values == "json":
            close = form.close.rpartition("}")
            inner = f" {_lark(close[0] + close[1])}" if form.keys else ""
            return f"{_lark(head + middle)} %json {self._schema_of(tool)}{inner}"
        made = _arguments(tool, form, number, self._room)
        assert made is not None  # what cannot be written has our format
        body, rules = made
        self._rules |= rules
        return f"{_lark(head + middle)} {body}".rstrip()

    def _bare(self) -> dict[str, str]:
        ways = []
        for tool in self._tools:
            ways.append(
                f"{_lark(spelled(tool.name, BARE) + chr(34))} BAREMIDDLE %json {self._schema_of(tool)} BARECLOSE"
            )
        space = r"[ \t\r\n]{0,16}"
        return {
            "BAREMIDDLE": rf'/{space},{space}"(arguments|parameters)"{space}:{space}/',
            "BARECLOSE": rf"/{space}\}}/",
            "BARENEXT": rf'/{space}(```)?{space}[,;]?{space}(```(json)?{space})?\{{{space}"name"{space}:{space}"/',
            "BAREEND": rf"/{space}(```)?{space}/",
            "bare": "\n    | ".join(ways),
        }

    def _schema_of(self, tool: Tool) -> str:
        if id(tool) not in self._schemas:
            self._schemas[id(tool)] = _schema(accepted(tool), self._room)
        return self._schemas[id(tool)]


def _arguments(tool: Tool, format: ToolFormat, number: int, room: int) -> tuple[str, dict[str, str]] | None:
    """Arguments one by one: what they are written as, and the rules of their values. None where they cannot be so."""
    schema = followable(accepted(tool), room)
    properties, required = schema.get("properties", {}), schema.get("required", ())
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False or "x-checked" in schema:
        return None
    if schema.keys() - {"type", "properties", "required", "additionalProperties", "$defs", "x-guidance"}:
        return None
    parts: list[tuple[str, bool]] = []
    rules: dict[str, str] = {}
    for place, (key, value) in enumerate(properties.items()):
        name = f"a{number}_{place}"
        made = (
            _tagged(tool, key, value, schema, name, format)
            if format.values == "tags"
            else _keyword(key, value, schema, format)
        )
        if made is None:
            return None
        rules[name], own = made
        rules |= own
        parts.append((name, key in required))
    if format.values == "tags":
        return " ".join(name if needed else f"{name}?" for name, needed in parts), rules
    return _listed(parts), rules


def _listed(parts: Sequence[tuple[str, bool]]) -> str:
    """Keywords in order, with commas between those that are there."""
    ways = []
    for first, (name, _) in enumerate(parts):
        rest = " ".join(f'(", " {other})' if needed else f'(", " {other})?' for other, needed in parts[first + 1 :])
        ways.append(f"{name} {rest}".rstrip())
        if parts[first][1]:
            return f"({' | '.join(ways)})"
    return f"({' | '.join(ways)})?" if ways else ""


def _tagged(
    tool: Tool, key: str, value: Any, root: Mapping[str, Any], name: str, format: ToolFormat
) -> tuple[str, dict[str, str]] | None:
    before, between, behind = format.tag
    if key != key.strip() or between.strip() in key:
        return None
    head = _lark(f"{before}{key}{between}")
    if kind_of(tool, key) != "text":
        return f"{head} {_json(value, root)} {_lark(behind)}", {}
    value = _resolved(value, root)
    if value is None:
        return None
    if "enum" in value:
        texts = [text for text in value["enum"] if isinstance(text, str) and behind.strip() not in text]
        return (f"{head} ({' | '.join(map(_lark, texts))}) {_lark(behind)}", {}) if texts else None
    if value.get("type") != "string" or value.keys() - {"type", "minLength", "maxLength", "pattern"}:
        return None
    close = behind.strip(BLANKS)
    lead, rest = behind.split(close)
    end = (f"({_said(lead)})?" if lead else "") + _said(close)
    text = f"{_counted(value['minLength'], value['maxLength'], close)}{end}"
    if "pattern" in value:
        inner = _between_anchors(value["pattern"])
        if inner is None or _may_say(close[0], inner) or _may_say("\n", inner):
            return None
        text = f"({_in_lark(inner)}){end}/ & /{text}"
    return f"{head} {name}v {_lark(rest)}".removesuffix(' ""'), {f"{name}v[lazy]": f"/{text}/"}


def _counted(least: int, most: int, close: str) -> str:
    """Texts of so many characters, between tags. No end stands among the first: who reads a text looks for one."""
    if not least:
        return f"(?s:.{{0,{most}}})"
    first, second = _in_set(close[0]), _in_set(close[1:2])
    pairs = most >= 3 * least and close[1:2] not in ("", close[0])  # whether what begins the end may stand there
    one, last = f"[^{first}]", rf"[^{first}\n]"
    if pairs:
        one, last = f"({one}|{_said(close[0])}[^{first}{second}])", rf"({last}|{_said(close[0])}[^{first}{second}\n])"
    return f"{one}{{{least - 1}}}{last}(?s:.{{0,{most - least * (1 + pairs)}}})"


def _in_set(sign: str) -> str:
    return f"\\{sign}" if sign and sign in r"\]^-[&~/" else sign


def _between_anchors(pattern: str) -> str | None:
    """What an expression of whole texts has between `^` and `$`; None for one of parts, or with more anchors."""
    signs = [found for found in _SIGN.finditer(pattern) if found[0] in _BORDERS or len(found[0]) == 1]
    if len(signs) < 2 or signs[0].span() != (0, 1) or signs[-1].end() != len(pattern):
        return None
    depth = 0
    for sign in "".join(found[0] for found in signs[1:-1]):
        depth += (sign == "(") - (sign == ")")
        if sign not in "()|" or (sign == "|" and not depth):
            return None
    return pattern[1:-1] if signs[0][0] + signs[-1][0] == "^$" else None


def _may_say(sign: str, pattern: str) -> bool:
    """Whether a text of an expression may hold a sign; True also where that is not sure."""
    return any(part == sign or ((part == "." or len(part) > 1) and _is(part, sign)) for part in _PART.findall(pattern))


def _is(part: str, sign: str) -> bool:
    try:
        return re.fullmatch(part, sign) is not None
    except re.error:
        return True


def _in_lark(pattern: str) -> str:
    """An expression as it stands between two slashes."""
    return _ENDS.sub(lambda found: found[0] if found[0][0] == "\\" else _sign(found[0], r"\/"), pattern)


def _keyword(key: str, value: Any, root: Mapping[str, Any], format: ToolFormat) -> tuple[str, dict[str, str]] | None:
    if not key.isidentifier():
        return None
    kept = _resolved(value, root)
    ways = kept.get("anyOf", [kept]) if kept is not None else [value]
    said = [_in_python(one, root, format) for one in ways]
    return f"{_lark(key + '=')} ({' | '.join(said)})", {}


def _in_python(value: Any, root: Mapping[str, Any], format: ToolFormat) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == "boolean":
        return f"{_lark(format.words[0])} | {_lark(format.words[1])}"
    return _lark(format.words[2]) if kind == "null" else _json(value, root)


def _json(value: Any, root: Mapping[str, Any]) -> str:
    kept = {key: root[key] for key in ("$defs", "x-guidance") if key in root}
    return f"%json {json.dumps({**value, **kept} if isinstance(value, Mapping) else value)}"


def _resolved(value: Any, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A schema, or what it refers to."""
    while isinstance(value, Mapping) and "$ref" in value:
        value = root.get("$defs", {}).get(str(value["$ref"]).removeprefix("#/$defs/"))
    return value if isinstance(value, Mapping) else None


def accepted(tool: Tool) -> Mapping[str, Any]:
    """The schema that calls of a tool follow."""
    return tool.parameters if tool.accepted is None else tool.accepted


def _of_tool(head: CallHead, number: int) -> CallHead:
    """The head of one tool's calls."""
    return replace(head, rest=(*head.rest[:-1], (head.rest[-1][number],)))


def _opening(format: ToolFormat) -> str:
    return f"{format.begin}\n{_cut_open(format.open)}" if format.begin else _cut_open(format.open)


def _cut_open(open: str) -> str:
    """What opens a call, up to where its words begin."""
    head, brace, _ = open.partition("{")
    return f"{head}{brace}"


def _outer_close(format: ToolFormat) -> str:
    """What closes a call behind its words."""
    return (format.close.rpartition("}")[2] if format.keys else format.close).strip(BLANKS)


def _parts(literal: str) -> str:
    """A text as a pattern, in which other blanks may stand for its own, and before a bracket at its end."""
    return _BLANK.join(map(_said, tokens_of(literal)))


def _said(text: str) -> str:
    """A text as a pattern of grammars."""
    return "".join(
        "[<]" if sign == "<" else f"\\{sign}" if sign in r"\.+*?()|[]{}^$/" else _sign(sign) for sign in text
    )


def _sign(sign: str, other: str | None = None) -> str:
    return {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(sign, other or sign)


def _lark(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _schema(schema: Mapping[str, Any], room: int) -> str:
    return json.dumps(followable(schema, room))
