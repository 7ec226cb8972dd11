"""A schema in the few words that a grammar follows, with every open end bounded by the room of an answer.

Places that lead back to themselves are written once for each turn, so that nesting ends. What is left to a check of
whole values is kept beside, under `CHECKED`: the schema as it was given. Which of the bounds are ours, and not the
schema's, is only said where it is asked for, under `OURS`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import Any

from ig_guardrail.schemas.checking import OURS
from ig_guardrail.schemas.expressions import has_borders
from ig_guardrail.schemas.keys import all_but, bounded
from ig_guardrail.schemas.merging import Merging
from ig_guardrail.schemas.places import NEVER, Places
from ig_guardrail.schemas.reading import SchemaDocument, unfit
from ig_guardrail.schemas.shapes import (
    ArrayShape,
    KeyGroup,
    Literal,
    NumberShape,
    Object,
    Plain,
    Shape,
    TextShape,
    Way,
    searched,
)

LAYOUT: Mapping[str, Any] = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
CHECKED = "x-checked"
WITHIN = "x-within"  # [least, most] of a whole number, where these are not the grammar's words

USUAL_ROOM = 256  # tokens
SHORTEST_LIMIT = 40  # characters
CHARACTERS = 2  # of texts without a limit, for each token of an answer; a token has about four
FEWEST_ITEMS = 16  # that an array without a limit may have
TURNS = (4, 16)  # of what leads back to itself, at least and at most
MOST_ROOM = 10**6  # tokens; more is as much
LARGEST = 10**15 - 1  # number without a limit of its own, where it may have decimals
LONG = 10**14  # number that has as many digits as that
WHOLE = (
    -(2**63),
    2**64 - 1,
)  # whole numbers without limits of their own: all that have 64 bits, with a sign or without
LONG_WHOLE = (-(10**18), 10**19)  # of as many digits as these
EXACT = 2**53  # beyond it, floats skip whole numbers; the grammar reads limits as floats
DIGITS = 15  # of a decimal number that every reader reads alike
DECIMALS = 6  # of a number
FINEST = 10  # decimals, of a number whose limits lie close together; llguidance reads no finer step
MOST_COUNTED = 20_000  # characters or items that are asked for at least
MOST_WRITTEN = 30_000  # parts of a written schema
DEEPEST_WRITTEN = 400  # levels of it, references followed; what reads it goes down by recursion


def followable(schema: Any, room: int) -> dict[str, Any]:
    """A JSON Schema that the grammar follows: values of it are values of `schema`, and can end within the room.

    room: tokens that an answer may have. Raises RequestError, naming the place, for a schema that cannot be followed.
    """
    return _Writer(places_of(schema), room).written()


def marked(schema: Any, room: int) -> dict[str, Any]:
    """The same for values that are there: each bound that the room set is marked, and what no bound rests on left out.

    A place of which nesting is bounded is marked by `OURS: []`.
    """
    written = _Writer(places_of(schema), room, marks=True).written()
    return {word: part for word, part in written.items() if word != CHECKED}


def sound(schema: Any) -> None:
    """Raises RequestError, naming the place, for a schema that cannot be followed, however long an answer may be."""
    SchemaDocument(schema)
    _sound(json.dumps(schema))


def checkable(schema: Any) -> None:
    """Raises RequestError, naming the place, for a schema that not even whole values can be checked by."""
    Merging(SchemaDocument(schema)).demand_sense("#")


@lru_cache(maxsize=128)
def _sound(text: str) -> None:
    _Writer(_places_of(text), USUAL_ROOM).written()


def places_of(schema: Any) -> Places:
    """The places of a schema; the last few are kept. Raises RequestError for one that cannot be followed."""
    SchemaDocument(schema)
    return _places_of(json.dumps(schema))


@lru_cache(maxsize=32)
def _places_of(text: str) -> Places:
    return Places(Merging(SchemaDocument(json.loads(text))))


class _Writer:
    """Writes one schema for one room."""

    def __init__(self, places: Places, room: int, marks: bool = False) -> None:
        self._places = places
        self._marks = marks
        self._nested = False  # whether a part of the place that is being written is left out, since nesting ends
        self._merging = places.merging
        self._room = room = min(room, MOST_ROOM)
        needed = places.turns[places.root]
        if needed >= NEVER:
            raise unfit("#", "no value is of this schema", "let its parts agree")
        self._turns = max(needed + 1, min(max(room // 8, TURNS[0]), TURNS[1]))
        self._items = max(FEWEST_ITEMS, room // 4)
        self._defs: dict[tuple[KeyGroup, int], str] = {}
        self._waiting: list[tuple[KeyGroup, int]] = []
        self._count = 0
        self._keys = 0

    def written(self) -> dict[str, Any]:
        ends = self._open_ends()
        self._longest = max(SHORTEST_LIMIT, CHARACTERS * self._room // max(1, ends))
        root = self._part(self._places.root, 0)
        defs: dict[str, Any] = {}
        while self._waiting:
            together, level = self._waiting.pop()
            defs[self._defs[together, level]] = self._whole(together, level)
        if _deepest(root, defs) > DEEPEST_WRITTEN:
            raise unfit("#", "its references lead too deep", f"nest fewer than {DEEPEST_WRITTEN // 4} values")
        checked = {CHECKED: self._merging.document.root} if self._merging.checked else {}
        return {**root, **({"$defs": defs} if defs else {}), **checked, "x-guidance": dict(LAYOUT)}

    def _open_ends(self) -> int:
        """How many places have texts or keys without a limit."""
        shapes = [shape for place in self._places.turns for shape in self._merging.shapes(place)]
        return sum(isinstance(shape, TextShape) and shape.most is None for shape in shapes)

    def _ends(self, together: KeyGroup, level: int) -> bool:
        """Whether a value that has passed `level` turns can end beyond this place."""
        turns = self._places.turns[self._places.named(together)]
        ends = level + turns <= self._turns
        self._nested |= not ends and turns < NEVER
        return ends

    def _ours(self, *limits: int | float | None) -> dict[str, Any]:
        """The mark of bounds that the room set."""
        return {OURS: list(limits)} if self._marks else {}

    def _part(self, together: KeyGroup, level: int) -> dict[str, Any]:
        """A place that can end, in full or by a reference."""
        place = self._places.named(together)
        inner = level + (place in self._places.looping)
        if len(place) == 1 and place not in self._places.looping and not self._is_target(place[0]):
            return self._whole(place, inner)
        if (place, inner) not in self._defs:
            self._defs[place, inner] = f"p{len(self._defs)}"
            self._waiting.append((place, inner))
        return {"$ref": f"#/$defs/{self._defs[place, inner]}"}

    def _is_target(self, pointer: str) -> bool:
        return pointer.startswith(("#/$defs/", "#/definitions/"))

    def _whole(self, together: KeyGroup, level: int) -> dict[str, Any]:
        self._count += 1
        if self._count > MOST_WRITTEN:
            raise unfit(together[0] if together else "#", "what is written of it grows too large", "use a smaller one")
        shapes, outer, self._nested = self._merging.shapes(together), self._nested, False
        shapes = tuple(_as_number(shape, together) for shape in shapes)
        values = [shape.value for shape in shapes if isinstance(shape, Literal)]
        self._write_exactly(values, together)
        ways = [{"enum": values}] if values else []
        ways += [way for shape in shapes if (way := self._way(shape, level)) is not None]
        if not ways:
            raise unfit(together[0] if together else "#", "no value is of it", "let its parts agree")
        written = ways[0] if len(ways) == 1 else {"anyOf": ways}
        written, self._nested = (written | self._ours() if self._nested else written), outer
        return written

    def _write_exactly(self, values: list[Any], together: KeyGroup) -> None:
        """Refuse whole numbers that the grammar would write as others, and leave to the check what it may round."""
        place = together[0] if together else "#"
        for number in _numbers(values):
            said = Decimal(repr(float(number)))
            if number == int(number) and said != number:
                raise unfit(place, f"the number {number} cannot be written exactly", "give it as text")
            if len(said.as_tuple().digits) > DIGITS:
                self._merging.checked.setdefault(place, "enum")

    def _way(self, shape: Shape, level: int) -> dict[str, Any] | None:
        match shape:
            case Plain():
                return {"type": shape.kind}
            case Way():
                return self._part(shape.place, level) if self._ends(shape.place, level) else None
            case NumberShape():
                return self._number(shape)
            case TextShape():
                return self._text(shape)
            case ArrayShape():
                return self._array(shape, level)
            case Object():
                return self._object(shape, level)
        return None

    def _text(self, shape: TextShape) -> dict[str, Any]:
        if shape.least > MOST_COUNTED:
            raise unfit(shape.place, f"it asks for {shape.least} characters", f"ask for at most {MOST_COUNTED}")
        most = max(self._longest, shape.least) if shape.most is None else shape.most
        made: dict[str, Any] = {"type": "string", "minLength": shape.least, "maxLength": most}
        made |= self._ours(None, most) if shape.most is None else {}
        if any(map(has_borders, shape.patterns)):
            raise unfit(shape.place, "its pattern asks for a border of words", "use one without `\\b` and `\\B`")
        if shape.patterns:
            made["pattern"] = shape.patterns[0]
        if shape.patterns[1:]:
            made["allOf"] = [{"type": "string", "pattern": pattern} for pattern in shape.patterns[1:]]
        return made

    def _number(self, shape: NumberShape) -> dict[str, Any]:
        made = _whole(shape) if shape.whole else _number(shape)
        if not self._marks:
            return made
        lowest, highest = _open_ends(shape)
        short, long = LONG_WHOLE if shape.whole else (_plain(LONG * end / LARGEST) for end in (lowest, highest))
        least = None if shape.least is not None and shape.least[0] >= lowest else short
        most = None if shape.most is not None and shape.most[0] <= highest else long
        return {**{word: said for word, said in made.items() if word != "multipleOf"}, **self._ours(least, most)}

    def _array(self, shape: ArrayShape, level: int) -> dict[str, Any] | None:
        if shape.least > MOST_COUNTED:
            raise unfit(shape.place, f"it asks for {shape.least} items", f"ask for at most {MOST_COUNTED}")
        fixed = next((at for at, part in enumerate(shape.prefix) if not self._ends(part, level)), None)
        prefix = shape.prefix if fixed is None else shape.prefix[:fixed]
        most = max(shape.least, len(prefix), self._items) if shape.most is None else shape.most
        most = most if fixed is None else min(most, fixed)
        more = most > len(prefix) and self._ends(shape.items, level)
        most = most if more else min(most, len(prefix))
        if most < shape.least:
            return None
        return {
            "type": "array",
            **({"prefixItems": [self._part(part, level) for part in prefix]} if prefix else {}),
            "items": self._items_of(shape, level) if more else False,
            "minItems": shape.least,
            "maxItems": most,
            **(self._ours(None, most) if more and shape.most is None else {}),
        }

    def _items_of(self, shape: ArrayShape, level: int) -> dict[str, Any]:
        """Any item. Those that must be among them are named first, so that a way to the end is found that has them."""
        items, named = self._part(shape.items, level), [(*shape.items, one) for one in shape.contained]
        ways = [] if self._marks else [self._part(one, level) for one in named if self._ends(one, level)]
        return {"anyOf": [*ways, items]} if ways else items

    def _object(self, shape: Object, level: int) -> dict[str, Any] | None:
        parts = {key: shape.of(key) for key in dict.fromkeys((*shape.named, *shape.required))}
        fit = {key for key, part in parts.items() if self._ends(part, level) and self._may_be_named(key, shape)}
        if not fit.issuperset(shape.required):
            return None
        named = {key: self._part(part, level) for key, part in parts.items() if key in fit}
        free = self._free(shape, set(parts), level)
        named.update(free.pop("properties", {}))
        made = {"type": "object", "properties": named, "required": list(shape.required), **free}
        return made | self._counts(shape, named, bool(free.get("patternProperties")) or free["additionalProperties"])

    def _may_be_named(self, key: str, shape: Object) -> bool:
        return all(self._merging.holds(key, pointer) for pointer in shape.names)

    def _free(self, shape: Object, taken: set[str], level: int) -> dict[str, Any]:
        """The words for keys that are not named: by pattern, and all others."""
        patterns: dict[str, Any] = {}
        for pattern, part in shape.patterns.items():
            fit = self._ends(part, level)
            written = pattern if self._marks else bounded(pattern, self._longest)
            patterns[written] = self._part(part, level) if fit else False
        if shape.shut or not self._ends(shape.others or (), level):
            return {"additionalProperties": False, **({"patternProperties": patterns} if patterns else {})}
        others = shape.others or ()
        if patterns:
            if shape.names:
                raise unfit(shape.place, "`propertyNames` stands beside `patternProperties`", "keep one of them")
            return {"additionalProperties": self._part(others, level), "patternProperties": patterns}
        if self._marks:  # a value that is there has the keys that it may have
            known = {"anyOf": [{"enum": sorted(taken)}, self._ours(None, self._longest)]}
            names = {} if shape.names else {"propertyNames": known}
            return {"additionalProperties": self._part(others, level), **names}
        if not shape.names:
            key = all_but(taken, self._longest)
            if key is None:
                return {"additionalProperties": self._part(others, level)}
            return {"additionalProperties": False, "patternProperties": {key: self._part(others, level)}}
        return self._keyed(shape, taken, level)

    def _keyed(self, shape: Object, taken: set[str], level: int) -> dict[str, Any]:
        """The words for keys that `propertyNames` tells of."""
        others = shape.others or ()
        told = [
            one for one in self._merging.shapes(self._places.named(shape.names)) if one.kind in ("literal", "string")
        ]
        if all(isinstance(one, Literal) for one in told):
            keys = [one.value for one in told if isinstance(one, Literal) and isinstance(one.value, str)]
            free = {key: self._part(others, level) for key in keys if key not in taken}
            return {"additionalProperties": False, "properties": free}
        keyed: dict[str, Any] = {}
        for one in told:
            key = self._key(one, taken)
            if key is None:
                raise unfit(shape.place, "`propertyNames` asks for more than one thing", "use one pattern, or an enum")
            keyed[key] = self._part(others, level)
        return {"additionalProperties": False, "patternProperties": keyed}

    def _key(self, one: Shape, taken: set[str]) -> str | None:
        if not isinstance(one, TextShape) or len(one.patterns) > 1:
            return None
        if not one.patterns:
            most = self._longest if one.most is None else min(one.most, self._longest)
            return None if taken else f"^(?s:.{{{one.least},{max(most, one.least)}}})$"
        meets = any(searched(one.patterns[0], key, one.place) for key in taken)
        return None if meets or one.least or one.most is not None else bounded(one.patterns[0], self._longest)

    def _counts(self, shape: Object, named: Mapping[str, Any], free: bool) -> dict[str, Any]:
        """How many keys: said where the grammar can follow it, else left to the check."""
        most = shape.most if shape.most is not None else max(shape.least, self._items + len(named)) if free else None
        if set(named) <= set(shape.required):
            least = {"minProperties": shape.least} if shape.least > len(shape.required) else {}
            ours = self._ours(None, most) if shape.most is None else {}
            return least | ({"maxProperties": most, **ours} if most is not None and free else {})
        if shape.least > len(shape.required) or (shape.most is not None and (free or shape.most < len(named))):
            self._merging.checked.setdefault(shape.place, "minProperties")
        return {}


def _deepest(root: Any, defs: Mapping[str, Any]) -> int:
    """Levels of a written schema along its longest way; none is endless, since turns were written out."""
    inner = {name: _levels(part) for name, part in [*defs.items(), ("", root)]}
    below: dict[str, int] = {}
    for name in TopologicalSorter({name: told for name, (_, told) in inner.items()}).static_order():
        levels, told = inner[name]
        below[name] = max([levels, *(at + below[other] for other, at in told.items())])
    return below[""]


def _levels(written: Any) -> tuple[int, dict[str, int]]:
    """How many levels a part has, and at which it refers to others, by name."""
    deepest, told, waiting = 0, dict[str, int](), [(written, 1)]
    while waiting:
        part, at = waiting.pop()
        deepest = max(deepest, at)
        if isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
            name = part["$ref"].rpartition("/")[2]
            told[name] = max(at, told.get(name, 0))
        elif isinstance(part, Mapping | list):
            waiting += [(one, at + 1) for one in (part.values() if isinstance(part, Mapping) else part)]
    return deepest, told


def _numbers(value: Any) -> Iterator[int | float]:
    """All numbers in a value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(part)


