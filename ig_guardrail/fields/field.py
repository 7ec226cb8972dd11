"""The words a language is described in: kinds of values, with type, unit, range, default and meaning.

One description serves the checker, the reference page and the JSON Schema, so they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


def plainly(number: float) -> str:
    """A number in words: a whole one to its last digit, any other as short as it reads back."""
    return str(int(number)) if number == int(number) else f"{number:.15g}"


@dataclass(frozen=True, slots=True)
class NumberKind:
    """A finite decimal in [low, high], or (low, high] if `above`. `unit`: what it counts; `why`, `help`: for faults.

    It is a float, or an int where digits alone say a whole number that no float may keep.
    """

    low: float
    high: float
    unit: str
    above: bool = False
    why: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class IntegerKind:
    """A whole number in [low, high] of `unit`."""

    low: int
    high: int
    unit: str


@dataclass(frozen=True, slots=True)
class BooleanKind:
    """`true` or `false`, and no other spelling."""


@dataclass(frozen=True, slots=True)
class ChoiceKind:
    """One of `words`. apart: words that mean something elsewhere, and have a rule of their own here, P042."""

    words: tuple[str, ...]
    code: str = "P019"
    apart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextKind:
    """Free text of at most `most` characters, not blank; outer white space is dropped.

    note: what is told of a word without quotes that may be something else than text
    """

    most: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class FormatKind:
    """A short text of one form: `pattern` in full, described by `what`, with an example.

    is_path: tells a path, which starts at the policy's folder, from other texts of the form; None if none is a path
    normal: the usual spelling of a text of the form, None for one that stands for nothing
    plain: whether it needs no quotes, though some YAML reader may take it for something else than text
    coined: whether its author makes it up, so that another text of the form does as well
    hint: what to write instead of a text that is not of the form; "" where the form alone can tell
    """

    what: str
    pattern: str
    example: str
    reserved: tuple[str, ...] = ()
    is_path: Callable[[str], bool] | None = None
    normal: Callable[[str], str | None] | None = None
    plain: bool = False
    coined: bool = False
    hint: Callable[[str], str] | None = None

    def is_a_path(self, text: str) -> bool:
        """Whether a text of the form is a path."""
        return self.is_path is not None and self.is_path(text)


@dataclass(frozen=True, slots=True)
class HazardKind:
    """A hazard, aliases accepted."""


@dataclass(frozen=True, slots=True)
class HazardsKind:
    """A list of hazards, or the word `all`."""


@dataclass(frozen=True, slots=True)
class ExpressionKind:
    """A cost expression."""


@dataclass(frozen=True, slots=True)
class RegexKind:
    """A regular expression in RE2's syntax of at most `most` characters, that matches at least one character."""

    most: int


@dataclass(frozen=True, slots=True)
class ArgumentsKind:
    """A mapping of names to any values of JSON, such as the arguments of a call."""


@dataclass(frozen=True, slots=True)
class ShortForm:
    """A mapping that may be written as the value of one of its keys, `key`, alone."""

    section: Section
    key: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """Between `least` and `most` items of one kind; `unique` items differ from each other."""

    item: Kind
    least: int
    most: int
    unique: bool = False


@dataclass(frozen=True, slots=True)
class MapOf:
    """Between `least` and `most` values of one kind under keys of one form; the keys `needs` are always there.

    beside: keys of other kinds that may stand among them, and are no keys of that form
    """

    key: FormatKind | HazardKind
    value: Kind
    least: int
    most: int
    needs: tuple[str, ...] = ()
    beside: Mapping[str, Field] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a section.

    default   what counts when it is not written; None where nothing does
    computed  the default in words, where it depends on other keys
    example   a value to show, as YAML
    """

    kind: Kind
    doc: str
    example: str
    required: bool = False
    default: Any = None
    computed: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with known keys. `title` is how messages and the reference call it.

    notes: whether it may hold the keys `description`, `labels` and those that begin with `x-`, for readers alone
    """

    title: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    notes: bool = False

    def defaults(self) -> dict[str, Any]:
        """The fixed defaults of its optional keys."""
        return {name: one.default for name, one in self.fields.items() if not one.required}


@dataclass(frozen=True, slots=True)
class OneOf:
    """A mapping whose key `tag` says which section its other keys belong to."""

    title: str
    tag: str
    sections: Mapping[str, Section]


Kind: TypeAlias = (
    NumberKind
    | IntegerKind
    | BooleanKind
    | ChoiceKind
    | TextKind
    | FormatKind
    | HazardKind
    | HazardsKind
    | ExpressionKind
    | RegexKind
    | ArgumentsKind
    | ShortForm
    | ListOf
    | MapOf
    | Section
    | OneOf
)
