"""A limit that a figure is held to, as a comparison's file writes it: `rescue_ratio: ">= 2"`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    "=": operator.eq,
}
_WRITTEN = re.compile(r"(<=|<|>=|=) (-?\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit on a figure's value; `relation` is one of RELATIONS."""

    relation: str
    limit: float

    def __str__(self) -> str:
        return f"{self.relation} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """False for NaN: what could not be measured was not kept."""
        return RELATIONS[self.relation](value, self.limit)


def read_bound(written: str) -> Bound:
    """The bound of a text such as "<= -0.2". Raises ValueError for any other text."""
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ValueError(f"'{written}' is no bound; write {', '.join(RELATIONS)}, a space and a number, as in '>= 2'")
    return Bound(match[1], float(match[2]))
