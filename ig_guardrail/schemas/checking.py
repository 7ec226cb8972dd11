"""The check of whole values: what the words of a grammar cannot say is looked at once a value is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any


def validator(schema: Any) -> Any:
    """A `jsonschema` validator of a schema; it follows no address, and its patterns take linear time."""
    return _kind()(schema)


def check_of(schema: Any) -> Callable[[Any], bool]:
    """Whether a value is of a schema; False also where that cannot be told."""
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    asked = validator(schema)

    def holds(value: Any) -> bool:
        try:
            return bool(asked.is_valid(value))
        except (Unresolvable, SchemaError, RecursionError, ValueError, TypeError, OverflowError):
            return False

    return holds


@cache
def _kind() -> Any:
    from jsonschema import Draft202012Validator, validators

    return validators.extend(Draft202012Validator, {"pattern": _pattern})


def _pattern(_: Any, expression: str, value: Any, __: Mapping[str, Any]) -> Iterator[Exception]:
    import re2
    from jsonschema import ValidationError

    if isinstance(value, str) and re2.search(expression, value) is None:
        yield ValidationError(f"{value!r} has no {expression!r}")
