"""The kinds of cost models that ship, by name, in the order in which the reference page tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ig_guardrail.costs.kinds.base import CostKind
from ig_guardrail.costs.kinds.classifier import CLASSIFIER
from ig_guardrail.costs.kinds.encoder import ENCODER
from ig_guardrail.costs.kinds.guard import GUARD
from ig_guardrail.costs.kinds.latent import LATENT
from ig_guardrail.costs.kinds.lexical import LEXICAL
from ig_guardrail.costs.kinds.openai import OPENAI
from ig_guardrail.costs.kinds.pattern import PATTERN
from ig_guardrail.costs.kinds.plugins import PROVIDED, PYTHON
from ig_guardrail.costs.kinds.provenance import PROVENANCE
from ig_guardrail.fields.field import FormatKind

KINDS: Mapping[str, CostKind] = {
    kind.name: kind
    for kind in (
        LATENT,
        LEXICAL,
        ENCODER,
        PATTERN,
        PROVENANCE,
        CLASSIFIER,
        GUARD,
        OPENAI,
        PYTHON,
        PROVIDED,
    )
}


def path_options(model: Mapping[str, Any]) -> list[str]:
    """The keys of an entry of a policy under which paths stand, which start at the policy's folder."""
    fields = KINDS[model["kind"]].fields.items()
    forms = {key: field.kind for key, field in fields if isinstance(field.kind, FormatKind)}
    return [key for key, form in forms.items() if model.get(key) and form.is_a_path(model[key])]
