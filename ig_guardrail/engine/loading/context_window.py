"""How many tokens a model reads, told by its files: before its weights are loaded, and without loading them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ig_guardrail.engine.loading.embedded import packed_file
from ig_guardrail.engine.loading.files import file_of
from ig_guardrail.engine.loading.gguf import SUFFIX
from ig_guardrail.engine.loading.models import EMBEDDED
from ig_guardrail.errors import ModelError
from ig_guardrail.fields.paths import expanded

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_FARTHEST = 1 << 20  # bytes of a GGUF file's head that are looked through; its vocabulary stands last


def window_of(model: str, revision: str | None = None) -> int | None:
    """The tokens that a model reads at once, by its name as `load_engine` takes it.

    None where its files do not tell, or are not on this machine.
    """
    try:
        if model == EMBEDDED:
            return _of_packed(packed_file())
        path = expanded(model)
        if path.suffix == SUFFIX and path.is_file():
            return _of_packed(path)
        config = file_of(model, "config.json", revision)
        return None if config is None else context_of(json.loads(config.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, struct.error, ModelError):
        return None


def context_of(config: Mapping[str, Any]) -> int | None:
    """What config.json says; models that also see keep what they read in a part of its own.

    Where YaRN stretches positions, `max_position_embeddings` may be what was read before.
    """
    said = {**config, **(config.get("text_config") or {})}
    rope = said.get("rope_parameters") or said.get("rope_scaling") or {}
    original, factor = _number(rope.get("original_max_position_embeddings")), rope.get("factor")
    stretched = "yarn" in (rope.get("rope_type"), rope.get("type")) and original and isinstance(factor, int | float)
    read = _number(said.get("max_position_embeddings"))
    return max(read or 0, int(original * factor)) if stretched and original and factor else read


def _of_packed(path: Path) -> int | None:
    """What the head of a GGUF file says of the context length."""
    with path.open("rb") as file:
        magic, version, _, fields = struct.unpack("<4sIQQ", file.read(24))
        if magic != b"GGUF" or version < 2:
            return None
        for _ in range(fields):
            if file.tell() > _FARTHEST:
                return None
            name, value = _text(file), _value(file, _unpacked(file, "I"))
            if name.endswith(b".context_length"):
                return _number(value)
    return None


def _value(file: BinaryIO, kind: int) -> object:
    """The next value, which is of a kind; None for lists, which are passed over."""
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _unpacked(file, _NUMBERS[kind])
    inner, count = _unpacked(file, "I"), _unpacked(file, "Q")
    if inner in _NUMBERS:
        file.seek(count * struct.calcsize(_NUMBERS[inner]), 1)
        return None
    for _ in range(count):
        if file.tell() > _FARTHEST:
            break
        _value(file, inner)
    return None


def _text(file: BinaryIO) -> bytes:
    length = _unpacked(file, "Q")
    if length > _FARTHEST:
        raise ValueError("no GGUF file has a text of this length in its head")
    return file.read(length)


def _unpacked(file: BinaryIO, kind: str) -> int:
    (value,) = struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))
    return value  # type: ignore[no-any-return]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
