"""Written schemas as networks of the JSON that they allow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ig_guardrail.engine.grammar.network import ANY, Automaton, Letters, Net, Unread, common, letters, product, without
from ig_guardrail.engine.grammar.pattern_network import at_least, found
from ig_guardrail.schemas import CHECKED, LAYOUT, WITHIN

MOST_REMAINDERS = 2_000

_DIGIT: Letters = ((48, 57),)
_ESCAPED = {'"': '"', "\\": "\\", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_PLAIN = without(ANY, ((0, 31), (34, 34), (92, 92), (127, 127), (0xD800, 0xDFFF)))
_CONTROLS: Letters = ((0, 31),)


def rule_of(net: Net, schema: Any) -> int:
    """A rule of a network that reads JSON of a written schema; what it leaves to a check is checked at its end.

    Raises Unread for JSON that is laid out otherwise: ways to its end would be ways that its grammar does not allow.
    """
    if not isinstance(schema, Mapping) or schema.get("x-guidance") != LAYOUT:
        raise Unread("its JSON is laid out otherwise")
    rule = net.rule()
    _Schemas(net, schema).value(schema, net.entry[rule], net.exit[rule])
    if CHECKED in schema:
        net.check[rule] = _check(schema[CHECKED])
    return rule


def _check(schema: Any) -> Callable[[str], bool]:
    from ig_guardrail.schemas.checking import check_of

    right = check_of(schema)

    def may_stand(text: str) -> bool:
        try:
            return right(json.loads(text, object_pairs_hook=_each_once))
        except ValueError:
            return False

    return may_stand


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _literal(value: Any) -> str:
    """A value as the grammar writes it: its numbers without exponents, and without decimals that say nothing."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_literal(key)}: {_literal(part)}' for key, part in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return json.dumps(value, ensure_ascii=False)


MOST_COUNTED = 1_000  # characters of a text that are counted one by one