def _number(shape: NumberShape) -> dict[str, Any]:
    """A number between limits, of so many decimals; one without limits is bounded by the network of its form."""
    if shape.least is None and shape.most is None and shape.step is None:
        return {"type": "number"}
    grain = _grain(shape, shape.step or Fraction(1, 10 ** _decimals(shape)))
    lowest, highest = _open_ends(shape)
    least = max(lowest, shape.least[0]) if shape.least else lowest
    most = min(highest, shape.most[0]) if shape.most else highest
    if shape.least and shape.least[0] > LARGEST:
        most = min(Fraction(EXACT), shape.most[0]) if shape.most else Fraction(EXACT)
    if shape.most and shape.most[0] < -LARGEST:
        least = max(Fraction(-EXACT), shape.least[0]) if shape.least else Fraction(-EXACT)
    low, high = _multiples(shape, grain, least, most)
    low, high = _rounded(low, ROUND_CEILING), _rounded(high, ROUND_FLOOR)
    if low > high:
        raise unfit(shape.place, "no number of it can be written exactly", f"use numbers within {EXACT}")
    return {"type": "number", "minimum": _plain(low), "maximum": _plain(high), "multipleOf": _plain(grain)}


def _whole(shape: NumberShape) -> dict[str, Any]:
    """A whole number between limits. Those that the grammar could take for others are its network's alone."""
    grain = _grain(shape, Fraction(shape.step.numerator if shape.step else 1))  # the smallest whole multiple
    lowest, highest = _open_ends(shape)
    least = max(lowest, shape.least[0]) if shape.least else lowest
    most = min(highest, shape.most[0]) if shape.most else highest
    low, high = (int(end) for end in _multiples(shape, grain, least, most))
    if low > high:
        advice = f"use numbers from {WHOLE[0]} to {WHOLE[1]}"
        raise unfit(shape.place, "no whole number of it has 64 bits", advice)
    limits = {"minimum": low, "maximum": high}
    told = {word: limit for word, limit in limits.items() if abs(limit) <= EXACT}
    within = {} if len(told) == len(limits) else {WITHIN: [low, high]}
    return {"type": "integer", **told, **within, **({"multipleOf": int(grain)} if grain != 1 else {})}


