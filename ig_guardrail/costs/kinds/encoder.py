"""Kind `encoder`: a line through the vectors of a sentence encoder, and the words beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import (
    ARTIFACT,
    HUB_NAME,
    REVISION,
    BuildContext,
    CostKind,
    artifact_folder,
    folder_or,
)
from ig_guardrail.costs.kinds.latent import PACKAGED as LATENT_HEADS
from ig_guardrail.fields.field import ChoiceKind, Field
from ig_guardrail.types import CostModelSpec

DEFAULT = "minilm"
ANSWER, EXCHANGE = "answer", "exchange"
PACKAGED = {**LATENT_HEADS, "harmful-exchange": LATENT_HEADS["harmful-help"]}
MODEL = folder_or("or a hub name", HUB_NAME, "./encoders/mine", also=f"`{DEFAULT}`, ")


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """The head in a folder, on its encoder. Raises MissingExtra without what reads that, HeadMismatch on another."""
    from ig_guardrail.costs.encoder.cost import read_encoder_cost
    from ig_guardrail.costs.encoder.loading import open_encoder

    folder = artifact_folder(spec, "head", tuple(PACKAGED), context.folder)
    name, revision = str(spec.options.get("encoder", DEFAULT)), spec.options.get("revision")
    encoder = open_encoder(name, context.folder, f"cost_models.{spec.name}.encoder", revision)
    return read_encoder_cost(folder, encoder, spec.name, spec.hazards, str(spec.options.get("reads", ANSWER)))


def _normal(model: Mapping[str, Any]) -> dict[str, Any]:
    """An entry that reads answers has the hash it had before there was another way."""
    return {key: value for key, value in model.items() if (key, value) != ("reads", ANSWER)}


ENCODER = CostKind(
    "encoder",
    {
        "head": Field(
            ARTIFACT, "the head on the encoder's vectors: packaged name, or folder", "harmful-help", required=True
        ),
        "encoder": Field(
            MODEL,
            "the sentence encoder: the packaged one, a folder, relative to the policy, or a hub name",
            "./encoders/mine",
            default=DEFAULT,
        ),
        "reads": Field(
            ChoiceKind((ANSWER, EXCHANGE)),
            "what is read: the `answer` alone, or the `exchange`, which is the user's last turn, too. A head is "
            "trained for one of them, and refused for the other",
            "exchange",
            default=ANSWER,
        ),
        "revision": Field(
            REVISION, "a branch, tag or commit of an encoder on the hub; its main branch if left out", "v1.0"
        ),
    },
    build,
    packaged=PACKAGED,
    normal=_normal,
)
