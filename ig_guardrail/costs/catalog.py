"""Makes the cost models that a policy names: packaged ones by name, others by folder."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.latent import LatentHead, read_latent_head
from ig_guardrail.costs.lexical import LexicalHead, read_lexical_head
from ig_guardrail.costs.pattern import PatternCost, compile_patterns
from ig_guardrail.costs.tools import tool_rules
from ig_guardrail.errors import HeadMismatch, ModelError
from ig_guardrail.types import CostModelSpec

PACKAGED = {"latent": ("harmful-help", "toxic-tone"), "lexical": ("words", "screen")}
KINDS = ("latent", "lexical", "pattern")
OF_HIDDEN_STATES = ("latent",)  # kinds that read more than text


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What a latent head must fit: the content hash of the loaded weights, and the dtype they run in."""

    model_sha256: str
    numerics: str


def build_cost_model(spec: CostModelSpec, *, engine: EngineFacts | None, base_dir: Path | None) -> CostModel:
    """The cost model of one entry of a policy's `cost_models`.

    engine    the engine it will run beside; only latent heads need one
    base_dir  where relative artifact folders start; the working directory if None
    Raises ModelError for an artifact that is missing or unfit, HeadMismatch for a head that does not fit the engine.
    """
    if spec.kind == "latent":
        return _latent(spec, engine, base_dir)
    if spec.kind == "lexical":
        return _lexical(spec, base_dir)
    if spec.kind == "pattern":
        return _pattern(spec)
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
    return compile_patterns([str(pattern) for pattern in patterns], longest, spec.name, spec.hazards)


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
    if (folder / "card.json").is_file():
        return folder
    if (folder / numerics / "card.json").is_file():
        return folder / numerics
    offered = sorted(entry.name for entry in folder.iterdir() if (entry / "card.json").is_file())
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
