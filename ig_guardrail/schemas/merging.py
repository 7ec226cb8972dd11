"""What all the schemas of one place leave of a value: references followed, parts joined, choices multiplied out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import combinations, product
from typing import Any, TypeAlias

from ig_guardrail.schemas.expressions import readable
from ig_guardrail.schemas.formats import FORMATS
from ig_guardrail.schemas.reading import (
    CHOICES,
    LISTS,
    NOTES,
    SchemaDocument,
    below,
    inner_of,
    no_schema,
    parts_of,
    unfit,
)
from ig_guardrail.schemas.shapes import (
    KINDS,
    ArrayShape,
    KeyGroup,
    Literal,
    NumberShape,
    Object,
    Plain,
    Shape,
    TextShape,
    Way,
    both,
    searched,
)

MOST_WAYS = 400  # of one place, multiplied out
MOST_STEPS = 100_000  # of all places
MOST_PATTERNS = 2  # of one text; the states of many together grow without a limit
LONGEST_PATTERN = 2_000  # characters

SILENT = NOTES | {"$comment", "$defs", "definitions", "$schema", "$id", "$anchor"}

_UNREAD = ("dependencies", "$recursiveAnchor")
_CHECKED = ("not", "contains", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems")

_Step: TypeAlias = tuple[str, tuple[str, ...]]  # a schema that waits, and what led to it


class Merging:
    """The shapes of every place of a document. `checked`: places of words that only a check of whole values keeps."""

    def __init__(self, document: SchemaDocument) -> None:
        self.document = document
        self.checked: dict[str, str] = {}
        self._known: dict[KeyGroup, tuple[Shape, ...]] = {}
        self._steps = 0

    def shapes(self, together: KeyGroup) -> tuple[Shape, ...]:
        """The shapes of what all these schemas allow; none if nothing is. Raises RequestError for what is not read."""
        if together not in self._known:
            self._known[together] = tuple(self._choices(together) or self._found(together))
        return self._known[together]

    def _choices(self, together: KeyGroup) -> list[Shape]:
        """The choices of a place that says nothing but `anyOf`; they are places of their own."""
        if len(together) != 1:
            return []
        part = self._at(together[0])
        if part.keys() - SILENT != {"anyOf"}:
            return []
        return [Way((below(together[0], "anyOf", at),)) for at in range(len(_list(part, "anyOf", together[0])))]

    def _found(self, together: KeyGroup) -> list[Shape]:
        found: list[Shape] = []
        for flat in self._ways(together):
            listed = next((pointer for pointer in flat if {"enum", "const"} & self._at(pointer).keys()), None)
            if listed is None:
                found += [shape for kind in KINDS if (shape := self._of_kind(kind, flat)) is not None]
                continue
            given = self._at(listed)
            values = given["enum"] if "enum" in given else [given["const"]]
            if not isinstance(values, list):
                raise unfit(below(listed, "enum"), "it is no list", "list the values")
            beside = [one for one in flat if one != listed or self._at(one).keys() - SILENT - {"enum", "const"}]
            found += [Literal(value) for value in values if all(self.holds(value, one, listed) for one in beside)]
        return list({json.dumps(one.value) if isinstance(one, Literal) else id(one): one for one in found}.values())

    def _at(self, pointer: str) -> Mapping[str, Any]:
        part = self.document.at(pointer)
        if isinstance(part, bool):
            return {} if part else {"enum": []}
        if not isinstance(part, Mapping):
            raise no_schema(pointer, part)
        return part

    # ------------------------------------------------------------------------------------------ what applies together

    def _ways(self, together: KeyGroup) -> list[list[str]]:
        """Every choice of schemas that hold together, with all references and joins followed."""
        done: list[tuple[list[_Step], list[str]]] = [([(pointer, ()) for pointer in together], [])]
        ways: list[list[str]] = []
        while done:
            waiting, flat = done.pop()
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise unfit(flat[0] if flat else "#", "its parts are joined in too many ways", "join fewer")
            if not waiting:
                ways.append(flat)
            else:
                done += reversed(self._one_step(*waiting[0], waiting[1:], flat))
            if len(ways) + len(done) > MOST_WAYS:
                raise unfit(flat[0] if flat else "#", f"its choices make more than {MOST_WAYS} ways", "join fewer")
        return ways

    def _one_step(
        self, pointer: str, chain: tuple[str, ...], rest: list[_Step], flat: list[str]
    ) -> list[tuple[list[_Step], list[str]]]:
        """What waits behind a schema and what holds with it, for each of its choices. chain: what led to it."""
        if pointer in chain:
            raise unfit(chain[-1], "it leads back to itself, and says nothing", "give it a type")
        if pointer in flat:
            return [(rest, flat)]
        part, more, led = self._at(pointer), [*flat, pointer], (*chain, pointer)
        self._note(pointer, part)
        joined = [(below(pointer, "allOf", at), led) for at in range(len(_list(part, "allOf", pointer)))]
        if "$ref" in part:
            joined.insert(0, (self.document.referred(part["$ref"], below(pointer, "$ref")), led))
        options = [
            [(below(pointer, key, at), led) for at in range(len(_list(part, key, pointer)))]
            for key in CHOICES
            if key in part
        ]
        return [([*chosen, *joined, *rest], more) for chosen in product(*options)]

    def _note(self, pointer: str, part: Mapping[str, Any]) -> None:
        """Refuse what is not read, and note what is left to a check."""
        self._refuse(pointer, part)
        left = [key for key in _CHECKED if key in part]
        if part.get("uniqueItems"):
            left.append("uniqueItems")
        if "if" in part and ("then" in part or "else" in part):
            left.append("if")
        if "oneOf" in part and len(part["oneOf"]) > 1 and not self._apart(pointer, len(part["oneOf"])):
            left.append("oneOf")
        for key in left:
            self.checked.setdefault(pointer, key)
        words = {*left, "then", "else"} if "if" in left else set(left)
        for names, _ in inner_of(part):
            if names[0] in words:
                self.demand_sense(below(pointer, *names))

    def _refuse(self, pointer: str, part: Mapping[str, Any]) -> None:
        """Raises RequestError for words that are not followed."""
        for key in _UNREAD:
            if key in part:
                raise unfit(
                    below(pointer, key), f"`{key}` is not followed", "use `dependentRequired`, or name it apart"
                )

    def demand_sense(self, pointer: str) -> None:
        """Raises RequestError where a schema that only the check reads, or one that it leads to, makes no sense."""
        waiting = [pointer]
        while waiting:
            place = waiting.pop()
            if place in self._sensible:
                continue
            self._sensible.add(place)
            for inner, part in parts_of(self.document.at(place), place):
                self._refuse(inner, part)
                _kinds(part, inner)
                for key in (*LISTS, "enum"):
                    _list(part, key, inner)
                for kind in KINDS:
                    self._shape(kind, part, inner)
                if "$ref" in part:
                    waiting.append(self.document.referred(part["$ref"], below(inner, "$ref")))

    def _apart(self, pointer: str, count: int) -> bool:
        """Whether no value can be of two branches of a `oneOf`."""
        if (pointer,) in self._weighed:
            return False
        self._weighed.add((pointer,))
        branches = [self.shapes((below(pointer, "oneOf", at),)) for at in range(count)]
        self._weighed.discard((pointer,))
        return all(
            self._differ(one, other) and self._differ(other, one)
            for first, second in combinations(branches, 2)
            for one in first
            for other in second
        )

    @cached_property
    def _sensible(self) -> set[str]:
        return set()

    @cached_property
    def _weighed(self) -> set[KeyGroup]:
        return set()

    def _differ(self, one: Shape, other: Shape, deep: bool = True) -> bool:
        """Whether no value of `one`, as it will be written, is a value of `other`."""
        if isinstance(one, Way) or isinstance(other, Way):
            return False
        if isinstance(one, Literal) and isinstance(other, Literal):
            return not _equal(one.value, other.value)
        if isinstance(one, Literal) or isinstance(other, Literal):
            value, shape = (one.value, other) if isinstance(one, Literal) else (other.value, one)  # type: ignore[union-attr]
            return kind_of(value) != shape.kind
        if one.kind != other.kind:
            return True
        if not (deep and isinstance(one, Object) and isinstance(other, Object)):
            return False
        if one.shut and any(key not in one.named and key not in one.required for key in other.required):
            return True
        return any(
            all(self._differ(a, b, False) for a in self.shapes(one.of(key)) for b in self.shapes(other.of(key)))
            for key in one.required
            if key in other.required and key in one.named and key in other.named
        )

    def holds(self, value: Any, pointer: str, listed: str = "") -> bool:
        """Whether a value of an `enum` is of a schema that stands beside it. listed: where the `enum` itself stands."""
        part = self._at(pointer)
        if pointer == listed:
            part = {key: one for key, one in part.items() if key != ("enum" if "enum" in part else "const")}
        return bool(self._validator.evolve(schema=part).is_valid(value))

    @cached_property
    def _validator(self) -> Any:
        from ig_guardrail.schemas.checking import validator

        return validator(self.document.root)

    # -------------------------------------------------------------------------------------------------- of one kind

    def _of_kind(self, kind: str, flat: Sequence[str]) -> Shape | None:
        made: Shape | None = _ANY[kind](flat[0] if flat else "#")
        for pointer in flat:
            part = self._at(pointer)
            if kind not in _kinds(part, pointer):
                return None
            made = both(made, self._shape(kind, part, pointer)) if made is not None else None
        if isinstance(made, TextShape) and len(made.patterns) > MOST_PATTERNS:
            raise unfit(made.place, f"{len(made.patterns)} patterns are joined", f"join at most {MOST_PATTERNS}")
        return made

    def _shape(self, kind: str, part: Mapping[str, Any], pointer: str) -> Shape:
        match kind:
            case "number":
                return _number(part, pointer)
            case "string":
                return _text(part, pointer)
            case "array":
                return self._array(part, pointer)
            case "object":
                return self._object(part, pointer)
        return Plain(kind, pointer)

    def _array(self, part: Mapping[str, Any], pointer: str) -> ArrayShape:
        tuples = "items" if isinstance(part.get("items"), list) else "prefixItems"
        rest = "additionalItems" if tuples == "items" else "items"
        prefix = tuple((below(pointer, tuples, at),) for at in range(len(_list(part, tuples, pointer))))
        items = (below(pointer, rest),) if rest in part else ()
        least, most = _count(part, "minItems", pointer) or 0, _count(part, "maxItems", pointer)
        for key in ("minContains", "maxContains"):
            _count(part, key, pointer)
        if not isinstance(part.get("uniqueItems", False), bool):
            raise unfit(below(pointer, "uniqueItems"), "it is neither true nor false", "give one of them")
        contained = (below(pointer, "contains"),) if "contains" in part else ()
        return ArrayShape(pointer, prefix, items, least, most, contained)

    def _object(self, part: Mapping[str, Any], pointer: str) -> Object:
        given, by_pattern = _map(part, "properties", pointer), _map(part, "patternProperties", pointer)
        required = _names(part, "required", pointer)
        needed = _map(part, "dependentRequired", pointer)
        for key in needed:
            _names(needed, key, below(pointer, "dependentRequired"))
        for pattern in by_pattern:
            searched(pattern, "", below(pointer, "patternProperties", pattern))
        own = Object(
            pointer,
            {key: (below(pointer, "properties", key),) for key in given},
            tuple(dict.fromkeys(required)),
            {pattern: (below(pointer, "patternProperties", pattern),) for pattern in by_pattern},
            (below(pointer, "additionalProperties"),) if "additionalProperties" in part else None,
            _count(part, "minProperties", pointer) or 0,
            _count(part, "maxProperties", pointer),
            (below(pointer, "propertyNames"),) if "propertyNames" in part else (),
            "properties" in part,
        )
        named = {key: own.of(key) for key in own.named}
        return Object(
            own.place, named, own.required, own.patterns, own.others, own.least, own.most, own.names, own.speaks
        )


_ANY: Mapping[str, Any] = {
    "number": NumberShape,
    "string": TextShape,
    "array": ArrayShape,
    "object": Object,
    "boolean": lambda place: Plain("boolean", place),
    "null": lambda place: Plain("null", place),
}


def kind_of(value: Any) -> str:
    """The kind of a JSON value."""
    if value is None:
        return "null"
    kinds = ((bool, "boolean"), (int | float, "number"), (str, "string"), (list | tuple, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")


def _equal(one: Any, other: Any) -> bool:
    """Whether two values of JSON are one: whatever the order of keys, and 1 is 1.0."""
    if kind_of(one) != kind_of(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _kinds(part: Mapping[str, Any], pointer: str) -> set[str]:
    given = part.get("type", list(KINDS))
    names = given if isinstance(given, list | tuple) else [given]
    strange = [name for name in names if name not in (*KINDS, "integer")]
    if strange:
        raise unfit(below(pointer, "type"), f"{strange[0]!r:.60} is no type", f"use one of {', '.join(KINDS)}, integer")
    return {"number" if name == "integer" else name for name in names}


def _number(part: Mapping[str, Any], pointer: str) -> NumberShape:
    names = part.get("type", ())
    names = names if isinstance(names, list | tuple) else [names]
    least, most = _limit(part, "minimum", pointer), _limit(part, "maximum", pointer)
    above, below_ = _limit(part, "exclusiveMinimum", pointer), _limit(part, "exclusiveMaximum", pointer)
    if above is not None and (least is None or above[0] >= least[0]):
        least = (above[0], True)
    if below_ is not None and (most is None or below_[0] <= most[0]):
        most = (below_[0], True)
    step = _limit(part, "multipleOf", pointer)
    if step is not None and step[0] <= 0:
        raise unfit(below(pointer, "multipleOf"), "it is not above 0", "give a number above 0")
    whole = "integer" in names and "number" not in names
    return NumberShape(pointer, least, most, step[0] if step else None, whole)


def _text(part: Mapping[str, Any], pointer: str) -> TextShape:
    patterns = []
    if "pattern" in part:
        if not isinstance(part["pattern"], str) or len(part["pattern"]) > LONGEST_PATTERN:
            raise unfit(below(pointer, "pattern"), "it is no text of a fit length", "give a shorter expression")
        pattern = readable(part["pattern"])
        searched(pattern, "", below(pointer, "pattern"))  # unless it cannot be read
        patterns.append(pattern)
    known = FORMATS.get(part["format"]) if isinstance(part.get("format"), str) else None
    patterns += [known] if known else []
    least, most = _count(part, "minLength", pointer) or 0, _count(part, "maxLength", pointer)
    return TextShape(pointer, least, most, tuple(patterns))


def _limit(part: Mapping[str, Any], key: str, pointer: str) -> tuple[Fraction, bool] | None:
    value = part.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unfit(below(pointer, key), f"it is {value!r:.60}, which is no number", "give a number")
    return Fraction(str(value)), False


def _count(part: Mapping[str, Any], key: str, pointer: str) -> int | None:
    value = part.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise unfit(below(pointer, key), f"it is {value!r:.60}, which is no count", "give a whole number from 0")
    return int(value)


def _list(part: Mapping[str, Any], key: str, pointer: str) -> Sequence[Any]:
    value = part.get(key, [])
    if not isinstance(value, list | tuple):
        raise unfit(below(pointer, key), "it is no list", "list its parts")
    return value


def _names(part: Mapping[str, Any], key: str, pointer: str) -> Sequence[str]:
    names = _list(part, key, pointer)
    if not all(isinstance(name, str) for name in names):
        raise unfit(below(pointer, key), "it lists what is no key", "list names")
    return names


def _map(part: Mapping[str, Any], key: str, pointer: str) -> Mapping[str, Any]:
    value = part.get(key, {})
    if not isinstance(value, Mapping):
        raise unfit(below(pointer, key), "it is no object", "give its parts by name")
    return value
