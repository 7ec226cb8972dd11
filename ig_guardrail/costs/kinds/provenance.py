"""Kind `provenance`: runs of tokens that stand word for word in an index of texts."""

from __future__ import annotations

from pathlib import Path

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import PRINTABLE, BuildContext, CostKind, Declaration, engine_beside, option_of
from ig_guardrail.fields.field import Field, FormatKind, IntegerKind
from ig_guardrail.types import CostModelSpec

FOLDER = FormatKind(
    "a folder path that contains `/`",
    rf"{PRINTABLE}{{0,500}}/{PRINTABLE}{{0,500}}",
    "./indexes/unsafe",
    is_path=lambda text: True,
)


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """The two indexes. Raises HeadMismatch unless they are of the engine's language."""
    from ig_guardrail.costs.provenance.cost import Contrast, provenance_cost, read_fitting_index

    engine = engine_beside(spec, context, "an index", "is of token ids")
    unsafe, reference = (
        read_fitting_index(
            (context.folder or Path()) / option_of(spec, part, (str,)),
            engine.language,
            f"cost_models.{spec.name}.{part}",
        )
        for part in ("unsafe", "reference")
    )
    contrast = Contrast(*(option_of(spec, key, (int,)) for key in ("common", "norm", "hard")))
    return provenance_cost(spec.name, spec.hazards, unsafe, reference, contrast)


PROVENANCE = CostKind(
    "provenance",
    {
        "unsafe": Field(
            FOLDER,
            "the index of what may not be recited (`ig-guardrail index build`)",
            "./indexes/unsafe",
            required=True,
        ),
        "reference": Field(
            FOLDER,
            "the index of harmless text: what is in it as well is free",
            "./indexes/reference",
            required=True,
        ),
        "common": Field(
            IntegerKind(0, 256, "tokens"), "runs of this length are free, whoever has them", "6", default=6
        ),
        "norm": Field(
            IntegerKind(1, 256, "tokens"), "this much beyond what is free makes a score of 1", "8", default=8
        ),
        "hard": Field(
            IntegerKind(1, 256, "tokens"),
            "a run of this length that the reference does not have scores 1; longer runs count as long",
            "12",
            default=12,
        ),
    },
    build,
    beyond="token ids",
    declares=Declaration("token", "event"),
)
