"""Whether a schema that a program made is JSON at all: a tree, not too deep, of texts, numbers, lists and mappings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ig_guardrail.errors import RequestError

DEEPEST = 128  # mappings and lists in each other; readers of JSON call themselves for each, and Python ends that
MOST_PARTS = 200_000


def demand_json(given: Any, where: str) -> None:
    """Raises RequestError for what is no JSON, is too large, or has itself as a part. It reads without recursion."""
    level, parts = [given], 0
    for _ in range(DEEPEST):
        parts += len(level)
        if not level:
            return
        if parts > MOST_PARTS:
            raise _unfit(f"has more than {MOST_PARTS} parts", where)
        level = [part for one in level for part in _parts(one, where)]
    raise _unfit(f"has itself as a part, or is more than {DEEPEST} levels deep", where)


def _parts(value: Any, where: str) -> Iterable[Any]:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _unfit(f"has a key of type {type(key).__name__}", where)
            _demand_unicode(key, where)
        return value.values()
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, str):
        _demand_unicode(value, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _unfit(f"has the number {value}", where)
    elif not isinstance(value, int | float | None):
        raise _unfit(f"has a value of type {type(value).__name__}", where)
    return ()


def _demand_unicode(text: str, where: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _unfit("has half a character in a text", where)


def _unfit(what: str, where: str) -> RequestError:
    return RequestError(
        f"the schema {what}",
        where=where,
        why="a schema is JSON, and is read part by part",
        fix="write it with texts, numbers, lists and mappings only, and repeat parts by `$ref`",
    )
