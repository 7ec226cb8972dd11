"""The language as a JSON Schema, for completion, hover texts and faults in editors. The checker is stricter.

It keeps to draft 07, which the YAML servers of editors read. It refers to nothing outside of itself, and what a section
takes depends on `if` and `then`, not on alternatives: so a fault is told at the key that has it.

`python -m ig_guardrail.policy.reference.json_schema` prints it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import yaml

from ig_guardrail.fields.field import (
    ArgumentsKind,
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
    RegexKind,
    Section,
    ShortForm,
    TextKind,
)
from ig_guardrail.policy.expression import LONGEST
from ig_guardrail.policy.language.names import NOTES, OWN, SWAP
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.reference.page import takes
from ig_guardrail.policy.reference.text import EXAMPLE
from ig_guardrail.policy.validation.presence import offered_names
from ig_guardrail.text.counterfactual import read_swaps
from ig_guardrail.types.hazards import ALIASES, EVERY, FORM, HAZARDS

DRAFT = "http://json-schema.org/draft-07/schema#"
ID = "urn:ig-guardrail:schema:{of}:v1"  # a name, and no address: nothing is fetched from it
TITLES = {"policy": "ig-guardrail safety policy"}

Schema: TypeAlias = dict[str, Any]


def json_schema() -> str:
    """The schema as JSON text, the same on every machine."""
    about = "What a guardrail holds answers to. `ig-guardrail policy check` is stricter than this schema, and decides."
    return as_text(_with_children(schema_of("policy", POLICY, about, yaml.safe_load(EXAMPLE))))


def schema_of(of: str, language: Section, about: str, example: Any) -> Schema:
    """The schema of a file of some language. of: what its name and its title call it."""
    head = {"$schema": DRAFT, "$id": ID.format(of=of), "title": TITLES.get(of, f"ig-guardrail {of}")}
    return {**_described(language), **head, "description": about, "examples": [example]}


def as_text(schema: Schema) -> str:
    """A schema as JSON text."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _with_children(schema: Schema) -> Schema:
    """The schema, where a policy that extends another needs only what each says for itself."""
    models = ("properties", "cost_models", "additionalProperties", "allOf")
    kinds = len(schema["properties"]["cost_models"]["additionalProperties"]["allOf"])
    said_by_each: dict[tuple[str | int, ...], tuple[str, ...]] = {
        (): ("apiVersion", "kind", "metadata"),
        ("properties", "budgets", "items"): ("id",),
        ("properties", "tools", "properties", "limits", "items"): ("id",),
        ("properties", "prompt"): (),
        ("properties", "messages"): (),
        ("properties", "messages", "properties", "refusal"): (),
        ("properties", "messages", "properties", "closing"): (),
        (*models, 0, "else"): (),
        **{(*models, place, "then"): () for place in range(1, kinds)},
    }
    needs: Schema = {}
    for path, kept in said_by_each.items():
        _join(needs, _lifted(schema, path, kept))
    return {**schema, "if": {"not": {"required": ["extends"]}}, "then": needs}


def _lifted(schema: Any, path: tuple[str | int, ...], kept: tuple[str, ...]) -> Schema:
    """What a part of a schema needs, as a schema of its own; it is taken out of it, but for what is kept."""
    if not path:
        needed = schema.pop("required")
        schema["required"] = list(kept)
        return {"required": [key for key in needed if key not in kept]}
    first, *rest = path
    if isinstance(first, int):
        (branch, *more) = rest
        chosen = schema[first]
        return {"if": chosen["if"], str(branch): _lifted(chosen[branch], tuple(more), kept)}
    inner = _lifted(schema[first], tuple(rest), kept)
    return {first: [inner] if first == "allOf" else inner}


def _join(schema: Schema, more: Schema) -> None:
    """Add what another schema asks for."""
    for key, value in more.items():
        if isinstance(value, dict) and key in schema:
            _join(schema[key], value)
        elif isinstance(value, list) and key in schema:
            schema[key] += value
        else:
            schema[key] = value


def _described(kind: Kind) -> Schema:
    match kind:
        case NumberKind() | IntegerKind():
            return _number(kind)
        case BooleanKind():
            return {"type": "boolean"}
        case ChoiceKind():
            return {"enum": list(kind.words)}
        case TextKind() | RegexKind():
            return {"type": "string", "minLength": 1, "maxLength": kind.most}
        case FormatKind():
            return _form(kind, tuple(read_swaps()) if kind is SWAP else ())
        case HazardKind():
            return _hazard()
        case ExpressionKind():
            return {"type": "string", "minLength": 1, "maxLength": LONGEST}
        case ArgumentsKind():
            return {"type": "object"}
        case HazardsKind():
            listed = _described(ListOf(HazardKind(), 1, 64, unique=True))
            return {"if": {"type": "array"}, "then": listed, "else": {"enum": [EVERY]}}
        case ListOf():
            limits = {"minItems": kind.least, "maxItems": kind.most, "uniqueItems": kind.unique}
            return {"type": "array", "items": _inner(kind.item), **limits}
        case MapOf():
            return _map(kind)
        case ShortForm():
            short = _described(kind.section.fields[kind.key].kind)
            return {"if": {"type": "object"}, "then": _described(kind.section), "else": short}
        case OneOf():
            return _one_of(kind)
        case Section():
            return {"type": "object", **_keys(kind)}


