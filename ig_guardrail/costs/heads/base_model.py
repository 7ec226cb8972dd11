"""The language model that a head on hidden states was trained on, and the refusal to run it beside any other."""

from __future__ import annotations

from dataclasses import dataclass

from ig_guardrail.costs.heads.artifact import Artifact
from ig_guardrail.errors import HeadMismatch


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Content hash of a model's weights, and the numerics they run in."""

    sha256: str
    numerics: str

    def demand(self, loaded: BaseModel, where: str, command: str, what: str = "head") -> None:
        """Raises HeadMismatch unless `loaded` is the same; `command` trains such a `what` for another one."""
        for other, trained, found in (
            ("another base model", self.sha256, loaded.sha256),
            ("other numerics", self.numerics, loaded.numerics),
        ):
            if trained != found:
                raise HeadMismatch(
                    f"the {what} was trained on {other}: {trained}, but the engine runs {found}",
                    where=where,
                    why="hidden states differ between models and numerics, so what it says would mean nothing here",
                    fix=f"load that model and numerics, or train one with `{command}`",
                )


def read_base_model(artifact: Artifact) -> BaseModel:
    """What an artifact's card says of it. Raises ModelError if it does not."""
    base = artifact.section("base_model")
    sha256, numerics = base.get("sha256"), base.get("numerics")
    if not (isinstance(sha256, str) and isinstance(numerics, str)):
        raise artifact.unfit("its card does not name sha256 and numerics of the base model")
    return BaseModel(sha256, numerics)


def read_layers(artifact: Artifact) -> tuple[int, ...]:
    """The hidden layers that its card says it reads. Raises ModelError if there are none."""
    layers = artifact.section("base_model").get("layers")
    if not (isinstance(layers, list) and layers and all(type(layer) is int and layer > 0 for layer in layers)):
        raise artifact.unfit("its card does not name the layers of the base model that it reads")
    return tuple(layers)
