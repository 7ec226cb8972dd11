"""The unpacked models that the store keeps: which there are, and deleting those that were not used for longest.

A model that is deleted is unpacked again when it is next asked for. Only folders that are named as unpacked models are,
are this user's and hold a manifest are ever touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ig_guardrail.engine.loading.gguf import LAYOUT
from ig_guardrail.engine.loading.store import MANIFEST, made_aside, store_folder, was_made_here
from ig_guardrail.errors import ModelError, brief

_NAME = re.compile(r"[0-9a-f]{16}-(?P<dtype>[a-z0-9]+)(?:-(?P<layout>\d+))?")


@dataclass(frozen=True, slots=True)
class UnpackedModel:
    """A folder of the store.

    dtype  what its weights are kept in
    bytes  on the disk
    used   when it was made or last loaded, seconds since 1970
    stale  whether it is of an earlier layout, which nothing loads any more
    """

    folder: Path
    dtype: str
    bytes: int
    used: float
    stale: bool

    @property
    def file(self) -> str:
        """The beginning of the SHA-256 of the file it was unpacked from."""
        return self.folder.name[:16]


def unpacked_models() -> list[UnpackedModel]:
    """Those there are, the last used first. Raises ModelError if the store cannot be read."""
    try:
        found = list(_found(store_folder()))
    except OSError as error:
        raise ModelError(
            f"the cache cannot be read: {brief(error)}",
            where=str(store_folder()),
            fix="check its permissions, or set IG_GUARDRAIL_CACHE to a folder of your own",
        ) from error
    return sorted(found, key=lambda one: (-one.used, one.folder.name))


def to_prune(models: Sequence[UnpackedModel], limit: int) -> list[UnpackedModel]:
    """What to delete so that `limit` bytes are left at most: what is stale, and then what was used longest ago."""
    chosen = [one for one in models if one.stale]
    left = sorted((one for one in models if not one.stale), key=lambda one: one.used)
    held = sum(one.bytes for one in left)
    for one in left:
        if held <= limit:
            break
        chosen.append(one)
        held -= one.bytes
    return chosen


def delete(model: UnpackedModel) -> None:
    """Delete a model; whoever has it open keeps what was read. Raises ModelError if it cannot be."""
    try:
        with made_aside(model.folder.parent) as beside:
            model.folder.rename(beside / "deleted")
    except OSError as error:
        raise ModelError(
            f"{model.folder.name} cannot be deleted: {brief(error)}",
            where=str(model.folder.parent),
            fix="check its permissions",
        ) from error


def _found(store: Path) -> Iterator[UnpackedModel]:
    for folder in sorted(store.iterdir()) if store.is_dir() else ():
        name = _NAME.fullmatch(folder.name)
        if name is None or not (was_made_here(folder) and _holds_nothing_else(folder)):
            continue
        size = sum(file.lstat().st_size for file in folder.iterdir())
        stale = name["layout"] != str(LAYOUT)
        yield UnpackedModel(folder, name["dtype"], size, folder.lstat().st_mtime, stale)


def _holds_nothing_else(folder: Path) -> bool:
    """Whether all files in a folder are in its manifest."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return isinstance(listed, dict) and {file.name for file in folder.iterdir()} <= {*listed, MANIFEST}
    except (OSError, ValueError, RecursionError):
        return False


def size_of(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