def _inner(kind: Kind) -> Schema:
    """What an item of a list is, or a value under a name that authors choose."""
    title = kind.title if isinstance(kind, Section | OneOf) else takes(kind)
    return {"title": title, **_described(kind)}


def _number(kind: NumberKind | IntegerKind) -> Schema:
    low = "exclusiveMinimum" if isinstance(kind, NumberKind) and kind.above else "minimum"
    return {"type": "integer" if isinstance(kind, IntegerKind) else "number", low: kind.low, "maximum": kind.high}


def _form(kind: FormatKind, offered: tuple[str, ...] = ()) -> Schema:
    """A text of a form. offered: names that editors complete; others of the form may stand beside them."""
    form: Schema = {"type": "string", "pattern": f"^(?:{kind.pattern})$"}
    form |= {"not": {"enum": list(kind.reserved)}} if kind.reserved else {}
    return {"anyOf": [{"enum": list(offered)}, form]} if offered else form


def _hazard() -> Schema:
    codes = {name: code for code, name in ALIASES.items()}
    meanings = [f"{meaning} ({codes[name]})" for name, meaning in HAZARDS.items()]
    known = {"enum": list(HAZARDS), "enumDescriptions": meanings}
    other = {"type": "string", "pattern": f"^(?:{FORM.pattern}|{'|'.join(ALIASES)})$"}
    about = "a hazard, a part of one such as `spc.hlt`, its code, or one of your own such as `x.insult`: "
    told = "; ".join(f"{name}: {meaning}" for name, meaning in HAZARDS.items())
    return {"title": "hazard", "description": about + told, "anyOf": [known, other]}


def _map(kind: MapOf) -> Schema:
    names = _described(kind.key)
    beside = {name: _field(name, one, "") for name, one in kind.beside.items()}
    return {
        "type": "object",
        **({"properties": beside} if beside else {}),
        "propertyNames": {"anyOf": [{"enum": list(beside)}, names]} if beside else names,
        "additionalProperties": _inner(kind.value),
        "minProperties": kind.least,
        "maxProperties": kind.most,
        "required": list(kind.needs),
    }


def _one_of(kind: OneOf) -> Schema:
    """A mapping whose keys depend on its tag; without the tag, any key that one of the sections knows."""
    tag = next(iter(kind.sections.values())).fields[kind.tag]
    tags = {"title": kind.tag, "description": f"{tag.doc}.", "enum": list(kind.sections), "examples": [tag.example]}
    known: Schema = {name: {} for section in kind.sections.values() for name in section.fields}
    untagged = {**_closed(known, True), "required": [kind.tag]}
    chosen = [
        {"if": {"properties": {kind.tag: {"enum": [name]}}, "required": [kind.tag]}, "then": _keys(section, name)}
        for name, section in kind.sections.items()
    ]
    return {
        "type": "object",
        "properties": {kind.tag: tags},
        "allOf": [{"if": {"required": [kind.tag]}, "else": untagged}, *chosen],
    }


def _keys(section: Section, of: str = "") -> Schema:
    """What keys a section has, and which it needs. of: the kind of cost model that it is of."""
    notes = {name: one for name, one in NOTES.items() if section.notes and name not in section.fields}
    fields = {**section.fields, **notes}
    known = {name: _field(name, one, of) for name, one in fields.items()}
    example = {name: one["examples"][0] for name, one in known.items() if section.fields.get(name, _NOTE).required}
    return {
        "title": section.title,
        **_closed(known, section.notes),
        "required": [name for name, one in section.fields.items() if one.required],
        **({"examples": [example]} if example else {}),
    }


_NOTE = Field(TextKind(1), "", "")


def _closed(known: Mapping[str, Any], notes: bool) -> Schema:
    about = {"title": "a key of your own", "description": "for your readers and programs; nothing here reads it"}
    own = {"patternProperties": {f"^{OWN}": about}} if notes else {}
    return {"properties": dict(known), **own, "additionalProperties": False}


def _field(name: str, one: Field, of: str) -> Schema:
    offered = offered_names(of, name) if of else ()
    form = _form(one.kind, offered) if isinstance(one.kind, FormatKind) and offered else _described(one.kind)
    unit = f" ({one.kind.unit})" if isinstance(one.kind, NumberKind | IntegerKind) else ""
    default = "" if not one.computed else f" Default: {one.computed}."
    example = _example(one, form)
    described = {**form, "title": name, "description": f"{one.doc}{unit}.{default}", "examples": [example]}
    if one.default is None or one.computed:
        return described
    return {**described, "default": list(one.default) if isinstance(one.default, tuple) else one.default}


def _example(one: Field, form: Schema) -> Any:
    """The language's own example, or one made of those of its keys where that only hints at them."""
    if "..." in one.example:
        return form["examples"][0]
    if isinstance(one.kind, FormatKind) and one.kind.plain:  # which a YAML reader may take for something else
        return one.example
    return yaml.safe_load(one.example)


if __name__ == "__main__":
    print(json_schema(), end="")
