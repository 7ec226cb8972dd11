"""Which way of keeping keys and values a model gets."""

from __future__ import annotations

from typing import Any

from ig_guardrail.engine.model import Model
from ig_guardrail.engine.passes import Caching
from ig_guardrail.engine.repeat import Repetition
from ig_guardrail.engine.shared import Sharing, serves


def usual_caching(model: Model) -> Caching[Any]:
    """`Sharing` where that gives what the model gives, and `Repetition` elsewhere."""
    return Sharing(model) if serves(model) else Repetition(model)
