"""What may be written at a cursor: keys with what they mean, words, names, hazards, and beginnings of whole entries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from ig_guardrail.costs.guards.format import packaged_formats
from ig_guardrail.costs.kinds.base import ARTIFACT, HAZARD
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.fields.field import (
    BooleanKind,
    ChoiceKind,
    ExpressionKind,
    Field,
    FormatKind,
    HazardKind,
    HazardsKind,
    IntegerKind,
    Kind,
    ListOf,
    MapOf,
    NumberKind,
    OneOf,
    Section,
    ShortForm,
    TextKind,
)
from ig_guardrail.policy import packaged_names
from ig_guardrail.policy.diagnostics.rules import rules
from ig_guardrail.policy.expression import FUNCTIONS
from ig_guardrail.policy.language.budgets import BUDGET, COST_MODEL
from ig_guardrail.policy.language.names import BUDGET_ID, LANGUAGE, MODEL_NAME, NOTES, SWAP
from ig_guardrail.policy.reference.page import default_of
from ig_guardrail.policy.reference.text import EXAMPLE
from ig_guardrail.policy.sources import is_policy
from ig_guardrail.search.registry import METHODS
from ig_guardrail.text.counterfactual import read_swaps
from ig_guardrail.types.hazards import EVERY, HAZARDS, canonical
from ig_guardrail.types.languages import COMMON
from ig_guardrail.workbench.editor import wording
from ig_guardrail.workbench.editor.document import Document, Texts
from ig_guardrail.workbench.editor.names import NameKind, defined, mentions, policies
from ig_guardrail.workbench.editor.outline import CharacterSpan
from ig_guardrail.workbench.editor.places import Cursor, cursor_at, leaves, node_at, section_of

Sort: TypeAlias = Literal["key", "word", "name", "function", "value", "snippet"]

MOST = 200  # completions
_NOTHING = CharacterSpan(0, 0)
WHICH = {"max": "highest", "min": "lowest", "mean": "mean"}


@dataclass(frozen=True, slots=True)
class Completion:
    """Something that may be written.

    insert   the text, as editors write snippets: `${1:x}` is a place to fill in, further lines start at the indentation
             of the first
    detail   what it is, in a few words; doc, at length, as Markdown
    replaces what it stands instead of
    """

    label: str
    insert: str
    sort: Sort
    detail: str = ""
    doc: str = ""
    replaces: CharacterSpan = _NOTHING


def complete(document: Document, offset: int, texts: Texts) -> list[Completion]:
    """What may be written at an offset, the likeliest first. Of files of other kinds: nothing."""
    cursor = cursor_at(document, offset) if document.role != "other" else None
    if cursor is None:
        return []
    offers = _keys(document, cursor, texts) if cursor.is_key else _values(document, cursor, texts)
    found = {one.label: one for one in itertools.islice(offers, MOST)}
    return [replace(one, replaces=cursor.word) for one in found.values()]


# Keys


def _keys(document: Document, cursor: Cursor, texts: Texts) -> Iterator[Completion]:
    if isinstance(cursor.kind, MapOf):
        for one in _own_keys(document, cursor, cursor.kind, texts):
            if one.label not in cursor.written:
                yield replace(one, insert=one.label) if cursor.followed else one
        return
    section = section_of(cursor.kind, node_at(cursor.tree, cursor.path))
    if section is None:
        return
    if not cursor.path and not cursor.written and document.role == "blank":
        yield Completion("new policy", _literal(EXAMPLE), "snippet", "a policy to begin with", f"```yaml\n{EXAMPLE}```")
    if section is BUDGET and not cursor.written and not cursor.followed:
        yield _new_budget(cursor, document, texts)
    known = sorted(section.fields.items(), key=lambda pair: not pair[1].required)
    for name, field in (*known, *(NOTES.items() if section.notes else ())):
        if name not in cursor.written:
            detail = "required" if field.required else f"default: {default_of(field)}"
            yield Completion(
                name, _key(name, field.kind, cursor), "key", detail, wording.of_field(name, field, section)
            )


def _key(name: str, kind: Kind, cursor: Cursor) -> str:
    """A key, and the beginning of its value: on further lines where the key has a line of its own."""
    if cursor.followed:
        return name
    lines = cursor.begins and not cursor.flow
    inside = "\n" + " " * (cursor.dashes + 2)
    match kind:
        case Section() | OneOf() | MapOf():
            return f"{name}:{inside}$0" if lines else f"{name}: {{$0}}"
        case ListOf(item=Section() | OneOf()) if lines:
            return f"{name}:{inside}- $0"
        case ListOf() | HazardsKind():
            return f"{name}: [$0]"
    return f"{name}: $0"


def _own_keys(document: Document, cursor: Cursor, kind: MapOf, texts: Texts) -> Iterator[Completion]:
    """Keys of one's own choice: names that are known, and whole cost models; and those that may stand beside them."""
    for name, field in kind.beside.items():
        yield Completion(name, _key(name, field.kind, cursor), "key", field.doc)
    if kind.value is COST_MODEL:
        yield from _new_cost_models(cursor)
    elif kind.key is MODEL_NAME:
        yield from (replace(one, insert=f"{one.insert}: $0") for one in _names("cost model", document, texts))
    elif kind.key is LANGUAGE:
        yield from (Completion(tag, f"{tag}: $0", "key", "a language") for tag in COMMON)
    elif kind.key is HAZARD or isinstance(kind.key, HazardKind):
        yield from (replace(one, insert=f"{one.insert}: [$0]") for one in _hazards(document))


