"""The check of whole values: what the words of a grammar cannot say is looked at once a value is complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

from ig_guardrail.errors import brief
from ig_guardrail.schemas.expressions import readable
from ig_guardrail.schemas.reading import parts_of

OURS = "x-ours"  # [least, most] of a written schema: a bound that the room set, and not the schema


def validator(schema: Any) -> Any:
    """A `jsonschema` validator of a schema; it follows no address, and its patterns take linear time."""
    return _kind()(_of_today(schema))


def _of_today(schema: Any) -> Any:
    """A schema in the words of today, which names no dialect: the validator of another one would take its place."""
    copied = json.loads(json.dumps(schema))
    parts: list[Any] = [part for _, part in parts_of(copied)]
    for part in parts:
        if isinstance(part.get("$schema"), str):
            del part["$schema"]
        if isinstance(part.get("items"), list):
            part["prefixItems"], rest = part.pop("items"), part.pop("additionalItems", True)
            part["items"] = rest
    return copied


def fault_in(schema: Any, value: Any) -> str | None:
    """Where a value breaks a schema, and how; None if it does not. Any schema that a check can read will do."""
    from jsonschema.exceptions import best_match

    try:
        fault = best_match(validator(schema).iter_errors(value))
    except (RecursionError, OverflowError, ValueError):
        return "it cannot be checked"
    return None if fault is None else f"{brief(fault.message, 200)}, at {fault.json_path:.200}"


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

    of_patterns = {"pattern": _pattern, "patternProperties": _by_pattern, "additionalProperties": _others}
    return validators.extend(Draft202012Validator, {**of_patterns, "multipleOf": _multiple, OURS: _reached})


def _multiple(_: Any, step: float, value: Any, __: Mapping[str, Any]) -> Iterator[Exception]:
    """By the digits that are written: 0.07 is a multiple of 0.01, and no quotient of floats says so."""
    from jsonschema import ValidationError

    if isinstance(value, int | float) and not isinstance(value, bool) and Fraction(str(value)) % Fraction(str(step)):
        yield ValidationError(f"{value!r} is no multiple of {step!r}")


def _pattern(_: Any, expression: str, value: Any, __: Mapping[str, Any]) -> Iterator[Exception]:
    import re2
    from jsonschema import ValidationError

    if isinstance(value, str) and re2.search(readable(expression), value) is None:
        yield ValidationError(f"{value!r} has no {expression!r}")


def _by_pattern(of: Any, patterns: Mapping[str, Any], value: Any, _: Mapping[str, Any]) -> Iterator[Exception]:
    import re2

    if isinstance(value, dict):
        for pattern, part in patterns.items():
            for key in value:
                if re2.search(pattern, key) is not None:
                    yield from of.descend(value[key], part, path=key, schema_path=pattern)


def _others(of: Any, part: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Exception]:
    import re2
    from jsonschema import ValidationError

    if isinstance(value, dict):
        patterns = schema.get("patternProperties", {})
        others = [
            key
            for key in value
            if key not in schema.get("properties", {}) and not any(re2.search(one, key) is not None for one in patterns)
        ]
        if part is False and others:
            yield ValidationError(f"{others[0]!r} is no key of it")
        elif part is not False:
            for key in others:
                yield from of.descend(value[key], part, path=key)


def _reached(_: Any, limits: Sequence[float | None], value: Any, __: Mapping[str, Any]) -> Iterator[Exception]:
    """A value that has come to a bound of ours: [least, most] of its size, or of a number; [] wherever it stands."""
    from jsonschema import ValidationError

    if not limits:
        yield ValidationError("nesting ends there")
    elif isinstance(value, str | list | dict | int | float):
        size = value if isinstance(value, int | float) else len(value)
        least, most = limits
        if (least is not None and size <= least) or (most is not None and size >= most):
            yield ValidationError(f"it has come to {size}")
