"""A file of settings in YAML: read whole, checked against a model, and every fault in it told with its line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ig_guardrail.errors import RequestError, brief
from ig_guardrail.fields.legible import misleading

Settings = TypeVar("Settings", bound=BaseModel)

LARGEST = 4_000_000  # bytes
OPERATORS = "see docs/operators.md for what may stand there"


def read_settings(
    path: Path, model: type[Settings], *, why: str, keys: Sequence[str], shown: Callable[[str], str] = str
) -> Settings:
    """The settings in a file. Raises RequestError with every fault and its line.

    why    what such a file is for
    keys   those that there are, at any depth, for hints
    shown  how messages call an entry of the file, where its own name is not for all eyes
    """
    try:
        if path.stat().st_size > LARGEST:
            raise unfit(path, f"it has more than {LARGEST:,} bytes", why)
        data = path.read_bytes()
    except OSError as error:
        raise unfit(path, brief(error), why) from None
    return parse_settings(data, path, model, why=why, keys=keys, shown=shown)


def parse_settings(
    data: bytes,
    where: str | Path,
    model: type[Settings],
    *,
    why: str,
    keys: Sequence[str],
    fix: str = OPERATORS,
    shown: Callable[[str], str] = str,
) -> Settings:
    """The same of what a file holds. where: the file, for messages"""
    node = None
    try:
        text = data.decode("utf-8")
        _demand_legible(text)
        node = yaml.compose(text, yaml.SafeLoader)
        given = None if node is None else _value(node, shown)
        return model.model_validate({} if given is None else given)
    except ValidationError as error:
        faults = [_told(fault, node, keys, shown) for fault in error.errors(include_url=False, include_context=False)]
        raise unfit(where, "\n  ".join(told for _, told in sorted(dict.fromkeys(faults))), why, fix) from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise unfit(where, _in_words(error), why, fix) from None


def _demand_legible(text: str) -> None:
    """Raises YAMLError for a character that shows the file otherwise than it is read."""
    found = misleading(text)
    if found is not None:
        index, what, advice = found
        line = text.count("\n", 0, index) + 1
        raise yaml.YAMLError(f"line {line}: it holds U+{ord(text[index]):04X}, and {what}; {advice}")


def _in_words(error: Exception) -> str:
    """What is no YAML, by its place; the parser draws the line, which an error of one line cannot show."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return brief(error)
    mark, tab = error.problem_mark, "found character '\\t'" in str(error.problem)
    problem = "a tab cannot indent; write spaces" if tab else f"it is no YAML here: {error.problem}"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def unfit(path: str | Path, what: str, why: str, fix: str = OPERATORS) -> RequestError:
    """The error of a file that cannot be used."""
    return RequestError(what, where=str(path), why=why, fix=fix)


def _value(node: yaml.Node, shown: Callable[[str], str]) -> Any:
    """What a node says. Raises YAMLError for a key that stands twice, of which one would be lost."""
    for name, mark in _twice(node):
        entry = mark.column == 0
        raise yaml.YAMLError(f"line {mark.line + 1}: '{shown(name) if entry else name:.100}' stands there twice")
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _twice(node: yaml.Node) -> Iterator[tuple[str, Any]]:
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _twice(one)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.value, key.start_mark
            seen.add(str(key.value))
            yield from _twice(value)


_NAMES, _NAME = "[a-z][a-z0-9-]", "needs a name of small letters, digits and `-`"
_NEEDED = {  # what pydantic misses, in words
    "dict_type": "needs a mapping, `name: value`",
    "model_type": "needs a mapping, `name: value`",
    "list_type": "needs a list, `[...]`",
    "tuple_type": "needs a list, `[...]`",
    "int_type": "needs a whole number, without quotes or a unit",
    "float_type": "needs a number, without quotes or a unit",
    "string_type": "needs text",
    "bool_type": "needs `true` or `false`",
    "missing": "is missing",
}


def _told(fault: Any, node: yaml.Node | None, keys: Sequence[str], shown: Callable[[str], str]) -> tuple[int, str]:
    """A fault with its line, 0 where there is none."""
    place = [part for part in fault["loc"] if isinstance(part, str | int) and part != "[key]"]
    line = _line(node, place)
    named = ".".join([*(shown(str(one)) for one in place[:1]), *map(str, place[1:])])
    at = f"line {line}: {named}" if line else named or "all of it"
    if fault["type"] != "extra_forbidden":
        what = fault["msg"].removeprefix("Value error, ").split(" or instance of ")[0]
        what = _NAME if _NAMES in what else what[:1].lower() + what[1:]
        return line, f"{at}: {_NEEDED.get(fault['type']) or what}"
    near = difflib.get_close_matches(str(place[-1]), [key for key in keys if key != place[-1]], n=1)
    elsewhere = " here, but in another part" if place[-1] in keys else ""
    return line, f"{at}: there is no such key" + (f"; did you mean '{near[0]}'?" if near else elsewhere)


def _line(node: yaml.Node | None, place: Sequence[str | int]) -> int:
    """The line of the deepest part of a place that stands in the file; 0 where none does."""
    line = 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
