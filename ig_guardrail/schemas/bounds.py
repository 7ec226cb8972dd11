"""Where a value has come to a bound that the room of its answer set, not its schema: it may say less than was meant.

A value that its writer ended exactly there is told too: nothing tells the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ig_guardrail.schemas.checking import OURS, validator
from ig_guardrail.schemas.writing import marked

WHOLE = ""  # the JSON pointer of all of a value


def reached_bounds(schema: Any, room: int, value: Any) -> tuple[str, ...]:
    """JSON pointers of texts, numbers, lists and objects that may have been ended by the room, in their order.

    schema: that the value was written by, for `room` tokens. `("",)` where it cannot be told: then any part may be.
    """
    try:
        found = _bounds(_validator(json.dumps(schema), room).iter_errors(value))
    except Exception:  # a note on an answer that is whole must not cost the answer
        found = None
    return (WHOLE,) if found is None else tuple(dict.fromkeys(found))


@lru_cache(maxsize=32)
def _validator(schema: str, room: int) -> Any:
    return validator(marked(json.loads(schema), room))


def _bounds(errors: Iterable[Any]) -> list[str] | None:
    """The places of marks that were met; None if there is another error. Of several choices, what fits best counts."""
    found: list[str] = []
    for error in errors:
        if error.validator == OURS:
            found.append(_pointer(error.absolute_path))
        elif error.validator == "anyOf":
            choices: dict[Any, list[Any]] = {}
            for inner in error.context:
                choices.setdefault(inner.relative_schema_path[0], []).append(inner)
            fitting = [bounds for choice in choices.values() if (bounds := _bounds(choice)) is not None]
            if not fitting:
                return None
            best: list[str] = min(fitting, key=len)
            found += best
        else:
            return None
    return found


def _pointer(path: Iterable[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