def _as_number(shape: Shape, together: KeyGroup) -> Shape:
    """A value that is a whole number of 64 bits which no float may keep, as a number with limits, which are."""
    value = shape.value if isinstance(shape, Literal) else None
    if isinstance(value, int) and abs(value) > EXACT and WHOLE[0] <= value <= WHOLE[1]:
        limit = (Fraction(value), False)
        return NumberShape(together[0] if together else "#", limit, limit, whole=True)
    return shape


def _grain(shape: NumberShape, grain: Fraction) -> Fraction:
    """What numbers are multiples of. Raises RequestError where the grammar does not read as many digits."""
    if grain.numerator > 10**9 or (10**FINEST) % grain.denominator:
        raise unfit(shape.place, f"`multipleOf` {float(grain)} has too many digits", "use a rounder step")
    return grain


def _multiples(shape: NumberShape, grain: Fraction, least: Fraction, most: Fraction) -> tuple[Fraction, Fraction]:
    """The first and the last multiple from `least` to `most`, without limits of the shape that are excluded."""
    first, last = math.ceil(least / grain), math.floor(most / grain)
    first += bool(shape.least and shape.least[1] and first * grain == shape.least[0])
    last -= bool(shape.most and shape.most[1] and last * grain == shape.most[0])
    return first * grain, last * grain


def _open_ends(shape: NumberShape) -> tuple[Fraction, Fraction]:
    """The limits of a number that has none; multiples have no more digits than a float keeps apart."""
    if shape.whole:
        return Fraction(WHOLE[0]), Fraction(WHOLE[1])
    step = shape.step or Fraction(1)
    largest = Fraction(LARGEST, next((10**n for n in range(FINEST) if 10**n % step.denominator == 0), 10**FINEST))
    return -largest, largest


def _rounded(value: Fraction, rounding: str) -> Fraction:
    """A limit of so few digits that no number within it is read as one that is not."""
    return Fraction(Context(DIGITS, rounding).divide(Decimal(value.numerator), Decimal(value.denominator)))


def _decimals(shape: NumberShape) -> int:
    """How many decimals a number may have: more where its limits need them."""
    needed = DECIMALS
    for limit in (shape.least, shape.most):
        if limit is not None:
            while needed < FINEST and (limit[0] * 10**needed).denominator != 1:
                needed += 1
    if shape.least and shape.most and shape.most[0] > shape.least[0]:
        while needed < FINEST and (shape.most[0] - shape.least[0]) * 10**needed < 2:
            needed += 1
    return needed


def _plain(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)
