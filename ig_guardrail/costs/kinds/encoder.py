"""Kind `encoder`: a line through the vectors of a sentence encoder, and the words beside them."""

from __future__ import annotations

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import ARTIFACT, PRINTABLE, BuildContext, CostKind, artifact_folder
from ig_guardrail.fields import Field, FormatKind
from ig_guardrail.revisions import FORM
from ig_guardrail.types import CostModelSpec

PACKAGED = ("harmful-help", "toxic-tone")
SHELF = "encoder"  # the folder of the packaged ones
DEFAULT = "minilm"
MODEL = FormatKind(
    f"`{DEFAULT}`, a folder path that starts with `./`, `../` or `/`, or a hub name",
    rf"\.{{0,2}}/{PRINTABLE}{{1,500}}|[A-Za-z0-9][A-Za-z0-9._-]{{0,95}}(?:/[A-Za-z0-9][A-Za-z0-9._-]{{0,95}})?",
    "./encoders/mine",
    is_path=lambda text: text.startswith((".", "/")),
)
REVISION = FormatKind("a branch, tag or commit", FORM.pattern, "v1.0")


def build(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """The head in a folder, on its encoder. Raises MissingExtra without what reads that, HeadMismatch on another."""
    from ig_guardrail.costs.encoder.cost import read_encoder_cost
    from ig_guardrail.costs.encoder.loading import open_encoder

    folder = artifact_folder(spec, "head", PACKAGED, context.folder, SHELF)
    name, revision = str(spec.options.get("encoder", DEFAULT)), spec.options.get("revision")
    encoder = open_encoder(name, context.folder, f"cost_models.{spec.name}.encoder", revision)
    return read_encoder_cost(folder, encoder, spec.name, spec.hazards)


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
        "revision": Field(
            REVISION, "a branch, tag or commit of an encoder on the hub; its main branch if left out", "v1.0"
        ),
    },
    build,
    packaged=PACKAGED,
)
