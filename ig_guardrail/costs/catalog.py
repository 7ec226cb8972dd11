"""Makes the cost models that a policy names: packaged ones by name, others by folder, endpoint or entry point."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.calls.finished import finished_calls
from ig_guardrail.costs.calls.rules import tool_rules
from ig_guardrail.costs.classifier import ClassifierCost, classifier_cost
from ig_guardrail.costs.heads.artifact import for_numerics, numerics_in
from ig_guardrail.costs.heads.latent import LatentHead, read_latent_head
from ig_guardrail.costs.heads.lexical import LexicalHead, read_lexical_head
from ig_guardrail.costs.pattern import PatternCost, compile_patterns
from ig_guardrail.costs.plugins import check_provided, installed_cost_model, provided_cost_model
from ig_guardrail.costs.provenance.cost import Contrast, ProvenanceCost, provenance_cost, read_fitting_index
from ig_guardrail.costs.remote.moderation import moderation_cost
from ig_guardrail.costs.sequence_classifier import load_sequence_classifier
from ig_guardrail.errors import HeadMismatch, ModelError
from ig_guardrail.types import CostModelSpec

PACKAGED = {"latent": ("harmful-help", "toxic-tone"), "lexical": ("words", "screen")}
KINDS = ("latent", "lexical", "pattern", "provenance", "classifier", "openai", "python", "provided")
BEYOND_TEXT = {"latent": "hidden states", "provenance": "token ids"}  # kinds that read more than text, and what
OF_CALLS = ("tools", "calls")  # kinds that read calls and no words


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What a latent head must fit: the content hash of the loaded weights, and the dtype they run in.

    language: what an index must fit, the hash of what token ids spell
    device: where it runs, and where classifiers run beside it
    """

    model_sha256: str
    numerics: str
    language: str = ""
    device: str = "cpu"


def build_cost_models(
    specs: Sequence[CostModelSpec],
    given: Mapping[str, CostModel] | None = None,
    *,
    engine: EngineFacts | None,
    base_dir: Path | None,
) -> dict[str, CostModel]:
    """The cost models of all these entries, by name.

    given     what the program hands in for the entries of kind `provided`, and for no others
    Raises ModelError as `build_cost_model` does, and for what is given beyond or short of what is asked for.
    """
    check_provided(specs, given or {})
    made = {
        spec.name: provided_cost_model(spec, given or {})
        if spec.kind == "provided"
        else build_cost_model(spec, engine=engine, base_dir=base_dir)
        for spec in specs
        if spec.kind != "calls"
    }
    return {**made, **{spec.name: finished_calls(spec, made) for spec in specs if spec.kind == "calls"}}


def build_cost_model(spec: CostModelSpec, *, engine: EngineFacts | None, base_dir: Path | None) -> CostModel:
    """The cost model of one entry of a policy's `cost_models`, of any kind that needs no other and is not `provided`.

    engine    the engine it will run beside; only latent heads and indexes need one
    base_dir  where relative artifact folders start; the working directory if None
    Raises ModelError for an artifact that is missing or unfit, HeadMismatch for one that does not fit the engine.
    """
    if spec.kind == "latent":
        return _latent(spec, engine, base_dir)
    if spec.kind == "lexical":
        return _lexical(spec, base_dir)
    if spec.kind == "pattern":
        return _pattern(spec)
    if spec.kind == "provenance":
        return _provenance(spec, engine, base_dir)
    if spec.kind == "classifier":
        return _classifier(spec, engine, base_dir)
    if spec.kind == "openai":
        return moderation_cost(spec)
    if spec.kind == "python":
        return installed_cost_model(spec)
    if spec.kind == "tools":  # made of a policy's section of that name
        return tool_rules(spec.name, spec.hazards, spec.options)
    raise ModelError(
        f"there is no kind of cost model called '{spec.kind}'",
        where=f"cost_models.{spec.name}",
        fix=f"the kinds are {', '.join(KINDS)}",
    )


