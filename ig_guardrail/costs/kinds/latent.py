"""Kind `latent`: a head on the hidden states of the model that answers."""

from __future__ import annotations

from importlib.resources.abc import Traversable

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import ARTIFACT, BuildContext, CostKind, artifact_folder, engine_beside
from ig_guardrail.errors import HeadMismatch
from ig_guardrail.fields.field import Field
from ig_guardrail.types import CostModelSpec

PACKAGED = {"harmful-help": ("ncr", "vcr", "iwp"), "toxic-tone": ("hte", "x.insult")}


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """The head in a folder, for the engine's numerics. Raises HeadMismatch unless it was trained on that model."""
    from ig_guardrail.costs.heads.latent import read_latent_head

    engine = engine_beside(spec, context, "a latent head", "scores hidden states")
    folder = _for_numerics(artifact_folder(spec, "head", tuple(PACKAGED), context.folder), engine.numerics, spec.name)
    head = read_latent_head(folder, spec.name, spec.hazards)
    head.check_fits(engine.model_sha256, engine.numerics)
    return head


def _for_numerics(folder: Traversable, numerics: str, name: str) -> Traversable:
    """Heads differ by numerics: the subfolder for these, unless the folder is itself an artifact."""
    from ig_guardrail.costs.heads.artifact import for_numerics, numerics_in

    found = for_numerics(folder, numerics)
    if found is not None:
        return found
    offered = numerics_in(folder)
    raise HeadMismatch(
        f"there is no head for weights in {numerics}",
        where=f"cost_models.{name}",
        why=f"{folder} has heads for: {', '.join(offered) or 'nothing'}",
        fix=f"load the model with dtype='{offered[0]}', or train a head with `ig-guardrail train head`"
        if offered
        else "train a head with `ig-guardrail train head`",
    )


LATENT = CostKind(
    "latent",
    {
        "head": Field(
            ARTIFACT, "the head on the model's hidden states: packaged name, or folder", "harmful-help", required=True
        ),
    },
    build,
    beyond="hidden states",
    packaged=PACKAGED,
)
