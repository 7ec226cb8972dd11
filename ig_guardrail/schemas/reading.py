"""A JSON Schema as it was given: looked over for size and sense, and its parts found by JSON pointers.

Whatever stands in the way is told with the pointer of its place, before anything is decoded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from ig_guardrail.errors import RequestError

LONGEST = 300_000  # characters of a schema as JSON
DEEPEST = 120  # levels of JSON; a level of values takes two
LONGEST_NUMBER = 1_000  # bits
CHOICES = ("anyOf", "oneOf")
MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")  # of schemas, by name
LISTS = (*CHOICES, "allOf", "prefixItems")
OTHERS = ("items", "additionalItems", "unevaluatedItems", "additionalProperties", "unevaluatedProperties")
SINGLE = (*OTHERS, "propertyNames", "not", "if", "then", "else", "contains")
COUNTS = tuple(f"{most}{what}" for most in ("min", "max") for what in ("Properties", "Items", "Length", "Contains"))
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
WORDS = {*MAPS, *LISTS, *SINGLE, *COUNTS, *NUMBERS, "$ref", "type", "enum", "const", "required", "dependentRequired"}
WORDS |= {"pattern", "format", "uniqueItems"}  # all that decide what a value may be


TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}
NOTES = {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
NOTES |= {"contentMediaType", "contentEncoding"}

_SPELLED = {word.lower(): word for word in WORDS if word.isalpha()}


class SchemaDocument:
    """A schema whose parts are named by pointers, such as `#/properties/name`. Raises RequestError if it is unfit."""

    def __init__(self, schema: Any) -> None:
        faultless(schema)
        self.root = schema
        self._anchors: dict[str, str] = {}
        in_words(schema)
        for pointer, part in parts_of(schema):
            _spelled(pointer, part)
            base = "$id" in part and pointer != "#"
            if base or "$dynamicRef" in part or "$recursiveRef" in part:
                key = next(key for key in ("$id", "$dynamicRef", "$recursiveRef") if key in part)
                raise unfit(
                    pointer, f"`{key}` is not followed", "name the part by `$ref` and a pointer within the schema"
                )
            if isinstance(part.get("$anchor"), str):
                self._anchors[part["$anchor"]] = pointer

    def at(self, pointer: str) -> Any:
        """The part that a pointer names. Raises KeyError if there is none."""
        part = self.root
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            part = part[int(name)] if isinstance(part, list) else part[name]
        return part

    def referred(self, reference: Any, place: str) -> str:
        """The pointer of what `$ref` names. Raises RequestError for what is not within this schema."""
        own = self.root.get("$id") if isinstance(self.root, Mapping) else None
        if isinstance(reference, str) and isinstance(own, str) and own.rstrip("#") and reference.startswith(own):
            reference = reference[len(own) :] or "#"
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise unfit(place, f"`$ref` is {reference!r:.80}, which lies outside this schema", "put it under `$defs`")
        from urllib.parse import unquote

        name = unquote(reference)
        if name != "#" and not name.startswith("#/"):
            name = self._anchors.get(name[1:], name)
        try:
            self.at(name)
        except (KeyError, IndexError, ValueError, TypeError):
            raise unfit(place, f"`$ref` names {reference!r:.80}, which is not there", "put it under `$defs`") from None
        return "#" + name[1:].rstrip("/") if name == "#/" else name


def below(pointer: str, *names: str | int) -> str:
    """The pointer of a part within the part that `pointer` names."""
    return "/".join([pointer, *(str(name).replace("~", "~0").replace("/", "~1") for name in names)])


def unfit(place: str, what: str, fix: str) -> RequestError:
    """Why a schema cannot be followed, and where in it."""
    return RequestError(
        f"{what}, at {place:.200} of the schema",
        where="tools or response format",
        why="an answer whose form is not enforced may break who reads it",
        fix=fix,
    )


def faultless(schema: Any) -> None:
    """Raises RequestError, naming the place, unless a schema is JSON of a size and depth that can be served.

    Linear in its size, and never deeper than `DEEPEST`.
    """
    waiting: list[tuple[Any, str, tuple[int, ...]]] = [(schema, "#", ())]
    size = 0
    while waiting:
        part, place, around = waiting.pop()
        if id(part) in around:
            raise unfit(place, "it contains itself", "name the repeated part by `$ref`")
        if len(around) > DEEPEST:
            raise unfit(place, f"it is nested more than {DEEPEST} levels deep", "put inner parts under `$defs`")
        size += _length(part, place)
        if size > LONGEST:
            raise unfit(place, f"it has more than {LONGEST} characters", "use a smaller schema")
        if isinstance(part, Mapping):
            waiting += [(inner, below(place, str(key)), (*around, id(part))) for key, inner in part.items()]
            size += sum(len(key) + 6 if isinstance(key, str) else _no_key(key, place) for key in part)
        elif isinstance(part, list | tuple):
            waiting += [(inner, below(place, at), (*around, id(part))) for at, inner in enumerate(part)]
    if not isinstance(schema, Mapping | bool):
        raise no_schema("#", schema)


def in_words(schema: Any) -> None:
    """Raises RequestError for an object without a word of JSON Schema: it would allow anything."""
    said = [key for key in schema if not key.startswith(("x-", "$"))] if isinstance(schema, Mapping) else []
    if said and not WORDS & schema.keys() and not set(said) <= NOTES:
        raise unfit(
            "#",
            f"it has no word of JSON Schema, but {', '.join(f'`{key:.40}`' for key in said[:4])}",
            'give the JSON Schema itself, such as {"type": "object", "properties": {...}}',
        )


def _spelled(pointer: str, part: Mapping[str, Any]) -> None:
    """Raises RequestError for what would say nothing: a word in another spelling, or a property where words belong."""
    for key in sorted(part.keys() - WORDS - NOTES):
        meant = _SPELLED.get(key.replace("_", "").replace("-", "").lower())
        if meant is not None:
            raise unfit(pointer, f"`{key}` is no word of JSON Schema", f"write `{meant}`")
        inner = part[key]
        typed = isinstance(inner, Mapping) and isinstance(inner.get("type"), str) and inner["type"] in TYPES
        if typed and part.get("type") == "object" and "properties" not in part and not key.startswith("x-"):
            raise unfit(pointer, f"`{key}` is no word of JSON Schema", "put it under `properties`")


def _length(part: Any, place: str) -> int:
    """About how many characters a value has as JSON, those inside it left out."""
    if isinstance(part, str):
        if any("\ud800" <= letter <= "\udfff" for letter in part):
            raise unfit(place, "a text has half a character", "decode it from the encoding it is in, such as UTF-8")
        return len(part) + 4
    if isinstance(part, float) and not math.isfinite(part):
        raise unfit(place, f"{part} is no number of JSON", "leave it out")
    if isinstance(part, int) and part.bit_length() > LONGEST_NUMBER:
        raise unfit(place, "a number is larger than any float", "give it as text")
    if part is None or isinstance(part, Mapping | list | tuple | bool | int | float):
        return 8
    raise unfit(place, f"{type(part).__name__} is not of JSON", "give the schema as JSON has it")


def _no_key(key: Any, place: str) -> int:
    raise unfit(place, f"a key is {key!r:.60}, which is not text", "give the schema as JSON has it")


def parts_of(schema: Any, place: str = "#") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema within a schema, itself among them, by pointer. Raises RequestError for what is none."""
    waiting = [(place, schema)]
    while waiting:
        pointer, part = waiting.pop()
        if isinstance(part, Mapping):
            yield pointer, part
            waiting += [(below(pointer, *names), one) for names, one in inner_of(part)]
        elif not isinstance(part, bool):
            raise no_schema(pointer, part)


