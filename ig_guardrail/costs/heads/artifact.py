"""Artifacts: a folder with `card.json`, which says what it is, and one safetensors file, whose hash the card names.

Nothing in an artifact can run code. Files are read whole, up to a limit, and checked before they are parsed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.kinds.base import CARD
from ig_guardrail.errors import ModelError

TENSORS = "head.safetensors"
FORMAT = "ig-guardrail/artifact/v1"
MAX_CARD_BYTES = 2**20
MAX_TENSORS_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """A checked artifact. `sha256` covers card and tensors; `where` is for messages."""

    where: str
    card: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    sha256: str

    def section(self, name: str) -> Mapping[str, Any]:
        """An object in the card. Raises ModelError if it is not there."""
        value = self.card.get(name)
        if not isinstance(value, dict):
            raise self.unfit(f"its card has no section '{name}'")
        return value

    def vector(self, name: str, size: int | None = None) -> NDArray[np.float64]:
        """A one-dimensional tensor of finite numbers, as float64. Raises ModelError unless it is one, of that size."""
        value = self.tensors.get(name)
        if value is None or value.ndim != 1 or value.dtype.kind != "f":
            raise self.unfit(f"it has no vector of numbers called '{name}'")
        if size is not None and value.shape != (size,):
            raise self.unfit(f"'{name}' has {value.shape[0]} numbers instead of {size}")
        if not np.isfinite(value).all():
            raise self.unfit(f"'{name}' holds numbers that are not finite")
        return value.astype(np.float64)

    def scalar(self, name: str) -> float:
        """A tensor of one finite number."""
        return float(self.vector(name, 1)[0])

    def unfit(self, why: str) -> ModelError:
        return ModelError(
            "the artifact is unfit", where=self.where, why=why, fix="train it again, or restore the files"
        )


def read_artifact(folder: Traversable, kind: str) -> Artifact:
    """The artifact in `folder`, of that kind ("latent", "lexical").

    Raises ModelError if a file is missing, too large or malformed, or the tensors are not those the card names.
    """
    where = str(folder)
    card_bytes = _read(folder / CARD, MAX_CARD_BYTES)
    card = _parse_card(card_bytes, where)
    if card.get("kind") != kind:
        raise ModelError(
            f"the artifact is of kind {card.get('kind')!r}, not '{kind}'", where=where, fix="name it under its own kind"
        )
    tensor_bytes = _read(folder / TENSORS, MAX_TENSORS_BYTES)
    found = hashlib.sha256(tensor_bytes).hexdigest()
    if found != card.get("tensors_sha256"):
        raise ModelError(
            f"{TENSORS} is not the file that its card describes",
            where=where,
            why=f"its SHA-256 is {found}, the card names {card.get('tensors_sha256')}",
            fix="restore both files from one source, or train the artifact again",
        )
    digest = hashlib.sha256(hashlib.sha256(card_bytes).digest() + bytes.fromhex(found)).hexdigest()
    return Artifact(where, card, _parse_tensors(tensor_bytes, where), digest)


def for_numerics(folder: Traversable, numerics: str) -> Traversable | None:
    """The folder itself if it is an artifact, else the one in it that was made for these numerics; None without one."""
    places = (folder, folder / numerics)
    return next((place for place in places if (place / CARD).is_file()), None)


def numerics_in(folder: Traversable) -> list[str]:
    """The numerics that a folder has artifacts for."""
    return sorted(entry.name for entry in folder.iterdir() if (entry / CARD).is_file()) if folder.is_dir() else []


def kind_of(folder: Traversable) -> str:
    """What the card in `folder` says it is. Raises ModelError if there is no card."""
    return str(_parse_card(_read(folder / CARD, MAX_CARD_BYTES), str(folder)).get("kind"))


def _read(file: Traversable, limit: int) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise ModelError(
            f"{file.name} cannot be read",
            where=str(file),
            why=error.strerror or str(error),
            fix=f"an artifact is a folder with {CARD} and {TENSORS}",
        ) from error
    if len(content) > limit:
        raise ModelError(f"{file.name} is larger than {limit >> 20} MiB", where=str(file), fix="is it the right file?")
    return bytes(content)


def _parse_card(content: bytes, where: str) -> Mapping[str, Any]:
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{CARD} is not JSON", where=where, why=str(error), fix="restore the card") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelError(f"{CARD} is not a card of format '{FORMAT}'", where=where, fix="restore the card")
    return card


def _parse_tensors(content: bytes, where: str) -> Mapping[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(content))
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{TENSORS} cannot be parsed", where=where, why=str(error), fix="train it again") from error
