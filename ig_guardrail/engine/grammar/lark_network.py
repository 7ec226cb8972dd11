"""Grammars as networks: the part of the Lark notation that forms are written in."""

from __future__ import annotations

import json
import re
from typing import Any

from ig_guardrail.engine.grammar.network import Net, Unread
from ig_guardrail.engine.grammar.pattern_network import whole
from ig_guardrail.engine.grammar.schema_network import rule_of

_HEAD = re.compile(r"^([A-Za-z_][A-Za-z_0-9-]*)(?:\[([^\n]*?)\])?\s*:(?!:)", re.MULTILINE)
_DIRECTIVE = re.compile(r"%llguidance [^\n]*\n")  # how tokens are cut, which a network does not tell
_SUFFIX = re.compile(r'suffix\s*=\s*("(?:[^"\\]|\\.)*")')
_PART = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<pattern>/(?:\\.|[^/\\\n])+/)(?P<flags>[a-z]*)|(?P<json>%json\s*)"""
    r"""|(?P<times>\{\s*(?P<least>\d+)\s*(?:,\s*(?P<most>\d*))?\s*\})|(?P<sign>[()|?*+&~])|(?P<name>[A-Za-z_][\w-]*))"""
)
_DECODER = json.JSONDecoder()
_TIMES: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}
MOST_TIMES = 1_000


def net_of(grammar: str) -> Net:
    """The network of a Lark text, measured; rule 0 is its start. Raises Unread for a notation that is not read."""
    net = Net()
    bodies = _bodies(grammar)
    if "start" not in bodies:
        raise Unread("it has no start")
    rules = {name: net.rule() for name in sorted(bodies, key=lambda name: name != "start")}
    for name, (attributes, body) in bodies.items():
        end = net.exit[rules[name]]
        suffix = _SUFFIX.search(attributes)
        if attributes.strip() not in ("", "lazy") and not suffix:
            raise Unread(f"rule {name} has attributes")
        if suffix:
            before = net.node()
            net.say(before, json.loads(suffix[1]), end)
            end = before
        _Body(net, rules, body).choices(net.entry[rules[name]], end)
    return net.measured()


def _bodies(grammar: str) -> dict[str, tuple[str, list[Any]]]:
    """Rules by name: their attributes, and their parts."""
    found: dict[str, tuple[str, list[Any]]] = {}
    at = 0
    while at < len(grammar.rstrip()):
        directive = _DIRECTIVE.match(grammar, at)
        if directive is not None:
            at = directive.end()
            continue
        head = _HEAD.match(grammar, at)
        if head is None:
            raise Unread("a line is no rule")
        parts, at = _parts(grammar, head.end())
        found[head[1]] = (head[2] or "", parts)
    return found


def _parts(grammar: str, at: int) -> tuple[list[Any], int]:
    """The parts of a rule's body, and where the next rule begins."""
    parts: list[Any] = []
    while at < len(grammar):
        line_end = re.compile(r"\s*\n").match(grammar, at)
        if line_end is not None and (_HEAD.match(grammar, line_end.end()) or line_end.end() == len(grammar)):
            return parts, line_end.end()
        part = _PART.match(grammar, at)
        if part is None:
            if not grammar[at:].strip():
                return parts, len(grammar)
            raise Unread("a part of a rule is not read")
        at = part.end()
        if part["json"]:
            schema, at = _DECODER.raw_decode(grammar, at)
            parts.append(("json", schema))
        elif part["text"]:
            parts.append(("text", json.loads(part["text"])))
        elif part["pattern"]:
            flags = f"(?{part['flags']})" if part["flags"] else ""
            parts.append(("pattern", flags + part["pattern"][1:-1].replace("\\/", "/")))
        elif part["times"]:
            exactly = "," not in part["times"]
            least = int(part["least"])
            parts.append(("times", least, least if exactly else int(part["most"]) if part["most"] else None))
        else:
            parts.append(("sign", part["sign"]) if part["sign"] else ("name", part["name"]))
    return parts, at


class _Body:
    """Writes the parts of one rule into the network."""

    def __init__(self, net: Net, rules: dict[str, int], parts: list[Any]) -> None:
        self._net = net
        self._rules = rules
        self._parts = parts
        self._at = 0
        self._read: dict[int, int] = {}

    def choices(self, start: int, end: int) -> None:
        self._choices(start, end)
        if self._at < len(self._parts):
            raise Unread("a bracket is closed that was not opened")

    def _choices(self, start: int, end: int) -> None:
        while True:
            self._sequence(start, end)
            if not self._is("|"):
                return
            self._at += 1

    def _is(self, *signs: str) -> bool:
        return self._at < len(self._parts) and self._parts[self._at] in [("sign", sign) for sign in signs]

    def _sequence(self, start: int, end: int) -> None:
        while self._at < len(self._parts) and not self._is("|", ")"):
            first = self._at
            after = self._net.node()
            self._item(start, after)
            start = self._repeated(first, start, after)
        self._net.skip(start, end)

    def _item(self, start: int, end: int) -> None:
        part = self._parts[self._at]
        self._at += 1
        if part == ("sign", "("):
            self._choices(start, end)
            if not self._is(")"):
                raise Unread("a bracket is not closed")
            self._at += 1
        elif part[0] == "text":
            self._net.say(start, part[1], end)
        elif part[0] == "pattern":
            self._pattern(part[1], start, end)
        elif part[0] == "json":
            if id(part) not in self._read:
                self._read[id(part)] = rule_of(self._net, part[1])
            self._net.call(start, self._read[id(part)], end)
        elif part[0] == "name" and part[1] in self._rules:
            self._net.call(start, self._rules[part[1]], end)
        else:
            raise Unread(f"{part[1]!r:.40} is not read there")

    def _pattern(self, pattern: str, start: int, end: int) -> None:
        read = whole(pattern)
        nodes = [self._net.node() for _ in read.silent]
        if ".*" in pattern:
            self._net.prose.update(nodes)
        self._net.skip(start, nodes[0])
        self._net.skip(nodes[1], end)
        for node, silent, reading in zip(nodes, read.silent, read.reading, strict=True):
            for to in silent:
                self._net.skip(node, nodes[to])
            for these, to in reading:
                self._net.read(node, these, nodes[to])
        while self._is("&"):  # what the other sides leave out is left to the grammar
            self._at += 1
            self._at += self._is("~")
            self._at += 1

    def _repeated(self, first: int, start: int, after: int) -> int:
        """The node behind an item and what says how often it stands."""
        net = self._net
        if self._at >= len(self._parts):
            return after
        part = self._parts[self._at]
        times = _TIMES.get(part[1]) if part[0] == "sign" else (part[1], part[2]) if part[0] == "times" else None
        if times is None:
            return after
        behind = self._at + 1
        least, most = times
        if max(least, most or 0) > MOST_TIMES:
            raise Unread("a part is repeated too often")
        ends = net.node()
        if not least:
            net.skip(start, ends)
        step = after
        for count in range(1, most if most is not None else max(least, 1)):
            if count >= least:
                net.skip(step, ends)
            more = net.node()
            self._at = first
            self._item(step, more)
            step = more
        if most is None:
            self._at = first
            self._item(step, step)
        if most != 0:
            net.skip(step, ends)
        self._at = behind
        return ends
