"""TypedDicts as LangChain reads them: without the marks of keys (`NotRequired` and others).

And what it leaves out then: which keys may be missing, and where null may stand.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from typing_extensions import ReadOnly, is_typeddict

_MARKS = (NotRequired, Required, ReadOnly)


def unmarked(given: Any) -> Any:
    """A TypedDict whose keys have no marks, nor those of TypedDicts in it; anything else is given back."""
    return _unmarked(given, {}) if is_typeddict(given) else given


def _unmarked(given: Any, known: dict[Any, Any]) -> Any:
    """known: what was made of TypedDicts before, so that each is one class, however often it is named."""
    if is_typeddict(given):
        if given not in known:
            known[given] = _plain(given, known)
        return known[given]
    origin, inner = get_origin(given), get_args(given)
    if origin in _MARKS:
        return _unmarked(inner[0], known)
    if origin is None or origin is Literal or not inner:
        return given
    if origin is Annotated:
        return Annotated[(_unmarked(inner[0], known), *inner[1:])]
    parts = tuple(_unmarked(one, known) for one in inner)
    if parts == inner:
        return given
    return functools.reduce(operator.or_, parts) if origin in (Union, UnionType) else origin[parts]


def as_hinted(schema: Mapping[str, Any], hint: Any) -> Mapping[str, Any]:
    """The schema that LangChain has of a hint, with null where that may be, and required only what must be there."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in _MARKS or origin is Annotated:
        return as_hinted(schema, inner[0])
    if origin in (Union, UnionType):
        others = [one for one in inner if one is not NoneType]
        made = as_hinted(schema, others[0]) if len(others) == 1 else schema
        told = len(others) == len(inner) or {"type": "null"} in schema.get("anyOf", ())
        return made if told else {"anyOf": [made, {"type": "null"}]}
    if is_typeddict(hint):
        hints, given = _hints(hint), schema.get("properties", {})
        parts = {key: as_hinted(part, hints.get(key)) for key, part in given.items()}
        needed = [key for key in schema.get("required", ()) if not _may_be_missing(key, hint, hints)]
        return {**schema, "properties": parts, **({"required": needed} if "required" in schema else {})}
    below = {list: "items", dict: "additionalProperties"}.get(origin) if origin is not None else None
    if below is not None and inner and isinstance(schema.get(below), Mapping):
        return {**schema, below: as_hinted(schema[below], inner[-1])}
    return schema


def _may_be_missing(key: str, given: Any, hints: Mapping[str, Any]) -> bool:
    """Whether a TypedDict may lack a key, also where its annotations are read late."""
    own = _marks(hints.get(key))
    return NotRequired in own or (key in given.__optional_keys__ and Required not in own)


def _plain(given: Any, known: dict[Any, Any]) -> Any:
    hints = {key: _unmarked(hint, known) for key, hint in _hints(given).items()}
    if hints == _hints(given):
        return given
    made: Any = TypedDict(given.__name__, hints)  # type: ignore[misc]
    made.__doc__ = given.__doc__
    return made


def _hints(given: Any) -> dict[str, Any]:
    try:
        return get_type_hints(given, include_extras=True)
    except NameError:  # of a class that is only known where the TypedDict was made
        return dict(given.__annotations__)


def _marks(hint: Any) -> set[Any]:
    """The marks around a type."""
    origin = get_origin(hint)
    if origin in _MARKS or origin is Annotated:
        return {origin} | _marks(get_args(hint)[0])
    return set()
