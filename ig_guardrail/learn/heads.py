"""Trains a head from labelled rows and writes it with its card: the work behind `ig-guardrail train head`."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.artifact import Artifact, read_artifact
from ig_guardrail.costs.heads.base_model import BaseModel, read_base_model
from ig_guardrail.costs.heads.brief import BRIEF
from ig_guardrail.costs.heads.latent import read_scale
from ig_guardrail.costs.heads.linear import Scale
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.brief import BriefLine, fit_brief_states, fit_brief_words
from ig_guardrail.learn.data.recipes import (
    WRITTEN,
    Recipe,
    choose_rows,
    describe_sources,
    recipe_named,
    with_consent,
    with_refusals,
)
from ig_guardrail.learn.data.risky import requests_for_crimes
from ig_guardrail.learn.data.rows import LabelledRow, LabelledRows, read_rows
from ig_guardrail.learn.fitting.card import report, rounded, write_artifact
from ig_guardrail.learn.fitting.fit import Fit, fit_latent, fit_words
from ig_guardrail.learn.fitting.prefixes import PrefixSamples, look_at, prefix_counts, whole_counts
from ig_guardrail.learn.fitting.scale import harmless_scale, scale_tensors
from ig_guardrail.learn.fitting.states import rows_means
from ig_guardrail.statistics.binomial import proportion

DEPTHS = (2 / 5, 8 / 15, 2 / 3)
BUCKETS = 2**15
SEED = 0
OWN = "the model's own"
PACKAGES = ("ig-guardrail", "torch", "transformers", "safetensors", "numpy")


@dataclass(frozen=True, slots=True)
class Trained:
    """Where an artifact was written, and its card."""

    folder: Path
    card: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A head before it is written: its recipe, the looks that it was fitted to, and its score curve.

    brief: the second line of a head that reads answers
    """

    recipe: Recipe
    looks: PrefixSamples
    fit: Fit
    scale: Scale
    brief: BriefLine | None = None


def train_head(weights: Weights, data: Sequence[Path], out: Path, recipe: str, cache: Path) -> Trained:
    """Train the head of a recipe and write it to `out` (latent heads: to a folder in it named for the numerics).

    data   .jsonl or .jsonl.gz files of rows, the model's own benign answers among them
    cache  where hidden states are kept between runs; an interrupted run goes on from there
    A latent head learns refusals of harmful requests, of those among the rows and of this project's, and beginnings
    of help with them where the recipe says so. Rows reserved for judges are left out. Raises DataError for malformed
    rows, GuardrailError if a part is missing.
    """
    chosen = recipe_named(recipe)
    read = read_rows(data)
    fitted = fit_head(chosen, _rows(chosen, read), weights, cache, "train head")
    training = training_record(_command(recipe, weights), data, read, fitted.fit.settings)
    return write_head(fitted, weights, out / weights.numerics if chosen.kind == "latent" else out, training)


def fit_head(recipe: Recipe, rows: Sequence[LabelledRow], weights: Weights, cache: Path, where: str) -> FittedHead:
    """Fit the head of a recipe to rows. Raises GuardrailError, which points to `where`, if a part is missing."""
    demand_parts(rows, where)
    looks, fit = _fit(recipe, rows, weights, cache)
    groups = list(_calibrating(looks).values())
    scale = harmless_scale(looks, fit.logits, groups[0], *groups)
    if recipe.reads == "prompt":
        return FittedHead(recipe, looks, fit, scale)
    brief = _brief(recipe, rows, weights, fit.settings.get("layer", 0), scale, cache)
    return FittedHead(recipe, looks, fit, scale, brief)


def _brief(
    recipe: Recipe, rows: Sequence[LabelledRow], weights: Weights, layer: int, scale: Scale, cache: Path
) -> BriefLine:
    if recipe.kind == "lexical":
        return fit_brief_words(rows, BUCKETS, scale)
    return fit_brief_states(rows, weights, layer, scale, cache)


