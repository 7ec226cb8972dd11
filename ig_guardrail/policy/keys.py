"""What someone probably meant by a key that a section does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ig_guardrail.policy.faults import listed
from ig_guardrail.policy.language import POLICY
from ig_guardrail.policy.nearest import nearest
from ig_guardrail.policy.schema import ListOf, MapOf, OneOf, Section, Short
from ig_guardrail.policy.tree import Entry, Scalar, Table


def about_unknown(section: Section, entry: Entry, written: set[str]) -> tuple[str | None, str, str]:
    """The key that was meant, if one is close and not written; the words beside the carets; the advice."""
    name = entry.key.text
    home = _HOMES.get(name)
    close = nearest(name, [known for known in section.fields if known not in written], 0.8 if home else 0.6)
    if close is not None:
        return close, f"did you mean `{close}`?", f"write `{close}`"
    if name.isdigit() and isinstance(entry.value, Scalar) and not entry.value.text:
        return None, "a comma separates keys here", "for a fraction write a point, such as 0.5"
    if home is not None:
        return None, f"not a key of {section.title}", f"`{name}` is a key of {home}"
    return None, f"not a key of {section.title}", f"its keys are {listed(tuple(section.fields), 'and')}"


def misspelt(name: str, table: Table) -> Scalar | None:
    """The key of a mapping that `name` was probably meant by."""
    strange = (entry.key for entry in table.entries if entry.key.text not in _HOMES)
    return next((key for key in strange if nearest(key.text, [name])), None)


def _sections(kind: Any) -> Iterator[Section]:
    """Every section of a language, outermost first."""
    match kind:
        case Section():
            yield kind
            for one in kind.fields.values():
                yield from _sections(one.kind)
        case OneOf():
            for section in kind.sections.values():
                yield from _sections(section)
        case Short():
            yield from _sections(kind.section)
        case ListOf():
            yield from _sections(kind.item)
        case MapOf():
            yield from _sections(kind.value)


_HOMES = {name: section.title for section in reversed(list(_sections(POLICY))) for name in section.fields}
