"""Whether the names that an option gives hazards are of the hazards that the cost model scores, and leave out none."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from ig_guardrail.costs.kinds.openai import CATEGORIES
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, quoted
from ig_guardrail.policy.draft import PolicyDraft


@dataclass(frozen=True, slots=True)
class LabelMap:
    """An option that maps hazards to what stands for them in a model of another's making.

    name    what one such name is
    label   at a hazard without one
    advice  what to do about it, `{}` being the hazard
    usual   hazards that have names where the option says none; without any, the option itself is required
    elsewhere  whether what stands for a hazard may be said elsewhere than in the policy
    """

    kind: str
    option: str
    code: str
    name: str
    label: str
    advice: str
    usual: Container[str] = ()
    elsewhere: bool = False

    def faults(self, draft: PolicyDraft) -> Iterator[Diagnostic]:
        """Every hazard of such a cost model has names, and names are of its hazards only."""
        for model_name, model in (draft.value("cost_models") or {}).items():
            if model is None or model.get("kind") != self.kind or None in (model.get("hazards") or [None]):
                continue
            path = ("cost_models", model_name)
            written = model.get(self.option) or {}
            if draft.faulty(*path, self.option) or not (written or self.usual):
                continue
            for index, hazard in enumerate(model["hazards"]):
                if hazard not in written and hazard not in self.usual and not self.elsewhere:
                    spot = draft.spot(*path, "hazards", index)
                    message = f"no {self.name} stands for {quoted(hazard)}"
                    advice = f"{self.advice.format(hazard)}, or leave the hazard to another cost model"
                    yield spot.fault(self.code, message, label=self.label, help=advice)
            for hazard in written:
                if hazard not in model["hazards"]:
                    spot = draft.key_spot(*path, self.option, hazard)
                    message = f"{self.option} are written for {quoted(hazard)}, which this cost model does not score"
                    advice = "add it to `hazards`, or delete it"
                    yield spot.fault(self.code, message, label="not in `hazards`", help=advice)


NAMINGS = (
    LabelMap("guard", "categories", "P037", "category of the format", "", "", elsewhere=True),
    LabelMap(
        "openai",
        "categories",
        "P037",
        "category of the endpoint",
        "needs `categories`",
        "add `categories: {{{}: [...]}}`",
        usual=CATEGORIES,
    ),
    LabelMap(
        "classifier",
        "labels",
        "P038",
        "label of the classifier",
        "not in `labels`",
        "add it to `labels`, as `{}: [...]`",
    ),
)


def namings(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """The faults of all such options."""
    for naming in NAMINGS:
        yield from naming.faults(draft)