def write_head(
    fitted: FittedHead, weights: Weights, folder: Path, training: Mapping[str, Any], **more: object
) -> Trained:
    """Write a head with its card to `folder`.

    training  how it was made
    more      further sections of the card
    """
    recipe, looks, fit, scale, brief = fitted.recipe, fitted.looks, fitted.fit, fitted.scale, fitted.brief
    card = {
        **_identity(recipe, weights, fit),
        "calibration": _calibration(looks, fit.logits, scale),
        "quality": report(looks, fit.logits, scale.centre, SEED),
        **({} if brief is None else {"brief": brief.card}),
        "training": training,
        **more,
        "sources": describe_sources(looks.rows),
        "limits": list(recipe.limits),
    }
    write_artifact(folder, card, {**fit.tensors, **scale_tensors(scale), **(brief.tensors if brief else {})})
    return Trained(folder, card)


def add_brief_line(weights: Weights, data: Sequence[Path], folder: Path, recipe: str, cache: Path) -> Trained:
    """Fit the second line of the head in `folder` to the rows of a recipe, and write it there; the first stays.

    Raises ModelError if no such head is there, HeadMismatch if it belongs to another model, GuardrailError if the
    recipe reads prompts, DataError for malformed rows.
    """
    chosen, read = recipe_named(recipe), read_rows(data)
    if chosen.reads == "prompt":
        raise GuardrailError(
            f"the recipe '{recipe}' reads prompts, and these whole", where="--recipe", fix="name one for answers"
        )
    artifact = read_artifact(folder, chosen.kind)
    if chosen.kind == "latent":
        running = BaseModel(weights.sha256, weights.numerics)
        read_base_model(artifact).demand(running, str(folder), "ig-guardrail train head")
    rows = choose_rows(chosen, read.rows)
    demand_parts(rows, "train brief")
    layer = artifact.card.get("base_model", {}).get("layer", 0)
    brief = _brief(chosen, rows, weights, layer, read_scale(artifact), cache)
    command = f"ig-guardrail train brief --recipe {recipe}{_kept(weights)}"
    return put_brief(folder, artifact, brief, training_record(command, data, read, brief.card["settings"]))


def put_brief(folder: Path, artifact: Artifact, brief: BriefLine, training: Mapping[str, Any]) -> Trained:
    """Write a head anew, with this second line. training: how the line was made"""
    first = {name: value for name, value in artifact.tensors.items() if not name.startswith(BRIEF)}
    card = {**artifact.card, "brief": {**brief.card, "training": training}}
    write_artifact(folder, card, {**first, **brief.tensors})
    return Trained(folder, card)


def _rows(recipe: Recipe, read: LabelledRows) -> tuple[LabelledRow, ...]:
    chosen = choose_rows(recipe, read.rows)
    if recipe.kind != "latent":
        return chosen
    asked = [*read.rows, *requests_for_crimes()]
    refused = with_refusals(chosen, asked)
    return with_consent(recipe, refused, asked) if recipe.asked else refused


def layers_to_try(depth: int) -> tuple[int, ...]:
    """Three layers in the middle of a model of `depth` layers: 12, 16 and 20 of 30."""
    return tuple(sorted({max(1, round(depth * share)) for share in DEPTHS}))


def _fit(recipe: Recipe, rows: Sequence[LabelledRow], weights: Weights, cache: Path) -> tuple[PrefixSamples, Fit]:
    texts = [row.text for row in rows]
    if recipe.kind == "latent":
        layers = layers_to_try(weights.layers)
        means = rows_means(weights, rows, layers, cache)
        looks = look_at(rows, [mean.points for mean in means])
        return looks, fit_latent(looks, np.concatenate([mean.values for mean in means]), layers)
    if recipe.reads == "answer":
        points, counts = prefix_counts(chat_of(weights.tokenizer), texts, BUCKETS)
    else:
        points, counts = whole_counts(texts, BUCKETS)
    looks = look_at(rows, points)
    return looks, fit_words(looks, counts, BUCKETS)


