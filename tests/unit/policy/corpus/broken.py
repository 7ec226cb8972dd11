"""Edits that break a policy: each kind for each place where it can be, with the line, and the word that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml

from ig_guardrail.fields.field import (
    BooleanKind,
    ChoiceKind,
    ExpressionKind,
    FormatKind,
    HazardKind,
    HazardsKind,
    IntegerKind,
    Kind,
    ListOf,
    MapOf,
    NumberKind,
    OneOf,
    RegexKind,
    Section,
    ShortForm,
    TextKind,
)
from ig_guardrail.policy.expression import FUNCTIONS
from ig_guardrail.policy.language.names import NOTES
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.validation.presence import offered_names
from ig_guardrail.types.hazards import ALIASES, HAZARDS
from tests.unit.policy.corpus.bases import all_sections
from tests.unit.policy.corpus.places import Place, places, sections, with_entry, without


@dataclass(frozen=True)
class Edit:
    """A text after one edit.

    way    what kind of edit it is
    lines  where a fault may be told
    word   what was meant, where a word was misspelt
    doubt  whether it is a warning, which `--strict` refuses: for names of what a policy cannot know
    """

    way: str
    base: str
    text: str | bytes
    lines: tuple[int, ...]
    word: str = ""
    doubt: bool = False


def broken(base: str, text: str, language: Kind, random: Random) -> Iterator[Edit]:
    """Every broken edit of a text."""
    for place in places(text, language):
        for way, new, lines, word in (*_keys(place, random), *_values(place, random)):
            yield Edit(way, base, new, lines, word)
    for way, raw, line in (*_torn(text), *_characters(text)):
        yield Edit(way, base, raw, (line,))


Found = Iterator[tuple[str, str, tuple[int, ...], str]]


def misnamed(base: str, text: str, random: Random) -> Iterator[Edit]:
    """Every misspelt name of what stands outside a policy, or of a tool that a rule is for."""
    found = places(text, POLICY)
    names = {place.path[1]: place.written for place in found if place.path[2:] == ("kind",)}
    costs = " ".join(place.written for place in found if isinstance(place.kind, ExpressionKind))
    for place in found:
        match place.path:
            case ("cost_models", name, key) if place.written in offered_names(names[name], str(key)):
                known = offered_names(names[name], str(key))
                for slip in misspelt(place.written, known, random):
                    if re.fullmatch("[a-z][a-z0-9-]*", slip):
                        doubt = str(name) not in re.findall(r"[\w-]+", costs)
                        yield Edit(
                            "misspelt artifact", base, place.exchanged(slip), (place.line,), place.written, doubt
                        )
            case ("search", "swaps", int()):
                for slip in misspelt(place.written, (), random):
                    if re.fullmatch("[a-z][a-z -]*", slip):
                        yield Edit("misspelt artifact", base, place.exchanged(slip), (place.line,), place.written)
            case ("tools", "arguments" | "limits", int(), "tool") | ("budgets", int(), "tool") if (
                re.fullmatch(r"[\w-]+", place.written) and place.written in text.partition("allow:")[2]
            ):
                for slip in misspelt(place.written, (), random):
                    yield Edit("misspelt tool", base, place.exchanged(slip), (place.line,), place.written, doubt=True)


def misspelt(word: str, known: Iterable[str], random: Random) -> Iterator[str]:
    """A word with one slip of the pen: a letter left out, doubled, exchanged, struck beside, or the wrong case."""
    taken = set(known)
    at = random.randrange(len(word) - 1)
    beside = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuioplsdfghjkjxcvbnmn", strict=False))
    slips = {
        word[: at + 1] + word[at] + word[at + 1 :],
        word.title() if word.islower() else word.lower(),
    }
    if len(word) > 3:
        slips |= {
            word[:at] + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + beside.get(word[at], "x") + word[at + 1 :],
            word + "s",
            re.sub("[_-]", "", word),
            word.replace("_", "-") if "_" in word else word.replace("-", "_"),
        }
    yield from sorted(slip for slip in slips if slip not in taken)


def _keys(place: Place, random: Random) -> Found:
    """What goes wrong with keys."""
    section, table = sections(place), place.value
    if section is not None and isinstance(table, yaml.MappingNode) and table.value:
        yield from _further_keys(place, section, table, random)
    if place.key is None:
        return
    line = place.key_line
    if place.section is not None:
        for slip in misspelt(str(place.path[-1]), place.section.fields, random):
            yield "misspelt key", place.renamed(slip), (line,), str(place.path[-1])
        if place.section.fields.get(str(place.path[-1]), _NONE).required:
            cut = without(place)
            if cut is not None:
                yield "missing key", cut, (place.above, int(place.home.start_mark.line) + 1), ""
    if place.splices:
        name = place.text[place.key.start_mark.index : place.key.end_mark.index]
        twice, at = with_entry(place.text, place.home, f"{name}: {place.written}")
        yield "duplicate key", twice, (at, line + (not place.home.flow_style)), ""
    yield "list as key", place.renamed("? [a]\n" if not place.home.flow_style else "[a]"), (line, line + 1), ""
    yield "key without a value", place.exchanged(""), (line,), ""


class _NONE:
    required = False


def _further_keys(place: Place, section: Section, table: Any, random: Random) -> Found:
    written = {key.value for key, _ in table.value}
    own = {} if place.path[-1:] == ("by_hazard",) else section.fields  # there, keys are hazards
    for name, field in own.items():
        if name not in written:
            for slip in misspelt(name, section.fields, random):
                text, at = with_entry(place.text, table, f"{slip}: {field.example}")
                yield "misspelt further key", text, (at,), name
    for strange in ("colour: red", "0.5: 1", "id2: x", "- a", "retries_: 3", "null: 1"):
        text, at = with_entry(place.text, table, strange)
        yield "strange key", text, (at,), ""
    foreign = {name: one.example for other in all_sections() for name, one in other.fields.items()}
    for name in random.sample(sorted(foreign.keys() - section.fields.keys() - NOTES.keys()), 3):
        text, at = with_entry(place.text, table, f"{name}: {foreign[name]}")
        yield "key of another section", text, (at,), ""
    text, at = with_entry(place.text, table, "<<: {a: 1}")
    yield "merge key", text, (at,), ""


def _values(place: Place, random: Random) -> Found:
    """What goes wrong with values."""
    line = place.line if place.splices else place.key_line
    if place.key is None and not place.splices:
        return
    for way, new, word in (*_wrong(place.kind, place, random), *_wrong_of_all()):
        if new != place.written:
            yield way, place.exchanged(new), (line,), word


def _wrong_of_all() -> Iterator[tuple[str, str, str]]:
    """What no value can be."""
    for text in ("null", "~", "Null"):
        yield "nothing", text, ""
    for text in ("!!str x", "!own x", "!!python/object:os.system x", "!<tag:a> x"):
        yield "tag", text, ""
    for text in ("*nowhere", "&a *a", "&a [*a]"):
        yield "alias of nothing", text, ""
    for text in ("@x", "`x`", "%x", "x: y: z", '"\\q"', "]", "}", "'", '"', "[", "{", "- x"):
        yield "not YAML", text, ""


def _wrong(kind: Any, place: Place, random: Random) -> Iterator[tuple[str, str, str]]:
    match kind:
        case NumberKind() | IntegerKind():
            yield from _wrong_numbers(kind)
        case BooleanKind():
            for text in ("yes", "no", "on", "off", "True", "FALSE", '"true"', "0", "1", "maybe", "[true]", "y"):
                yield "not a boolean", text, ""
            for text in ("ture", "treu", "tru", "trrue"):
                yield "misspelt boolean", text, "true"
            for text in ("flase", "fasle", "fals", "falsee"):
                yield "misspelt boolean", text, "false"
        case ChoiceKind():
            for word in kind.words if kind.code != "P012" else ():
                for slip in misspelt(word, (*kind.words, *kind.apart), random):
                    yield "misspelt choice", slip, word
            for text in ("nothing-known", '""', "[a]", "{a: b}", "7", *kind.apart, "ig-guardrail/v9"):
                yield "unknown choice", text, ""
        case TextKind():
            for text in ('""', '" "', "[a]", "{a: b}", '"\\u0007"', '"\\ud83d"', "no", "1.5", "2026-10-01", "0x1F"):
                yield "not a text", text, ""
            yield "long text", "a " * (kind.most // 2 + 1), ""
        case FormatKind():
            yield from _wrong_forms(kind)
            yield from _misspelt_names(place, random)
        case HazardKind():
            yield from _wrong_hazards(place.written, random)
        case HazardsKind():
            for text in ("[]", "everything", "[all, ncr]", "{a: b}", "[ncr, ncr]", "ncr", "[ncr, [vcr]]", "[S99]"):
                yield "no list of hazards", text, ""
        case ExpressionKind():
            yield from _wrong_expressions(place, random)
        case RegexKind():
            for text in (
                "'('", "'[a'", "'*a'", "'(?=a)b'", "'(a)\\1'", "''", "'a*'", "'(?<!a)b'", "'a{2000}'", "'\\k'",
                "'a)'", "'[z-a]'", "'(a|)'",
            ):  # fmt: skip
                yield "bad pattern", text, ""
        case ListOf():
            yield from _wrong_lists(kind, place)
        case MapOf():
            yield from (("no mapping", text, "") for text in ("[]", "word", "7", "[a, b]"))
            if kind.least:
                yield "empty mapping", "{}", ""
        case Section() | OneOf():
            yield from (("no mapping", text, "") for text in ("[]", "word", "7", "[a, b]"))
            if isinstance(kind, OneOf):
                yield "empty mapping", "{}", ""
        case ShortForm():
            inner = kind.section.fields[kind.key].kind
            yield from (one for one in _wrong(inner, place, random) if one[1][:1] not in "{[")


def _wrong_numbers(kind: NumberKind | IntegerKind) -> Iterator[tuple[str, str, str]]:
    for text in ("high", '"0.5"', "5%", "10ms", "0x10", "1_000", "[1]", "{a: 1}", "true", "“1”", "1.2.3", "-", "1 2"):
        yield "not a number", text, ""
    for text in ("five", "0.5 EUR", "1/2", "1e", "010", "1:30", "½", "+-1"):
        yield "not a number", text, ""
    for text in (".nan", ".inf", "-.inf", "1e999", "NaN", "inf", "9" * 400):
        yield "not finite", text, ""
    for text in (f"{kind.high * 10 + 1:.0f}", f"{kind.low - 1:.0f}", f"{kind.high + 0.5}", "1e300", "-1e300"):
        yield "out of range", text, ""
    if isinstance(kind, IntegerKind):
        for text in ("1.5", "1e1", "2.0"):
            yield "not a whole number", text, ""


def _wrong_forms(kind: FormatKind) -> Iterator[tuple[str, str, str]]:
    words = ("A B!", "§ 1", "a" * 2000, "-x-", "ä b", "{a: b}", "[a]", '""', "no", "1.0", '"a\\tb\\u0007"')
    for text in words:
        plain = text.strip('"')
        fits = re.fullmatch(kind.pattern, plain) and (kind.normal is None or kind.normal(plain) is not None)
        if text[0] in "[{" or not fits or (text in ("no", "1.0") and not kind.plain):
            yield "wrong form", text, ""


def _misspelt_names(place: Place, random: Random) -> Iterator[tuple[str, str, str]]:
    """A cost model that serves instead of another is one that is declared."""
    if place.path[-1] == "otherwise":
        for slip in misspelt(place.written, (), random):
            if not slip[0].isupper():
                yield "misspelt reference", slip, place.written


def _wrong_hazards(written: str, random: Random) -> Iterator[tuple[str, str, str]]:
    for word in ({written} | {random.choice(list(HAZARDS))}) & HAZARDS.keys():
        for slip in misspelt(word, (*HAZARDS, *ALIASES), random):
            yield "misspelt hazard", slip, word
    for text in ("S99", "weapon", "everything", "all", "[ncr]", "{a: b}", "x.", "NCR!", "ncr..a", "7"):
        yield "unknown hazard", text, ""


def _wrong_expressions(place: Place, random: Random) -> Iterator[tuple[str, str, str]]:
    text = place.written.strip("\"'")
    names = [name for name in re.findall(r"[a-z][a-z0-9_-]*", text) if name not in FUNCTIONS]
    for name in dict.fromkeys(names):
        for slip in misspelt(name, (*names, *FUNCTIONS), random):
            slipped = re.sub(rf"(?<![\w-]){name}(?![\w-])", slip, text, count=1)
            yield "misspelt reference", f'"{slipped}"', name
    for function in FUNCTIONS:
        for slip in misspelt(function, FUNCTIONS, random):
            yield "misspelt function", f'"{slip}({text})"', function
    for wrong in (
        f"{text} +", f"({text}", f"{text})", f"{text} - 0.1", f"{text} / 2", f"{text} * {text}", "0.5", "",
        f"{text} ^ 2", f"5e9 * {text}", f"{text} {text}", "max()", "max", f"median({text})", f"max({text},)",
        f"{text}; 1", f"{text} > 0.5", f"{text} and {text}", f"min({text}; 1)", "nobody-here", f"{text} + + 1",
    ):  # fmt: skip
        yield "bad expression", f'"{wrong}"', ""
    yield "bad expression", "[help]", ""
    yield "bad expression", "{max: [a, b]}", ""


def _wrong_lists(kind: ListOf, place: Place) -> Iterator[tuple[str, str, str]]:
    for text in ("word", "7", "{a: b}"):
        yield "no list", text, ""
    if kind.least:
        yield "empty list", "[]", ""
    if place.splices and isinstance(place.value, yaml.SequenceNode) and place.value.value:
        first = place.value.value[0]
        item = place.text[first.start_mark.index : first.end_mark.index]
        yield "list in a list", f"[[{item}]]", ""
        if kind.most < 100:
            yield "long list", f"[{', '.join([item] * (kind.most + 1))}]", ""
        if kind.unique:
            yield "named twice", f"[{item}, {item}]", ""


def _torn(text: str) -> Iterator[tuple[str, str, int]]:
    """What goes wrong with lines, whatever they say."""
    lines = text.splitlines()
    inside = _in_blocks(text)
    for index, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("#") or index in inside:
            continue
        before, after = lines[index - 1] if index else "", lines[index + 1] if index + 1 < len(lines) else ""
        for way, new in _torn_lines(line, before, after):
            yield way, "\n".join([*lines[:index], new, *lines[index + 1 :]]) + "\n", index + 1
        for way, new in (("stray line", "<<<<<<< HEAD"), ("stray line", "oops"), ("stray line", "=====")):
            yield way, "\n".join([*lines[:index], new, *lines[index:]]) + "\n", index + 1
        if any(one and not one.startswith("#") for one in lines[:index]):
            yield "second document", "\n".join([*lines[:index], "---", *lines[index:]]) + "\n", index + 1


def _torn_lines(line: str, before: str, after: str) -> Iterator[tuple[str, str]]:
    code = line.split(" #")[0].rstrip()
    indent = _indent(line)
    if indent:
        yield "tab", "\t" + line.lstrip()
        if indent in (_indent(before), _indent(after)):
            yield "indentation", " " + line
        if indent == _indent(before):
            yield "indentation", line[1:]
    if ": " in code:
        yield "no space after the colon", code.replace(": ", ":", 1)
        yield "no colon", code.replace(": ", " ", 1)
        yield "two colons", code.replace(": ", ": : ", 1)
        key, value = code.split(": ", 1)
        yield "quote without end", f'{key}: "{value}'
        yield "quote without end", f"{key}: '{value.replace(chr(39), '')}"
        yield "text behind a quote", f'{key}: "a" b'
    for closing in "]})":
        if code.endswith(closing):
            yield "bracket without end", code[: -len(closing)]
            yield "bracket too many", code + closing
    if "]}" not in code and "]," in code:
        yield "bracket without end", code.replace("],", ",", 1)
    commas = [found.start() for found in re.finditer(r", (?=\w+: )", code)]  # in a list, two words make one text
    if commas and "{" in code[: commas[-1]] and not re.search("[\"']", code):
        yield "no comma", code[: commas[-1]] + code[commas[-1] + 1 :]


def _indent(line: str) -> int:
    return 0 if line.lstrip().startswith("#") else len(line) - len(line.lstrip())


def _in_blocks(text: str) -> set[int]:
    """Lines of texts that run over several, where little is wrong."""
    found: set[int] = set()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.ScalarEvent) and event.start_mark.line != event.end_mark.line:
            found |= set(range(event.start_mark.line, event.end_mark.line))
    return found


def _characters(text: str) -> Iterator[tuple[str, str | bytes, int]]:
    """What goes wrong with characters, and with files as a whole."""
    middle = text.index("\n", len(text) // 2) + 1
    line = text[:middle].count("\n") + 1
    for code in (0x00, 0x07, 0x08, 0x1B, 0x7F, 0xFFFE):
        yield "control character", text[:middle] + f"# {chr(code)}\n" + text[middle:], line
    for raw in (b"\xff", b"\xe9", b"\xc3(", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"):
        yield "not UTF-8", text[:middle].encode() + b"# " + raw + b"\n" + text[middle:].encode(), line
    yield "UTF-16", text.encode("utf-16"), 1
    yield "UTF-16", text.encode("utf-16-be"), 1
    for whole in ("", "\n\n", "# nothing\n", "[]", "word", "7", "null", "- a\n- b\n", "{}", "\ufeff"):
        yield "another file", whole, 1
    yield "too large", text + "#" * 300_000, 0
    yield "too deep", text.rstrip() + "\nx-deep: " + "[" * 60 + "]" * 60 + "\n", text.rstrip().count("\n") + 2
    bomb = "".join(f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9 if i else ['1'])}]\n" for i in range(9))
    yield "aliases without end", text.rstrip() + "\n" + bomb, text.rstrip().count("\n") + 1 + 5
    yield "unknown directive", "%YAML 9.9\n---\n" + text, 1


def sampled(edits: Sequence[Edit], count: int, random: Random) -> list[Edit]:
    """So many of the edits, each way as often as can be."""
    ways: dict[str, list[Edit]] = {}
    for edit in edits:
        ways.setdefault(edit.way, []).append(edit)
    for one in ways.values():
        random.shuffle(one)
    found: list[Edit] = []
    while len(found) < count and any(ways.values()):
        for one in ways.values():
            if one and len(found) < count:
                found.append(one.pop())
    return found