def _new_cost_models(cursor: Cursor) -> Iterator[Completion]:
    """An entry for every packaged artifact, and for every kind that has none."""
    if cursor.followed:
        return
    for kind in KINDS.values():
        section = COST_MODEL.sections[kind.name]
        option = next((name for name, one in section.fields.items() if one.required and name != "kind"), "")
        for artifact, hazards in kind.packaged.items():
            entry = f"{{kind: {kind.name}, {option}: {artifact}, hazards: [{', '.join(hazards)}]}}"
            insert = f"${{1:{artifact}}}: {_literal(entry)}"
            about = wording.about_artifact(kind.name, artifact, Path())
            yield Completion(f"new {kind.name}: {artifact}", insert, "snippet", "a cost model", about)
        if not kind.packaged:
            needed = {name: one.example for name, one in section.fields.items() if one.required and name != "kind"}
            needed["hazards"] = "[hte]"  # as examples of labels have it
            places = (f"{name}: ${{{place}:{_literal(text)}}}" for place, (name, text) in enumerate(needed.items(), 2))
            insert = f"${{1:name}}: {{kind: {kind.name}, {', '.join(places)}}}"
            yield Completion(f"new {kind.name}", insert, "snippet", "a cost model")


def _new_budget(cursor: Cursor, document: Document, texts: Texts) -> Completion:
    """A budget with all that it needs, over the first cost model of the file."""
    model = next((one.label for one in _names("cost model", document, texts)), "help")
    body = f"id: ${{1:name}}, hazards: [${{2:ncr}}], cost: ${{3:{model}}}, threshold: ${{4:0.5}}, budget: ${{5:0}}"
    braced = node_at(cursor.tree, cursor.path)
    inside = braced is not None and braced.kind == "map" and braced.flow
    return Completion("new budget", body if inside else f"{{{body}}}", "snippet", "a budget with all that it needs")


# Values


def _values(document: Document, cursor: Cursor, texts: Texts) -> Iterator[Completion]:
    kind = cursor.kind
    if isinstance(kind, ExpressionKind):
        yield from _expressions(document, cursor, texts)
        return
    if not cursor.alone:
        return
    if isinstance(kind, ShortForm):
        kind = kind.section.fields[kind.key].kind
    own = list(_of_kind(kind, document, cursor, texts))
    if isinstance(kind, ListOf | HazardsKind):
        own = [one if one.label == EVERY else replace(one, insert=f"[{one.insert}]") for one in own]
    yield from own
    if cursor.field is not None and cursor.field.kind is cursor.kind and not own:
        yield from _for_example(cursor.field)


def _of_kind(kind: Kind | None, document: Document, cursor: Cursor, texts: Texts) -> Iterator[Completion]:
    match kind:
        case ChoiceKind():
            for word in kind.words:
                yield Completion(word, word, "word", METHODS[word].title if word in METHODS else "")
        case BooleanKind():
            yield from (Completion(word, word, "word") for word in ("true", "false"))
        case HazardKind():
            yield from _hazards(document)
        case HazardsKind():
            yield Completion(EVERY, EVERY, "word", "every hazard that its cost models name")
            yield from _hazards(document)
        case ListOf():
            yield from _of_kind(kind.item, document, cursor, texts)
        case FormatKind() | TextKind():
            yield from _named(kind, document, cursor, texts)