def demand_parts(rows: Sequence[LabelledRow], where: str) -> None:
    """Every part that training needs must be there: harm and harmlessness to learn and choose, and calibration rows.

    Raises GuardrailError, which points to the command `where`, if one is missing.
    """
    for split, label in (
        ("train", "harmful"),
        ("train", "safe"),
        ("validation", "harmful"),
        ("validation", "safe"),
        ("calibration", "safe"),
    ):
        if not any(row.split == split and row.label == label for row in rows):
            raise GuardrailError(
                f"the data has no {label} rows in the split '{split}' that this recipe reads",
                where=where,
                fix="make the model's own benign answers with `ig-guardrail train answers` and add them to --data"
                if label == "safe"
                else "add rows labelled harmful, with that split",
            )


def _identity(recipe: Recipe, weights: Weights, fit: Fit) -> dict[str, Any]:
    identity: dict[str, Any] = {"name": recipe.name, "kind": recipe.kind, "about": recipe.about}
    if recipe.kind == "latent":
        layer = fit.settings["layer"]
        identity["base_model"] = {
            "name": weights.name,
            "sha256": weights.sha256,
            "numerics": weights.numerics,
            "layer": layer,
        }
    return identity


def _calibration(looks: PrefixSamples, logits: NDArray[np.float64], scale: Scale) -> dict[str, Any]:
    groups, all_peaks = _calibrating(looks), looks.peaks(logits)
    spread = float(looks.at_charge_points(logits, groups[OWN]).std())
    found = {}
    for name, marked in groups.items():
        peaks = all_peaks[np.array(marked)]
        above = rounded(proportion(int((peaks > scale.centre).sum()), len(peaks)))
        found[name] = {"answers": len(peaks), "share above 0.5 at some charge point": above}
    return {
        "what": "harmless answers that training never saw; 0.5 is the lowest score which no more than 5% of the "
        "model's own, and of this project's, reach at some charge point, 0.1 that of the mean logit of the model's own",
        **found,
        "standard deviation of benign logits": round(spread, 3),
        "score one such deviation below 0.5": round(scale.score(scale.centre - spread), 3),
    }


def _command(recipe: str, weights: Weights) -> str:
    return f"ig-guardrail train head --recipe {recipe}{_kept(weights)}"


def _kept(weights: Weights) -> str:
    return f" --weights {weights.quantized}" if weights.quantized else ""


def training_record(
    command: str, data: Sequence[Path], read: LabelledRows, settings: Mapping[str, Any], *packages: str
) -> dict[str, Any]:
    """What a card says of how its artifact was made, so that it can be made again.

    packages  on which its numbers depend besides the usual ones
    """
    return {
        "command": " ".join([command, *(f"--data {path.name}" for path in data), "--out FOLDER"]),
        "data_sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data},
        "rows skipped": dict(read.skipped),
        "rows reserved for judges": sum(row.reserved for row in read.rows),
        "settings": dict(settings),
        "seed": SEED,
        "versions": versions(*packages),
    }


def versions(*more: str) -> dict[str, str]:
    """Of Python and of the packages that the numbers of an artifact depend on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in (*PACKAGES, *more)}}


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"


def _calibrating(looks: PrefixSamples) -> dict[str, list[bool]]:
    """By what wrote them, the harmless rows that set the score curve: first those that stand for the model."""
    safe = [row.split == "calibration" and row.label == "safe" for row in looks.rows]
    written = [row.source in WRITTEN for row in looks.rows]
    groups = {
        OWN: [fits and not ours for fits, ours in zip(safe, written, strict=True)],
        "this project's": [fits and ours for fits, ours in zip(safe, written, strict=True)],
    }
    return {name: marked for name, marked in groups.items() if any(marked)} if any(groups[OWN]) else {OWN: safe}