class _Schemas:
    """Writes the values of one schema, and of its parts, into a network."""

    def __init__(self, net: Net, root: Mapping[str, Any]) -> None:
        self._net = net
        self._root = root
        self._rules: dict[str, int] = {}

    def value(self, schema: Any, start: int, end: int) -> None:
        """A value of a part, between two nodes."""
        net = self._net
        if schema is False:
            return
        if schema is True:
            raise Unread("a schema says nothing")
        if "$ref" in schema:
            net.call(start, self._referred(schema["$ref"]), end)
        elif "enum" in schema:
            self._one_of(list(map(_literal, schema["enum"])), start, end)
        elif "anyOf" in schema:
            several = sum(way.get("type") == "string" for way in schema["anyOf"] if isinstance(way, Mapping)) > 1
            for way in schema["anyOf"]:
                if several and isinstance(way, Mapping) and way.get("type") == "string":
                    self._net.call(start, self._scalar(way, counted=True), end)
                else:
                    self.value(way, start, end)
        else:
            self._of_kind(schema, start, end)

    def _of_kind(self, schema: Mapping[str, Any], start: int, end: int) -> None:
        match schema.get("type"):
            case "null":
                self._net.say(start, "null", end)
            case "boolean":
                self._net.say(start, "true", end)
                self._net.say(start, "false", end)
            case "string" | "number" | "integer":
                self._net.call(start, self._scalar(schema), end)
            case "array":
                self._array(schema, start, end)
            case "object":
                self._object(schema, start, end)
            case kind:
                raise Unread(f"a schema has the type {kind!r:.60}")

    def _one_of(self, texts: list[str], start: int, end: int) -> None:
        """One of several texts; those that begin alike share their nodes."""
        begun = {"": start}
        for text in texts:
            for at, letter in enumerate(text):
                if at == len(text) - 1:
                    self._net.say(begun[text[:at]], letter, end)
                elif text[: at + 1] not in begun:
                    begun[text[: at + 1]] = self._net.say(begun[text[:at]], letter)

    def _referred(self, reference: str) -> int:
        if reference not in self._rules:
            rule = self._rules[reference] = self._net.rule()
            part = self._root["$defs"][reference.removeprefix("#/$defs/")]
            self.value(part, self._net.entry[rule], self._net.exit[rule])
        return self._rules[reference]

    def _scalar(self, schema: Mapping[str, Any], counted: bool = False) -> int:
        """The rule of a text or a number; equal ones share it.

        counted: whether a text has its longest length here too. Elsewhere that is the grammar's, since a text can end
        before it; beside other texts, one that has grown too long is no longer a way to the end.
        """
        kept = {name: value for name, value in schema.items() if name not in ("$defs", CHECKED)}
        most = schema.get("maxLength", MOST_COUNTED + 1)
        counted = counted and most <= MOST_COUNTED
        key = json.dumps([kept, counted])
        if key not in self._rules:
            rule = self._rules[key] = self._net.rule()
            start, end = self._net.entry[rule], self._net.exit[rule]
            if schema["type"] == "string":
                patterns = [part["pattern"] for part in (schema, *schema.get("allOf", ())) if "pattern" in part]
                self._text(patterns, schema.get("minLength", 0), most if counted else None, start, end)
            else:
                self._number(schema, start, end)
        return self._rules[key]

    # ---------------------------------------------------------------------------------------------- arrays and objects

    def _array(self, schema: Mapping[str, Any], start: int, end: int) -> None:
        net, prefix, items = self._net, schema.get("prefixItems", ()), schema["items"]
        least = schema["minItems"]
        here = net.say(start, "[")
        if not least:
            net.say(here, "]", end)
        for at in range(max(least, len(prefix), 1)):
            if at >= len(prefix) and items is False:
                return
            here = net.say(here, ", ") if at else here
            after = net.node()
            self.value(prefix[at] if at < len(prefix) else items, here, after)
            here = after
            if at + 1 >= least:
                net.say(here, "]", end)
        if items is not False and len(prefix) < schema["maxItems"]:
            self.value(items, net.say(here, ", "), here)

    def _object(self, schema: Mapping[str, Any], start: int, end: int) -> None:
        """Named keys in their order, then all others; what comes after something is parted from it."""
        net = self._net
        bare, after = net.say(start, "{"), net.node()
        for key, part in schema["properties"].items():
            item, done = net.node(), net.node()
            net.skip(bare, item)
            net.say(after, ", ", item)
            valued = net.say(item, json.dumps(key, ensure_ascii=False) + ": ")
            self.value(part, valued, done)
            if key in schema["required"]:
                bare, after = net.node(), done
                continue
            net.skip(after, done)
            after = done
        self._others(schema, bare, after, end)

    def _others(self, schema: Mapping[str, Any], bare: int, after: int, end: int) -> None:
        net = self._net
        free = bool(schema.get("patternProperties")) or schema["additionalProperties"] is not False
        count = max(0, schema.get("minProperties", 0) - len(schema["required"]))
        for _ in range(count):
            first, done = net.node(), net.node()
            net.skip(bare, first)
            net.say(after, ", ", first)
            net.call(first, self._other(schema), done)
            bare, after = net.node(), done
        net.say(bare, "}", end)
        net.say(after, "}", end)
        if free:
            item = net.skip(bare, net.node())
            net.say(after, ", ", item)
            net.call(item, self._other(schema), after)

    def _other(self, schema: Mapping[str, Any]) -> int:
        """The rule of one key that is not named, and its value."""
        key = "other " + json.dumps([schema.get("patternProperties"), schema["additionalProperties"]])
        if key not in self._rules:
            rule = self._rules[key] = self._net.rule()
            item, end = self._net.entry[rule], self._net.exit[rule]
            for pattern, part in schema.get("patternProperties", {}).items():
                if part is not False:
                    self.value(part, self._keyed(pattern, item), end)
            if schema["additionalProperties"] is not False:
                self.value(schema["additionalProperties"], self._keyed(None, item), end)
        return self._rules[key]

    def _keyed(self, pattern: str | None, item: int) -> int:
        """A key of a pattern, or any key; the node at which its value begins."""
        key = {"type": "string", **({} if pattern is None else {"pattern": pattern})}
        return self._net.say(self._net.call(item, self._scalar(key), self._net.node()), ": ")

    # --------------------------------------------------------------------------------------------------------- texts

    def _text(self, patterns: list[str], least: int, most: int | None, start: int, end: int) -> None:
        read = at_least(least, most) if least or most is not None or not patterns else None
        for pattern in patterns:
            read = found(pattern) if read is None else product(read, found(pattern))
        if read is not None:
            self._quoted(read, start, end)

    def _quoted(self, read: Automaton, start: int, end: int) -> None:
        """Texts of an automaton as JSON writes them."""
        net = self._net
        nodes = [net.node() for _ in read.silent]
        net.say(start, '"', nodes[0])
        net.say(nodes[1], '"', end)
        escapes: dict[int, int] = {}
        for node, silent, reading in zip(nodes, read.silent, read.reading, strict=True):
            for to in silent:
                net.skip(node, nodes[to])
            for these, to in reading:
                self._letter(node, these, nodes[to], escapes)

    def _letter(self, start: int, these: Letters, end: int, escapes: dict[int, int]) -> None:
        net = self._net
        net.read(start, common(these, _PLAIN), end)
        short = letters(*(code for letter, code in _ESCAPED.items() if common(these, letters(letter))))
        if these == ANY:
            if end not in escapes:
                escapes[end] = net.node()
                net.read(escapes[end], short, end)
                self._by_number(escapes[end], end)
            net.say(start, "\\", escapes[end])
        elif short:
            net.read(net.say(start, "\\"), short, end)
            if common(these, _CONTROLS) == _CONTROLS:
                self._by_number(net.say(start, "\\"), end)

    def _by_number(self, start: int, end: int) -> None:
        """Control characters that have no letter of their own, behind a backslash; and the one behind all of ASCII."""
        net = self._net
        zeros = net.say(start, "u00")
        low = net.say(zeros, "0")
        net.read(low, letters("01234567bBeEfF"), end)
        high = net.say(zeros, "1")
        net.read(high, letters("0123456789abcdefABCDEF"), end)
        net.read(net.say(zeros, "7"), letters("fF"), end)

    # ------------------------------------------------------------------------------------------------------- numbers

    def _number(self, schema: Mapping[str, Any], start: int, end: int) -> None:
        if WITHIN not in schema and "minimum" not in schema:
            self._finite(start, end)
            return
        within = schema.get(WITHIN) or (schema["minimum"], schema["maximum"])
        low, high = (Fraction(str(limit)) for limit in within)
        grain = Fraction(str(schema.get("multipleOf", 1)))
        decimals = 0
        while (grain * 10**decimals).denominator != 1:
            decimals += 1
        scale = 10**decimals
        first, last, step = (int(limit * scale) for limit in (low, high, grain))
        written: set[int] = {start}
        if last >= 0:
            written |= self._between(max(first, 0), last, step, decimals, start, end)
        if first < 0:
            minus = self._net.say(start, "-")
            written |= {minus} | self._between(max(-last, 0 if decimals else 1), -first, step, decimals, minus, end)
        if WITHIN in schema:
            self._net.exact.update(written)

    def _finite(self, start: int, end: int) -> None:
        """A number that no limit binds: of so many digits that it is finite."""
        net = self._net
        first = net.node()
        net.exact.add(first)
        net.skip(start, first)
        net.say(start, "-", first)
        whole = net.node()
        net.read(first, letters("0"), whole)
        digit = first
        for at in range(15):
            digit = net.read(digit, _DIGIT if at else ((49, 57),), net.node())
            net.skip(digit, whole)
            net.exact.add(digit)
        point = net.say(whole, ".")
        parted = net.node()
        for _ in range(15):
            net.exact.add(point)
            point = net.read(point, _DIGIT, net.node())
            net.skip(point, parted)
        net.skip(whole, parted)
        raised = net.read(parted, letters("eE"), net.node())
        signed = net.skip(raised, net.node())
        net.read(raised, letters("+-"), signed)
        one = net.read(signed, _DIGIT, net.node())
        two = net.read(one, _DIGIT, net.node())
        net.exact.update({whole, point, parted, raised, signed, one, two})
        for node in (parted, one, two):
            net.skip(node, end)

    def _between(self, low: int, high: int, step: int, decimals: int, start: int, end: int) -> set[int]:
        """Decimal numbers from `low` to `high`, both in units of the last decimal, that are multiples of `step`.

        Gives the nodes behind their digits.
        """
        step = step if step <= MOST_REMAINDERS else 1
        scale = 10**decimals
        free: dict[tuple[int, int], int] = {}
        written: set[int] = set()
        for size in range(1, len(str(high)) + 1):
            least = max(low, 10 ** (size - 1) * scale if size > 1 else 0)
            most = min(high, 10**size * scale - 1)
            if least <= most:
                limits = (f"{least:0{size + decimals}d}", f"{most:0{size + decimals}d}")
                written |= _Digits(self._net, *limits, size, step, end, free).write(start)
        return written


