"""Kind `lexical`: a linear model of the words of a text."""

from __future__ import annotations

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import ARTIFACT, BuildContext, CostKind, artifact_folder
from ig_guardrail.fields.field import Field
from ig_guardrail.types import CostModelSpec

PACKAGED = {"words": ("ncr", "vcr", "iwp", "hte", "x.insult"), "screen": ("ncr", "vcr", "iwp")}


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """The model in a folder."""
    from ig_guardrail.costs.heads.lexical import read_lexical_head

    return read_lexical_head(artifact_folder(spec, "model", tuple(PACKAGED), context.folder), spec.name, spec.hazards)


LEXICAL = CostKind(
    "lexical",
    {"model": Field(ARTIFACT, "the bag-of-words model: packaged name, or folder", "words", required=True)},
    build,
    quick=True,
    packaged=PACKAGED,
    asking=("screen",),
)
