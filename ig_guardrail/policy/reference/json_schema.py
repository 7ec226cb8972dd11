"""The language as a JSON Schema, for completion and hover texts in editors. The checker is stricter, and decides.

`python -m ig_guardrail.policy.reference.json_schema` prints it.
"""

from __future__ import annotations

import json
from typing import Any

from ig_guardrail.fields import (
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
from ig_guardrail.hazards import ALIASES, EVERY, FORM, HAZARDS
from ig_guardrail.policy.expression import LONGEST
from ig_guardrail.policy.language import NOTES, OWN, POLICY


def json_schema() -> str:
    """The schema as JSON text, the same on every machine."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ig-guardrail safety policy"}
    return json.dumps({**head, **_described(POLICY)}, indent=1, ensure_ascii=False) + "\n"


def _described(kind: Kind) -> dict[str, Any]:
    match kind:
        case NumberKind() | IntegerKind():
            return _number(kind)
        case BooleanKind():
            return {"type": "boolean"}
        case ChoiceKind():
            return {"const": kind.words[0]} if len(kind.words) == 1 else {"enum": list(kind.words)}
        case TextKind() | RegexKind():
            return {"type": "string", "minLength": 1, "maxLength": kind.most}
        case FormatKind():
            return _form(kind)
        case HazardKind():
            return _hazard()
        case ExpressionKind():
            return {"type": "string", "maxLength": LONGEST}
        case ArgumentsKind():
            return {"type": "object"}
        case HazardsKind():
            return {"oneOf": [{"const": EVERY}, _described(ListOf(HazardKind(), 1, 64, unique=True))]}
        case ListOf():
            limits = {"minItems": kind.least, "maxItems": kind.most, "uniqueItems": kind.unique}
            return {"type": "array", "items": _described(kind.item), **limits}
        case MapOf():
            return _map(kind)
        case ShortForm():
            return {"oneOf": [_described(kind.section.fields[kind.key].kind), _described(kind.section)]}
        case OneOf():
            return {"oneOf": [_described(section) for section in kind.sections.values()]}
        case Section():
            return _section(kind)


def _number(kind: NumberKind | IntegerKind) -> dict[str, Any]:
    low = "exclusiveMinimum" if isinstance(kind, NumberKind) and kind.above else "minimum"
    return {"type": "integer" if isinstance(kind, IntegerKind) else "number", low: kind.low, "maximum": kind.high}


def _form(kind: FormatKind) -> dict[str, Any]:
    form: dict[str, Any] = {"type": "string", "pattern": f"^(?:{kind.pattern})$"}
    return {**form, "not": {"enum": list(kind.reserved)}} if kind.reserved else form


def _hazard() -> dict[str, Any]:
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in HAZARDS.items())
    return {"type": "string", "pattern": f"^(?:{FORM.pattern}|{'|'.join(ALIASES)})$", "description": meanings}


def _map(kind: MapOf) -> dict[str, Any]:
    names = _described(kind.key)
    return {
        "type": "object",
        **({"properties": {name: _field(one) for name, one in kind.beside.items()}} if kind.beside else {}),
        "propertyNames": {"anyOf": [{"enum": list(kind.beside)}, names]} if kind.beside else names,
        "additionalProperties": _described(kind.value),
        "minProperties": kind.least,
        "maxProperties": kind.most,
        "required": list(kind.needs),
    }


def _section(kind: Section) -> dict[str, Any]:
    fields = {**kind.fields, **NOTES} if kind.notes else kind.fields
    return {
        "type": "object",
        "properties": {name: _field(one) for name, one in fields.items()},
        **({"patternProperties": {f"^{OWN}": {}}} if kind.notes else {}),
        "required": [name for name, one in fields.items() if one.required],
        "additionalProperties": False,
    }


def _field(one: Field) -> dict[str, Any]:
    unit = f" ({one.kind.unit})" if isinstance(one.kind, NumberKind | IntegerKind) else ""
    default = "" if not one.computed else f" Default: {one.computed}."
    described = {**_described(one.kind), "description": f"{one.doc}{unit}.{default}"}
    if one.default is None or one.computed:
        return described
    return {**described, "default": list(one.default) if isinstance(one.default, tuple) else one.default}


if __name__ == "__main__":
    print(json_schema(), end="")