class _Digits:
    """Numbers of so many whole digits between two limits, which are padded to the same length.

    free: the nodes at which neither limit binds any more, by what is left; numbers of any size share them
    """

    def __init__(
        self, net: Net, low: str, high: str, size: int, step: int, end: int, free: dict[tuple[int, int], int]
    ) -> None:
        self._net, self._low, self._high = net, low, high
        self._size, self._step, self._end = size, step, end
        self._free = free
        self._nodes: dict[tuple[int, bool, bool, int], int] = {}

    def write(self, start: int) -> set[int]:
        """Write them; the nodes behind their digits."""
        origin = (0, True, True, 0)
        self._nodes[origin] = start
        waiting = [origin]
        for state in waiting:
            waiting += self._follow(state)
        return set(self._nodes.values())

    def _follow(self, state: tuple[int, bool, bool, int]) -> list[tuple[int, bool, bool, int]]:
        at, by_low, by_high, rest = state
        node, net = self._nodes[state], self._net
        left = len(self._low) - at
        if at >= self._size and not (by_low and self._low[at:].strip("0")) and rest * 10**left % self._step == 0:
            net.skip(node, self._end)
        if not left:
            return []
        if at == self._size:
            node = net.say(node, ".")
        lowest, highest = int(self._low[at]) if by_low else 0, int(self._high[at]) if by_high else 9
        fresh, digits = [], dict[int, str]()
        for digit in range(lowest, highest + 1):
            after = (at + 1, by_low and digit == lowest, by_high and digit == highest, (rest * 10 + digit) % self._step)
            if self._placed(after):
                fresh.append(after)
            digits[self._nodes[after]] = digits.get(self._nodes[after], "") + str(digit)
        for to, these in digits.items():
            net.read(node, letters(these), to)
        return fresh

    def _placed(self, state: tuple[int, bool, bool, int]) -> bool:
        """Give a state its node; whether what follows it is still to be written."""
        at, by_low, by_high, rest = state
        if state in self._nodes:
            return False
        shared = (len(self._low) - at, rest)
        known = None if by_low or by_high else self._free.get(shared)
        self._nodes[state] = self._net.node() if known is None else known
        if not (by_low or by_high):
            self._free[shared] = self._nodes[state]
        return known is None
