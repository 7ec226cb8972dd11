"""Kind `classifier`: a `transformers` sequence classifier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import (
    HAZARD,
    HUB_NAME,
    REVISION,
    BuildContext,
    CostKind,
    Declaration,
    folder_or,
    option_of,
)
from ig_guardrail.fields.field import BooleanKind, ChoiceKind, Field, FormatKind, ListOf, MapOf
from ig_guardrail.types import CostModelSpec

MODEL = folder_or("or a hub name", HUB_NAME, "./classifiers/mine")
LABEL = FormatKind("a label", r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,126}[^\x00-\x20\x7f])?", "toxic")


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """The classifier, on the engine's device."""
    from ig_guardrail.costs.classifier import classifier_cost
    from ig_guardrail.costs.sequence_classifier import load_sequence_classifier

    name, labels = option_of(spec, "model", (str,)), option_of(spec, "labels", (dict,))
    place = str((context.folder or Path()) / name) if name.startswith((".", "/")) else name
    device = context.engine.device if context.engine is not None else "cpu"
    revision = option_of(spec, "revision", (str,)) if "revision" in spec.options else None
    classifier = load_sequence_classifier(place, device, f"cost_models.{spec.name}.model", revision)
    scores, with_prompt = spec.options.get("scores"), spec.options.get("with_prompt") is True
    return classifier_cost(spec.name, classifier, labels, spec.hazards, scores, with_prompt)


def _normal(model: Mapping[str, Any]) -> dict[str, Any]:
    """Without a revision, the entry has the hash it had before there were any."""
    return {key: value for key, value in model.items() if value is not None or key != "revision"}


CLASSIFIER = CostKind(
    "classifier",
    {
        "model": Field(
            MODEL,
            "a transformers sequence classifier: a folder, relative to the policy, or a hub name",
            "./classifiers/mine",
            required=True,
        ),
        "revision": Field(
            REVISION,
            "a branch, tag or commit of a classifier on the hub; its main branch if left out. A folder has none. A "
            "commit names the same weights for good",
            "v1.0",
        ),
        "labels": Field(
            MapOf(HAZARD, ListOf(LABEL, 1, 64, unique=True), 1, 64),
            "which of the classifier's labels stand for a hazard; the highest of their scores counts",
            "{hte: [hate, insult]}",
            required=True,
        ),
        "scores": Field(
            ChoiceKind(("softmax", "sigmoid")),
            "how logits become scores: `softmax` against each other, `sigmoid` each alone",
            "softmax",
            computed="`sigmoid` for one label, and where the classifier's config says "
            "`multi_label_classification`; else `softmax`",
        ),
        "with_prompt": Field(
            BooleanKind(),
            "whether it reads a pair, first the prompt, then the answer; else the answer alone",
            "true",
            default=False,
        ),
    },
    build,
    normal=_normal,
    declares=Declaration(alike=False),
)