def _latent(spec: CostModelSpec, engine: EngineFacts | None, base_dir: Path | None) -> LatentHead:
    if engine is None:
        raise ModelError(
            "a latent head needs a language model to read",
            where=f"cost_models.{spec.name}",
            why="it scores hidden states, and no engine is open",
            fix="use a lexical or pattern cost here",
        )
    folder = _numerics_folder(_folder(spec, "head", base_dir), engine.numerics, spec.name)
    head = read_latent_head(folder, spec.name, spec.hazards)
    head.check_fits(engine.model_sha256, engine.numerics)
    return head


def _lexical(spec: CostModelSpec, base_dir: Path | None) -> LexicalHead:
    return read_lexical_head(_folder(spec, "model", base_dir), spec.name, spec.hazards)


def _pattern(spec: CostModelSpec) -> PatternCost:
    patterns = _option(spec, "patterns", (list, tuple))
    longest = _option(spec, "longest_match", (int,))
    named = [one if isinstance(one, Mapping) else {"pattern": str(one)} for one in patterns]
    return compile_patterns(
        [str(one["pattern"]) for one in named],
        longest,
        spec.name,
        spec.hazards,
        names=[one.get("name") for one in named],
        normalise=spec.options.get("normalise", "text") != "none",
    )


def _provenance(spec: CostModelSpec, engine: EngineFacts | None, base_dir: Path | None) -> ProvenanceCost:
    if engine is None:
        raise ModelError(
            "an index needs a language model to read",
            where=f"cost_models.{spec.name}",
            why="it is of token ids, and no engine is open",
            fix="use a lexical or pattern cost here",
        )
    unsafe, reference = (
        read_fitting_index(
            (base_dir or Path()) / _option(spec, part, (str,)), engine.language, f"cost_models.{spec.name}.{part}"
        )
        for part in ("unsafe", "reference")
    )
    contrast = Contrast(*(_option(spec, key, (int,)) for key in ("common", "norm", "hard")))
    return provenance_cost(spec.name, spec.hazards, unsafe, reference, contrast)


def _classifier(spec: CostModelSpec, engine: EngineFacts | None, base_dir: Path | None) -> ClassifierCost:
    name, labels = _option(spec, "model", (str,)), _option(spec, "labels", (dict,))
    place = str((base_dir or Path()) / name) if name.startswith((".", "/")) else name
    device = engine.device if engine is not None else "cpu"
    classifier = load_sequence_classifier(place, device, f"cost_models.{spec.name}.model")
    scores, with_prompt = spec.options.get("scores"), spec.options.get("with_prompt") is True
    return classifier_cost(spec.name, classifier, labels, spec.hazards, scores, with_prompt)


def _folder(spec: CostModelSpec, option: str, base_dir: Path | None) -> Traversable:
    """The packaged artifact of that name, else the folder of that path."""
    given = str(_option(spec, option, (str,)))
    names = PACKAGED[spec.kind]
    if given in names:
        return files("ig_guardrail.artifacts") / given
    path = (base_dir or Path()) / given
    if path.is_dir():
        return path
    near = difflib.get_close_matches(given, names, n=1)
    raise ModelError(
        f"there is no artifact '{given}'",
        where=f"cost_models.{spec.name}.{option}",
        why=f"it is no packaged name ({', '.join(names)}), and {path} is not a folder",
        fix=f"write '{near[0]}'" if near else "write a packaged name or the path of an artifact folder",
    )


def _numerics_folder(folder: Traversable, numerics: str, name: str) -> Traversable:
    """Heads differ by numerics: the subfolder for these, unless the folder is itself an artifact."""
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


def _option(spec: CostModelSpec, name: str, types: tuple[type, ...]) -> Any:
    value = spec.options.get(name)
    if not isinstance(value, types) or isinstance(value, bool):
        raise ModelError(
            f"option '{name}' is missing or of the wrong type",
            where=f"cost_models.{spec.name}",
            fix=f"a {spec.kind} cost model needs '{name}'",
        )
    return value
