"""What a value may be, one kind of JSON at a time, and what two such shapes have in common.

A part of a shape is named by the pointers of all schemas that apply there together; () is any value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypeAlias

from ig_guardrail.errors import brief
from ig_guardrail.schemas.reading import unfit

KeyGroup: TypeAlias = tuple[str, ...]

KINDS = ("object", "array", "string", "number", "boolean", "null")


@dataclass(frozen=True, slots=True)
class Plain:
    """true or false, or null."""

    kind: str
    place: str = "#"


@dataclass(frozen=True, slots=True)
class Literal:
    """One value."""

    value: Any
    kind: str = "literal"


@dataclass(frozen=True, slots=True)
class Way:
    """A value of another place: one of several choices, between which nothing else is said."""

    place: KeyGroup
    kind: str = "way"


@dataclass(frozen=True, slots=True)
class NumberShape:
    """Between two limits, each with whether it is excluded; a multiple of `step` if that is given."""

    place: str
    least: tuple[Fraction, bool] | None = None
    most: tuple[Fraction, bool] | None = None
    step: Fraction | None = None
    whole: bool = False
    kind: str = "number"


@dataclass(frozen=True, slots=True)
class TextShape:
    """Characters, and expressions that must be found in it."""

    place: str
    least: int = 0
    most: int | None = None
    patterns: tuple[str, ...] = ()
    kind: str = "string"


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """Items by place, then all others. contained: for each of them, some item must be of it."""

    place: str
    prefix: tuple[KeyGroup, ...] = ()
    items: KeyGroup = ()
    least: int = 0
    most: int | None = None
    contained: KeyGroup = ()
    kind: str = "array"


@dataclass(frozen=True, slots=True)
class Object:
    """Named keys, keys by pattern, and all others: `others` None is not spoken of."""

    place: str
    named: dict[str, KeyGroup] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    patterns: dict[str, KeyGroup] = field(default_factory=dict)
    others: KeyGroup | None = None
    least: int = 0
    most: int | None = None
    names: KeyGroup = ()
    speaks: bool = False
    kind: str = "object"

    def of(self, key: str) -> KeyGroup:
        """What applies to the value of a key."""
        found = (*self.named.get(key, ()), *self._by_pattern(key))
        if key in self.named or any(searched(one, key, self.place) for one in self.patterns):
            return found
        return self.others or ()

    def _by_pattern(self, key: str) -> KeyGroup:
        return tuple(p for one, part in self.patterns.items() if searched(one, key, self.place) for p in part)

    @property
    def shut(self) -> bool:
        """Whether it names keys, and leaves open what others there may be: then there are none."""
        return self.speaks and self.others is None and not self.patterns


Shape: TypeAlias = Plain | Literal | Way | NumberShape | TextShape | ArrayShape | Object


def searched(pattern: str, text: str, place: str) -> bool:
    """Whether an expression is found in a text, in linear time. Raises RequestError for one that RE2 does not read."""
    import re2

    quiet = re2.Options()
    quiet.log_errors = False
    try:
        return re2.compile(pattern, quiet).search(text) is not None
    except re2.error as error:
        raise unfit(
            place,
            f"the pattern {pattern!r:.80} cannot be followed: {brief(error, 80)}",
            "use one without look-around, as RE2 reads it",
        ) from error


def both(one: Shape, other: Shape) -> Shape | None:
    """What is of both shapes, which are of one kind; None if that is nothing."""
    match one, other:
        case NumberShape(), NumberShape():
            return _sound(
                NumberShape(
                    one.place,
                    max(one.least, other.least) if one.least and other.least else one.least or other.least,
                    _lower(one.most, other.most),
                    _lcm(one.step, other.step),
                    one.whole or other.whole,
                )
            )
        case TextShape(), TextShape():
            patterns = tuple(dict.fromkeys((*one.patterns, *other.patterns)))
            made = TextShape(one.place, max(one.least, other.least), _fewer(one.most, other.most), patterns)
            return None if made.most is not None and made.most < made.least else made
        case ArrayShape(), ArrayShape():
            return _both_arrays(one, other)
        case Object(), Object():
            return _both_objects(one, other)
    return one


def _lower(one: tuple[Fraction, bool] | None, other: tuple[Fraction, bool] | None) -> tuple[Fraction, bool] | None:
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda limit: (limit[0], not limit[1]))


def _sound(number: NumberShape) -> NumberShape | None:
    if number.least and number.most:
        gap = number.most[0] - number.least[0]
        if gap < 0 or (gap == 0 and (number.least[1] or number.most[1])):
            return None
    return number


def _lcm(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    if one is None or other is None:
        return one or other
    return Fraction(
        math.lcm(one.numerator * other.denominator, other.numerator * one.denominator),
        one.denominator * other.denominator,
    )


def _fewer(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _both_arrays(one: ArrayShape, other: ArrayShape) -> ArrayShape | None:
    size = max(len(one.prefix), len(other.prefix))
    at = [
        joined(*(array.prefix[place] if place < len(array.prefix) else array.items for array in (one, other)))
        for place in range(size)
    ]
    made = ArrayShape(
        one.place,
        tuple(at),
        joined(one.items, other.items),
        max(one.least, other.least),
        _fewer(one.most, other.most),
        joined(one.contained, other.contained),
    )
    return None if made.most is not None and made.most < made.least else made


def _both_objects(one: Object, other: Object) -> Object | None:
    if one.patterns and other.patterns and (one.others is not None or other.others is not None):
        raise unfit(other.place, "keys by pattern are joined with others", "name the keys, or keep to one pattern")
    named = {key: joined(one.of(key), other.of(key)) for key in (*one.named, *other.named)}
    patterns = {
        pattern: joined(
            one.patterns.get(pattern, one.others or ()),
            other.patterns.get(pattern, other.others or ()),
        )
        for pattern in (*one.patterns, *other.patterns)
    }
    others = None if one.others is None and other.others is None else joined(one.others or (), other.others or ())
    made = replace(
        one,
        named=named,
        required=tuple(dict.fromkeys((*one.required, *other.required))),
        patterns=patterns,
        others=others,
        least=max(one.least, other.least),
        most=_fewer(one.most, other.most),
        names=joined(one.names, other.names),
        speaks=one.speaks or other.speaks,
    )
    return None if made.most is not None and made.most < max(made.least, len(made.required)) else made


def joined(one: KeyGroup, other: KeyGroup) -> KeyGroup:
    """The pointers of both, each once."""
    return tuple(dict.fromkeys((*one, *other)))
