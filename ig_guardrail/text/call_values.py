"""Arguments of calls in the ways in which formats write them: JSON, texts between tags, keywords of Python.

Between tags a text stands as it is, and anything else as JSON; the schema tells which. What may be either is JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ig_guardrail.types import Tool, ToolFormat

DEEPEST = 100  # lists and objects within each other, where they are read as Python writes them
_STRING_END = re.compile(r"[^'\"\\]*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"\w+")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_BLANK = re.compile(r"[ \t\r\n]*")


def write_arguments(arguments: Mapping[str, Any], tool: Tool | None, format: ToolFormat) -> str:
    """The arguments of a call, as the format has them."""
    if format.values == "json":
        return json.dumps(arguments, ensure_ascii=False, default=str)
    if format.values == "python":
        return ", ".join(f"{key}={_in_python(value, format)}" for key, value in arguments.items())
    before, between, behind = format.tag
    return "".join(
        f"{before}{key}{between}{_between_tags(value, tool, key)}{behind}" for key, value in arguments.items()
    )


def read_arguments(source: str, place: int, tool: Tool | None, format: ToolFormat) -> tuple[Any, int] | None:
    """The arguments that stand at a place of a call, and where they end; None for what is none."""
    try:
        if format.values == "json":
            return json.JSONDecoder().raw_decode(source, _blank(source, place))
        return _keywords(source, place) if format.values == "python" else _tagged(source, place, tool, format)
    except (ValueError, RecursionError):
        return None


def kind_of(tool: Tool | None, key: str) -> str:
    """What an argument between tags is: a "text" as it stands, another "value" as JSON, or "either", as JSON too."""
    properties = {} if tool is None else tool.parameters.get("properties", {})
    if tool is None or not isinstance(properties, Mapping) or key not in properties:
        return "text"
    kinds = _kinds(properties[key], tool.parameters, 0)
    return "either" if len(kinds) > 1 and "string" in kinds else "text" if kinds == {"string"} else "value"


def _kinds(schema: Any, root: Mapping[str, Any], depth: int) -> set[str]:
    """The types that a schema names, "string" and others; both where it names none."""
    both = {"string", "other"}
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return both
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, Sequence) and not isinstance(values, str):
        return {"string" if isinstance(value, str) else "other" for value in values} or both
    named = schema.get("type")
    if isinstance(named, str):
        return {"string" if named == "string" else "other"}
    if isinstance(named, Sequence):
        return {"string" if one == "string" else "other" for one in named} or both
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), Sequence):
            return {kind for one in schema[key] for kind in _kinds(one, root, depth + 1)} or both
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        found: Any = root
        for name in reference[2:].split("/"):
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return _kinds(found, root, depth + 1)
    return both


def _between_tags(value: Any, tool: Tool | None, key: str) -> str:
    plain = isinstance(value, str) and kind_of(tool, key) == "text"
    return value if plain else json.dumps(value, ensure_ascii=False, default=str)


def _tagged(source: str, place: int, tool: Tool | None, format: ToolFormat) -> tuple[dict[str, Any], int]:
    before, between, behind = map(str.strip, format.tag)
    found: dict[str, Any] = {}
    while source.startswith(before, start := _blank(source, place)):
        value_at = source.index(between, start + len(before))
        key = source[start + len(before) : value_at].strip()
        end = source.index(behind, value_at + len(between))
        text = source[value_at + len(between) : end]
        if format.tag[1].endswith("\n"):
            text = text.removeprefix("\r").removeprefix("\n")
        if format.tag[2].startswith("\n"):
            text = text.removesuffix("\n").removesuffix("\r")
        found[key], place = _meant(text, kind_of(tool, key)), end + len(behind)
    return found, place


def _meant(text: str, kind: str) -> Any:
    if kind == "text":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _in_python(value: Any, format: ToolFormat) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_in_python(str(key), format)}: {_in_python(one, format)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_in_python(one, format) for one in value)}]"
    if value is None or isinstance(value, bool):
        return format.words[2 if value is None else 1 - value]
    return json.dumps(value, ensure_ascii=False, default=str)


def _keywords(source: str, place: int) -> tuple[dict[str, Any], int]:
    """Keywords up to the bracket that closes them, which is not read."""
    found: dict[str, Any] = {}
    place = _blank(source, place)
    while not source.startswith(")", place):
        if found:
            place = _sign(source, place, ",")
        key = _WORD.match(source, _blank(source, place))
        if key is None:
            raise ValueError("a keyword is missing")
        found[key[0]], place = _value(source, _sign(source, key.end(), "="), 0)
        place = _blank(source, place)
    return found, place


def _value(source: str, place: int, depth: int) -> tuple[Any, int]:
    place = _blank(source, place)
    sign = source[place : place + 1]
    if depth > DEEPEST or not sign:
        raise ValueError("nested too deeply, or cut off")
    if sign in "'\"":
        return _string(source, place)
    if sign in "[(":
        return _items(source, place + 1, "]" if sign == "[" else ")", depth)
    if sign == "{":
        return _entries(source, place + 1, depth)
    number = _NUMBER.match(source, place)
    if number is not None:
        return json.loads(number[0]), number.end()
    word = _WORD.match(source, place)
    if word is None or word[0] not in _WORDS:
        raise ValueError("what is no value")
    return _WORDS[word[0]], word.end()


def _items(source: str, place: int, end: str, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while not source.startswith(end, place := _blank(source, place)):
        if found:
            place = _blank(source, _sign(source, place, ","))
            if source.startswith(end, place):
                break
        value, place = _value(source, place, depth + 1)
        found.append(value)
    return found, place + 1


def _entries(source: str, place: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while not source.startswith("}", place := _blank(source, place)):
        if found:
            place = _sign(source, place, ",")
        key, place = _value(source, place, depth + 1)
        if not isinstance(key, str):
            raise ValueError("a key is a text")
        found[key], place = _value(source, _sign(source, place, ":"), depth + 1)
    return found, place + 1


def _string(source: str, place: int) -> tuple[str, int]:
    quote, place, said = source[place], place + 1, list[str]()
    while True:
        plain = _STRING_END.match(source, place)
        assert plain is not None  # it matches the empty text
        said.append(plain[0])
        place = plain.end()
        if source.startswith(quote, place):
            return "".join(said).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), place + 1
        if source[place : place + 1] in ("'", '"'):
            said.append(source[place])
            place += 1
            continue
        escape = _ESCAPE.match(source, place)
        if escape is None:
            raise ValueError("a text that does not end")
        code = escape[1] or escape[2]
        said.append(chr(int(code, 16)) if code else _NAMED.get(escape[3], escape[3]))
        place = escape.end()


def _sign(source: str, place: int, sign: str) -> int:
    place = _blank(source, place)
    if not source.startswith(sign, place):
        raise ValueError(f"no {sign}")
    return place + 1


def _blank(source: str, place: int) -> int:
    found = _BLANK.match(source, place)
    return place if found is None else found.end()


@lru_cache(maxsize=64)
def quoting(format: ToolFormat) -> tuple[tuple[str, str], ...]:
    """What opens and what closes a part of the arguments in which no sign of the format counts."""
    if format.values == "tags":
        return ((format.tag[0].strip(), format.tag[2].strip()),)
    return (('"', '"'),) if format.values == "json" else (("'", "'"), ('"', '"'))