def _named(kind: FormatKind | TextKind, document: Document, cursor: Cursor, texts: Texts) -> Iterator[Completion]:
    """Names that a text may be, by what it is the value of."""
    key = next((step for step in reversed(cursor.path) if isinstance(step, str)), "")
    if kind is MODEL_NAME:
        own = cursor.path[1] if cursor.path[:1] == ("cost_models",) else ""
        yield from (one for one in _names("cost model", document, texts) if one.label != own)
    elif kind is BUDGET_ID:
        here = {one.name for one in mentions(document) if one.defines}  # a policy takes up those that it inherits
        yield from (one for one in _names("budget", document, texts) if one.label not in here)
    elif kind is SWAP:
        yield from (Completion(name, name, "name", "a packaged swap") for name in read_swaps())
    elif kind is ARTIFACT or key == "format":
        yield from _artifacts(document, cursor, key)
    elif cursor.path in (("policy",), ("extends",), ("extends", "policy")):
        yield from (Completion(name, name, "name", "a policy of this folder") for name in _policies(document))
        yield from (Completion(name, name, "name", "a packaged policy") for name in packaged_names())
    elif document.role == "cases" and key == "message":
        yield from _messages(document, texts)
    elif document.role == "waivers" and key == "code":
        cautions = (one for one in rules().values() if one.severity == "warning")
        yield from (Completion(one.code, one.code, "word", one.title, one.page()) for one in cautions)
    elif document.role == "waivers" and key == "file":
        yield from (Completion(name, name, "name", "a policy of this folder") for name in _policies(document))


def _artifacts(document: Document, cursor: Cursor, key: str) -> Iterator[Completion]:
    entry = node_at(cursor.tree, cursor.path[:-1])
    tag = node_at(entry, ("kind",))
    if key == "format":
        yield from (Completion(name, name, "name", "a packaged format") for name in packaged_formats())
    for name, hazards in KINDS[tag.text].packaged.items() if tag is not None and tag.text in KINDS else ():
        about = wording.about_artifact(tag.text if tag else "", name, Path())
        yield Completion(name, name, "name", f"scores {', '.join(hazards)}", about)


def _expressions(document: Document, cursor: Cursor, texts: Texts) -> Iterator[Completion]:
    """Cost models and functions. In braces YAML ends a value at its comma, so a function is put in quotes there."""
    yield from _names("cost model", document, texts)
    for name in FUNCTIONS:
        call = f"{name}(${{1:a}}, ${{2:b}})"
        torn = cursor.flow and cursor.alone and not cursor.quoted
        yield Completion(name, f'"{call}"' if torn else call, "function", f"the {WHICH[name]} of several scores")


def _hazards(document: Document) -> Iterator[Completion]:
    """Those of the taxonomy, and those beside it that the file names or that packaged artifacts score."""
    for name, meaning in HAZARDS.items():
        yield Completion(name, name, "word", meaning, wording.of_hazard(name))
    used = [one.name for one in mentions(document) if one.what == "hazard"]
    made_for = [name for kind in KINDS.values() for hazards in kind.packaged.values() for name in hazards]
    for name in dict.fromkeys([*used, *made_for]):
        if name not in HAZARDS and canonical(name):
            about = "in use here" if name in used else "packaged artifacts score it"
            yield Completion(name, name, "word", about, wording.of_hazard(name))


def _names(what: NameKind, document: Document, texts: Texts) -> Iterator[Completion]:
    for one in defined(document, texts):
        if one.what == what:
            yield Completion(one.name, one.name, "name", f"a {what}")


def _messages(document: Document, texts: Texts) -> Iterator[Completion]:
    """The messages of a policy by name: `refusal.en`."""
    for home in policies(document, texts):
        for leaf in leaves(home.language, home.tree):
            if leaf.is_key and leaf.kind is LANGUAGE:
                name = ".".join(map(str, leaf.path[1:]))
                yield Completion(name, name, "name", "a message of the policy")


def _policies(document: Document) -> list[str]:
    try:
        found = (one.name for one in itertools.islice(Path(document.path).parent.iterdir(), MOST))
        return sorted(name for name in found if is_policy(name))
    except OSError:
        return []


def _for_example(field: Field) -> Iterator[Completion]:
    """What a value may look like, where nothing better is known of it."""
    if isinstance(field.kind, NumberKind | IntegerKind) and isinstance(field.default, int | float):
        default = str(field.default)
        yield Completion(default, default, "value", "the default")
    if "..." not in field.example:
        yield Completion(field.example, _literal(field.example), "value", "for example")


def _literal(text: str) -> str:
    """A text that a snippet holds as it is."""
    return text.replace("\\", "\\\\").replace("$", "\\$").replace("}", "\\}")
