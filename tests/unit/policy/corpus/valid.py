"""Edits that leave a policy valid: those that change no meaning, and keep its hash, and those that change some."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml

from ig_guardrail.fields.field import ChoiceKind, Field, HazardKind, IntegerKind, Kind, NumberKind, TextKind
from ig_guardrail.policy.language.names import OWN
from ig_guardrail.types.hazards import ALIASES
from tests.unit.policy.corpus.places import Place, places, sections, with_entry, without


@dataclass(frozen=True)
class ValidEdit:
    """A text after one edit. keeps: whether it means the same as before."""

    way: str
    base: str
    text: str | bytes
    keeps: bool = True


def valid(base: str, text: str, language: Kind, random: Random) -> Iterator[ValidEdit]:
    """Every valid edit of a text, `language` being what its notes and defaults are of."""
    found = places(text, language)
    for way, new in (*_written_otherwise(text, random), *_characters(text)):
        yield ValidEdit(way, base, new)
    for way, new in _aliases(found):
        yield ValidEdit(way, base, new)
    for place in found:
        for way, new in (*_values(place), *_entries(place)):
            yield ValidEdit(way, base, new)
        for way, new in _meanings(place):
            yield ValidEdit(way, base, new, keeps=False)


def _written_otherwise(text: str, random: Random) -> Iterator[tuple[str, str]]:
    """The same data, written by another program or hand."""
    data = yaml.load(text, Loader=yaml.BaseLoader)
    exact = yaml.safe_load(text)
    yield "all in blocks", yaml.safe_dump(exact, default_flow_style=False, sort_keys=False)
    yield "all in brackets", yaml.safe_dump(exact, default_flow_style=True, sort_keys=False, width=100)
    yield "keys sorted", yaml.safe_dump(exact, sort_keys=True, allow_unicode=True)
    yield "JSON", json.dumps(exact, indent=2)
    yield "JSON", json.dumps(exact)
    yield "wide indentation", yaml.safe_dump(exact, indent=6, sort_keys=False)
    yield "narrow lines", yaml.safe_dump(exact, width=30, sort_keys=False)
    yield "folded by quotes", yaml.safe_dump(exact, width=30, default_style=None, default_flow_style=True)
    keys = list(data)
    for _ in range(3):
        random.shuffle(keys)
        yield "top keys in another order", yaml.safe_dump({key: exact[key] for key in keys}, sort_keys=False)


def _characters(text: str) -> Iterator[tuple[str, str | bytes]]:
    lines = text.splitlines()
    yield "CRLF", "\r\n".join(lines) + "\r\n"
    yield "CR", "\r".join(lines) + "\r"
    yield "byte-order mark", b"\xef\xbb\xbf" + text.encode()
    yield "byte-order mark", "\ufeff" + text
    yield "document start", "---\n" + text
    yield "document end", text + "...\n"
    yield "no line break at the end", text.rstrip("\n")
    yield "line breaks at the end", text + "\n\n  \n"
    free = _free_lines(text)
    bare = [_plain_end(line) and {index, index + 1} <= free for index, line in enumerate(lines)]
    yield (
        "white space at ends of lines",
        "".join(f"{line}{'  ' * one}\n" for line, one in zip(lines, bare, strict=True)),
    )
    yield "YAML version", f"%YAML 1.1\n---\n{text}"
    yield "editor line", f"# yaml-language-server: $schema=schema.json\n{text}"
    yield "editor line", f"# vim: set ts=2 :\n# -*- coding: utf-8 -*-\n{text}"
    for index, line in enumerate(lines):
        above, below = "\n".join(lines[:index]), "\n".join(lines[index:])
        if index in free:
            for comment in ("# Why: see the wiki. {[\"'", "", "          # far off", "#", "#\ttab: x"):
                yield "comment or blank line", f"{above}\n{comment}\n{below}\n" if index else f"{comment}\n{below}\n"
            if _plain_end(line) and index + 1 in free:
                yield "comment behind", "\n".join([*lines[:index], f"{line}   # é: {{x}}", *lines[index + 1 :]]) + "\n"


def _free_lines(text: str) -> set[int]:
    """Lines before which a comment may stand: not inside a text, nor behind a block, where an indented one is of it."""
    inside: set[int] = set()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.ScalarEvent) and event.start_mark.line != event.end_mark.line:
            inside |= set(range(event.start_mark.line + 1, event.end_mark.line + (event.style in ("|", ">"))))
    return set(range(text.count("\n") + 1)) - inside


def _plain_end(line: str) -> bool:
    """Whether what stands behind a line is not part of it."""
    return bool(line.strip()) and "#" not in line and not re.search(r"[|>][-+]?$", line)


def _values(place: Place) -> Iterator[tuple[str, str]]:
    """One value, written otherwise."""
    kind, written = place.kind, place.written
    if not place.splices:
        return
    if isinstance(kind, NumberKind | IntegerKind):
        number = written.strip()
        yield "number written otherwise", place.exchanged(f"+{number}")
        if isinstance(kind, NumberKind):
            padded = f"{number}0" if "." in number else f"{number}.0"
            for other in (padded, f"{number}e0", f"{number}E+00", f"{float(number) * 10:.10g}e-1"):
                yield "number written otherwise", place.exchanged(other)
            if number.startswith("0."):
                yield "number written otherwise", place.exchanged(number[1:])
    elif isinstance(place.value, yaml.ScalarNode) and not isinstance(kind, IntegerKind):
        text = place.value.value
        if text not in ("true", "false"):
            yield "quotes", place.exchanged(json.dumps(text))
            yield "quotes", place.exchanged("'" + text.replace("'", "''") + "'")
            escaped = "".join(f"\\u{ord(one):04x}" for one in text)
            yield "escapes", place.exchanged(f'"{escaped}"')
        yield "anchor", place.exchanged(f"&own {written}")
    elif place.value.flow_style and written[1:-1].strip():
        yield "comma at the end", place.exchanged(f"{written[:-1]},{written[-1]}")
        yield "spaces in brackets", place.exchanged(f"{written[0]} {written[1:-1]} {written[-1]}")
    if isinstance(kind, HazardKind):
        codes = [code for code, name in ALIASES.items() if name == written]
        yield from (("hazard by its code", place.exchanged(code)) for code in codes)


def _aliases(found: list[Place]) -> Iterator[tuple[str, str]]:
    """A value written once, and an alias where it stands again."""
    for index, place in enumerate(found):
        again = next(
            (one for one in found[index + 1 :] if one.written == place.written and one.start >= place.end), None
        )
        if again is not None and place.splices and again.splices:
            text = again.exchanged("*own ")
            yield "alias", f"{text[: place.start]}&own {text[place.start :]}"


def _entries(place: Place) -> Iterator[tuple[str, str]]:
    """A mapping with a default written out, with notes, or with two entries exchanged."""
    section, table = sections(place), place.value
    if isinstance(table, yaml.MappingNode) and len(table.value) > 1 and table.flow_style:
        for (key, one), (other, two) in zip(table.value, table.value[1:], strict=False):
            text, ends = (
                place.text,
                (key.start_mark.index, one.end_mark.index, other.start_mark.index, two.end_mark.index),
            )
            first, between, second = text[ends[0] : ends[1]], text[ends[1] : ends[2]], text[ends[2] : ends[3]]
            yield "keys exchanged", text[: ends[0]] + second + between + first + text[ends[3] :]
    if section is None or not isinstance(table, yaml.MappingNode) or not table.value:
        return
    written = {key.value for key, _ in table.value}
    for name, field in section.fields.items() if "preset" not in written else ():  # it has defaults of its own
        if name not in written and field.default is not None and not field.computed:
            yield "default written out", with_entry(place.text, table, f"{name}: {_as_yaml(field)}")[0]
    if section.notes:
        notes = ("description: What it is for", "labels: {team: shop, a.b/c: d}", "labels: {}")
        for note in (*notes, f"{OWN}team: 5", f"{OWN}a: [1, {{b: null}}, ~, no]", f"{OWN}date: 2026-01-01"):
            if note.split(":")[0] not in written:
                yield "notes", with_entry(place.text, table, note)[0]
    for key, value in table.value:
        quoted = f'"{key.value}"'
        yield "key in quotes", place.text[: key.start_mark.index] + quoted + place.text[key.end_mark.index :]
        if not table.flow_style and value.start_mark.line == key.start_mark.line:
            yield "space before the colon", place.text[: key.end_mark.index] + " " + place.text[key.end_mark.index :]


def _as_yaml(field: Field) -> str:
    return json.dumps(list(field.default) if isinstance(field.default, tuple) else field.default)


def _meanings(place: Place) -> Iterator[tuple[str, str]]:
    """Another number, text, word or name, which is as valid."""
    kind: Any = place.kind
    if not place.splices:
        return
    match kind:
        case NumberKind() if place.path[0] == "budgets":
            middle = (kind.low + kind.high) / 2
            for number in (kind.high, middle, kind.low if not kind.above else kind.high / 4):
                yield "another number", place.exchanged(f"{number:.6g}")
        case IntegerKind() if place.path[-1] not in ("beams", "candidates", "longest_match"):
            for number in (kind.low, kind.high, (kind.low + kind.high) // 2):
                yield "another number", place.exchanged(str(number))
        case TextKind() if place.path[0] == "messages":
            for text in (
                "Das geht leider nicht.",
                "申し訳ありませんが、お手伝いできません。",
                "Désolé. Je ne peux pas 🙂",
            ):
                yield "another message", place.exchanged(text)
            at = int(place.key.start_mark.index) if place.key is not None else 0
            for tag in ("de", "fr-CA", "zh-Hant", "pt_BR", "sr-Latn-RS"):
                between = ", " if place.home.flow_style else "\n" + " " * int(place.key.start_mark.column)  # type: ignore[union-attr]
                new = f"{tag}: Hier geht es nicht weiter{between}"
                yield "another language", place.text[:at] + new + place.text[at:]
        case ChoiceKind() if place.path[0] == "budgets" and place.path[-1] in ("mode", "accumulate"):
            for word in kind.words:
                yield "another word", place.exchanged(word)
    match place.path:
        case ("metadata", "name"):
            for name in ("a", "my-bot", "x" * 64, "b2b"):
                yield "another name", place.exchanged(name)
        case ("metadata", "version"):
            for version in ("0.0.1", "10.20.30"):
                yield "another name", place.exchanged(version)
        case ("budgets", int()):
            for number in range(3):
                text = place.text[: place.start] + place.written.replace("id: ", f"id: further-{number}-", 1)
                yield "further budget", f"{text}\n  - {place.text[place.start :]}"
        case ("search" | "prompt" | "output" | "taxonomy", *_) if place.section is not None:
            cut = without(place)
            if cut is not None and not place.section.fields[str(place.path[-1])].required:
                yield "optional key left out", cut