def no_schema(place: str, part: Any) -> RequestError:
    """What stands where a schema belongs."""
    return unfit(place, f"it is {part!r:.60}, which is no schema", "give an object of keywords")


def inner_of(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The schemas right inside a schema, each with the keys under which it stands."""
    for key in MAPS:
        if isinstance(schema.get(key), Mapping):
            yield from (((key, name), part) for name, part in schema[key].items())
    for key in (*LISTS, "items"):
        if isinstance(schema.get(key), list | tuple):
            yield from (((key, at), part) for at, part in enumerate(schema[key]))
    tuples = isinstance(schema.get("items"), list | tuple)
    yield from (((key,), schema[key]) for key in SINGLE if key in schema and not (tuples and key == "items"))


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a JSON Schema in which objects have no keys but those it names, unless it says otherwise.

    One that joins schemas by `allOf` is left as it is: its parts name each other's keys.
    """
    copied: dict[str, Any] = json.loads(json.dumps(schema))
    if not any("allOf" in part for _, part in parts_of(copied)):
        _close(copied)
    return copied


def _close(schema: dict[str, Any], beside_others: bool = False) -> None:
    """beside_others: the schema is one of several for an object that has properties of its own."""
    named = isinstance(schema.get("properties"), dict)
    for (key, *_), part in inner_of(schema):
        if isinstance(part, dict):
            _close(part, beside_others=named and key in CHOICES)
    if named and not beside_others and not {*CHOICES, "additionalProperties", "patternProperties"} & schema.keys():
        schema["additionalProperties"] = False
