"""The messages of a policy: their normal form, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ig_guardrail.types import PARTS, Approval, Messages

BY_HAZARD = "by_hazard"


def normal_messages(values: Mapping[str, Any]) -> dict[str, Any]:
    """The normal form: what nobody approved is a text alone, and what is not written is left out."""
    severity = {"severity": values["severity"]} if values.get("severity") else {}
    return {**{part: _normal(values[part]) for part in PARTS.values()}, **severity}


def _normal(texts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _normal(one) if isinstance(one, dict) and "text" not in one else _said(one) for key, one in texts.items()
    }


def _said(one: Any) -> Any:
    return one["text"] if isinstance(one, dict) and one.get("approved") is None else one


def compiled_messages(form: Mapping[str, Any]) -> Messages:
    """The messages of a normal form."""
    approved: dict[str, Approval] = {}

    def texts_of(name: str, texts: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for tag, one in sorted(texts.items()):
            if tag == BY_HAZARD:
                continue
            if isinstance(one, dict):
                approved[f"{name}.{tag}"] = Approval(**one["approved"])
            found[tag] = one["text"] if isinstance(one, dict) else one
        return found

    general = {part: texts_of(part, form[part]) for part in PARTS.values()}
    by_hazard = {
        part: {hazard: texts_of(f"{part}.{BY_HAZARD}.{hazard}", texts) for hazard, texts in sorted(own.items())}
        for part in PARTS.values()
        if (own := form[part].get(BY_HAZARD))
    }
    return Messages(general["refusal"], general["closing"], by_hazard, tuple(form.get("severity", ())), approved)
