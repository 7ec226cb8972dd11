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

from ig_guardrail.costs.heads.linear import Scale, scale_between
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.data.recipes import Recipe, choose_rows, describe_sources, recipe_named
from ig_guardrail.learn.data.rows import LabelledRow, LabelledRows, read_rows
from ig_guardrail.learn.fitting.card import report, rounded, write_artifact
from ig_guardrail.learn.fitting.fit import Fit, fit_latent, fit_words
from ig_guardrail.learn.fitting.prefixes import PrefixSamples, look_at, prefix_counts, whole_counts
from ig_guardrail.learn.fitting.states import Means, cached_means
from ig_guardrail.learn.fitting.tensor_cache import progress_line
from ig_guardrail.statistics.binomial import proportion

DEPTHS = (2 / 5, 8 / 15, 2 / 3)
BUCKETS = 2**15
HARMLESS_SHARE = 0.05
SEED = 0
PACKAGES = ("ig-guardrail", "torch", "transformers", "safetensors", "numpy")


@dataclass(frozen=True, slots=True)
class Trained:
    """Where an artifact was written, and its card."""

    folder: Path
    card: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A head before it is written: its recipe, the looks that it was fitted to, and its score curve."""

    recipe: Recipe
    looks: PrefixSamples
    fit: Fit
    scale: Scale


def train_head(weights: Weights, data: Sequence[Path], out: Path, recipe: str, cache: Path) -> Trained:
    """Train the head of a recipe and write it to `out` (latent heads: to a folder in it named for the numerics).

    data   .jsonl or .jsonl.gz files of rows, the model's own benign answers among them
    cache  where hidden states are kept between runs; an interrupted run goes on from there
    Rows reserved for judges are left out. Raises DataError for malformed rows, GuardrailError if a part is missing.
    """
    chosen = recipe_named(recipe)
    read = read_rows(data)
    fitted = fit_head(chosen, choose_rows(chosen, read.rows), weights, cache, "train head")
    training = training_record(_command(recipe, weights), data, read, fitted.fit.settings)
    return write_head(fitted, weights, out / weights.numerics if chosen.kind == "latent" else out, training)


def fit_head(recipe: Recipe, rows: Sequence[LabelledRow], weights: Weights, cache: Path, where: str) -> FittedHead:
    """Fit the head of a recipe to rows. Raises GuardrailError, which points to `where`, if a part is missing."""
    demand_parts(rows, where)
    looks, fit = _fit(recipe, rows, weights, cache)
    return FittedHead(recipe, looks, fit, harmless_scale(looks, fit.logits))


def write_head(
    fitted: FittedHead, weights: Weights, folder: Path, training: Mapping[str, Any], **more: object
) -> Trained:
    """Write a head with its card to `folder`.

    training  how it was made
    more      further sections of the card
    """
    recipe, looks, fit, scale = fitted.recipe, fitted.looks, fitted.fit, fitted.scale
    card = {
        **_identity(recipe, weights, fit),
        "calibration": _calibration(looks, fit.logits, scale),
        "quality": report(looks, fit.logits, scale.centre, SEED),
        "training": training,
        **more,
        "sources": describe_sources(looks.rows),
        "limits": list(recipe.limits),
    }
    write_artifact(folder, card, {**fit.tensors, **scale_tensors(scale)})
    return Trained(folder, card)


def harmless_scale(looks: PrefixSamples, logits: NDArray[np.float64]) -> Scale:
    """The score curve: 0.1 at the mean of the calibration answers, 0.5 where 5% of them peak."""
    held_out = _calibrating(looks)
    mean = float(looks.at_charge_points(logits, held_out).mean())
    reached = float(np.quantile(looks.peaks(logits)[np.array(held_out)], 1 - HARMLESS_SHARE, method="higher"))
    return scale_between(mean, reached)


def layers_to_try(depth: int) -> tuple[int, ...]:
    """Three layers in the middle of a model of `depth` layers: 12, 16 and 20 of 30."""
    return tuple(sorted({max(1, round(depth * share)) for share in DEPTHS}))


def _fit(recipe: Recipe, rows: Sequence[LabelledRow], weights: Weights, cache: Path) -> tuple[PrefixSamples, Fit]:
    texts = [row.text for row in rows]
    if recipe.kind == "latent":
        layers = layers_to_try(weights.model.config.get_text_config().num_hidden_layers)
        means = _read_states(weights, rows, layers, cache)
        looks = look_at(rows, [mean.points for mean in means])
        return looks, fit_latent(looks, np.concatenate([mean.values for mean in means]), layers)
    if recipe.reads == "answer":
        points, counts = prefix_counts(chat_of(weights.tokenizer), texts, BUCKETS)
    else:
        points, counts = whole_counts(texts, BUCKETS)
    looks = look_at(rows, points)
    return looks, fit_words(looks, counts, BUCKETS)


def _read_states(weights: Weights, rows: Sequence[LabelledRow], layers: tuple[int, ...], cache: Path) -> list[Means]:
    """Source by source, so that other data in one source leaves what is kept of the rest."""
    found: dict[int, Means] = {}
    for source in dict.fromkeys(row.source for row in rows):
        mine = [index for index, row in enumerate(rows) if row.source == source]
        exchanges = [(rows[index].prompt, rows[index].text) for index in mine]
        means = cached_means(weights, exchanges, layers, cache, progress_line(f"reading states, {source}"))
        found.update(zip(mine, means, strict=True))
    return [found[index] for index in range(len(rows))]


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
    held_out = _calibrating(looks)
    peaks = looks.peaks(logits)[np.array(held_out)]
    spread = float(looks.at_charge_points(logits, held_out).std())
    return {
        "what": "the model's own benign answers that training never saw; 0.5 is the score which 5% of them reach at "
        "some charge point, 0.1 that of their mean logit",
        "answers": len(peaks),
        "share above 0.5 at some charge point": rounded(proportion(int((peaks > scale.centre).sum()), len(peaks))),
        "standard deviation of benign logits": round(spread, 3),
        "score one such deviation below 0.5": round(scale.score(scale.centre - spread), 3),
    }


def _command(recipe: str, weights: Weights) -> str:
    kept = f" --weights {weights.quantized}" if weights.quantized else ""
    return f"ig-guardrail train head --recipe {recipe}{kept}"


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


def _calibrating(looks: PrefixSamples) -> list[bool]:
    return [row.split == "calibration" and row.label == "safe" for row in looks.rows]


def scale_tensors(scale: Scale) -> dict[str, NDArray[np.float32]]:
    """A score curve as an artifact keeps it."""
    return {
        "centre": np.array([scale.centre], dtype=np.float32),
        "width": np.array([scale.width], dtype=np.float32),
    }
