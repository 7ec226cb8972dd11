"""What a model's folder must hold to be read, looked at before anything large is: config.json, and whole weights.

What users name instead is told by its kind: an adapter, pickled weights, a half download, a folder around a GGUF file.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.errors import ModelError, brief

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_LONGEST_HEADER = 100_000_000  # bytes, as the library that reads such files has it
_PLAIN = frozenset({"F64", "F32", "F16", "BF16"})
UNQUANTISED = "use the model's unquantised weights, or a .gguf file of it"
_AGAIN = "download the model again, whole"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that a user named, or that the hub's cache holds. where: how messages call the model"""

    path: Path
    where: str

    def require_weights(self) -> None:
        """Raises ModelError unless the folder holds a model, and all files of its weights to their ends."""
        self.require_model()
        for file in self._weights():
            self._header(file)

    def require_model(self) -> dict[str, Any]:
        """What config.json says. Raises ModelError for a folder that holds no model, or one and a change of it."""
        change = self._object("adapter_config.json")
        if change is not None:
            raise self._refused(
                f"it is an adapter of '{brief(change.get('base_model_name_or_path') or 'another model', 80)}'",
                "an adapter changes another model's weights, and is not applied here: answers would be without it",
                "merge the two (`merge_and_unload()` of peft), save what comes out, and name that folder",
            )
        config = self._object("config.json")
        if config is None:
            raise self._absent("config.json")
        return config

    def require_numbers(self) -> None:
        """Raises ModelError for weights that are quantised in a way which nothing in config.json explains."""
        config = self.require_model()
        method = quantization_of(config)
        if is_known(method) if method is not None else not any(map(self._odd, self._weights())):
            return
        way = f"by '{brief(method, 40)}'" if method else "in a way that config.json does not tell"
        raise self._refused(
            f"its weights are quantised {way}",
            "what they stand for is not known here, and they would be read as what they are not",
            UNQUANTISED,
        )

    def _weights(self) -> list[Path]:
        """The files of its weights."""
        if (self.path / WHOLE).is_file():
            return [self.path / WHOLE]
        index = self._object(INDEX)
        if index is None:
            raise self._absent(WHOLE)
        named = index.get("weight_map")
        names = sorted({str(name) for name in named.values()}) if isinstance(named, Mapping) else []
        missing = [name for name in names if Path(name).name != name or not (self.path / name).is_file()]
        if missing or not names:
            what = f"{len(missing)} of {len(names)} files are missing, such as '{missing[0]}'" if missing else "none is"
            raise self._refused(f"of the weights that {INDEX} names, {what}", "they are read together", _AGAIN)
        return [self.path / name for name in names]

    def _header(self, file: Path) -> dict[str, Any]:
        """What a safetensors file says of its tensors. Raises ModelError for a file that is none, or cut off."""
        try:
            with file.open("rb") as opened:
                head = opened.read(8)
                (size,) = struct.unpack("<Q", head) if len(head) == 8 else (0,)
                found = json.loads(opened.read(size)) if 0 < size <= _LONGEST_HEADER else {}
            tensors = {name: facts for name, facts in found.items() if name != "__metadata__"}
            end = 8 + size + max(facts["data_offsets"][1] for facts in tensors.values())
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            tensors, end = {}, 0
        if not tensors:
            pointer = head == b"version "
            raise self._refused(
                f"'{file.name}' is {'a pointer of git to a file' if pointer else 'no safetensors file'}",
                "its weights are not there" if pointer else "such a file begins with a table of its tensors",
                "fetch the files themselves by `git lfs pull`" if pointer else _AGAIN,
            )
        if end > file.stat().st_size:
            raise self._refused(
                f"'{file.name}' ends after {file.stat().st_size:,} of {end:,} bytes",
                "a part of its weights is missing",
                _AGAIN,
            )
        return tensors

    def _odd(self, file: Path) -> bool:
        """Whether matrices in a file are of numbers that stand for others."""
        return any(
            name.endswith("weight") and facts.get("dtype") not in _PLAIN for name, facts in self._header(file).items()
        )

    def _object(self, name: str) -> dict[str, Any] | None:
        """A file's object; None where there is no such file."""
        file = self.path / name
        if not file.is_file():
            return None
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise self._refused(f"'{name}' holds no JSON object", "it says what the model is made of", _AGAIN)
        return said

    def _absent(self, name: str) -> ModelError:
        packed = sorted(self.path.glob("*.gguf"))
        pickled = sorted(file.name for kind in _PICKLED for file in self.path.glob(kind))
        others = sorted(file.name for file in self.path.glob("*.safetensors"))
        if packed:
            return self._refused(
                f"its folder has no {name}, and '{packed[0].name}'",
                "a GGUF file is a model by itself",
                f"name the file: '{packed[0]}'",
            )
        if name == WHOLE and others:
            return self._refused(
                f"its folder has neither {WHOLE} nor {INDEX}, and '{others[0]}'",
                "one of the two says which files are its weights",
                f"download {INDEX} as well, or give the file the usual name if it is whole",
            )
        if name == WHOLE and pickled:
            return self._refused(
                f"its weights are in '{pickled[0]}'",
                "such files are programs, which could do anything while they are read; only safetensors are",
                "look for a copy in safetensors; if you trust the file, load it by `transformers` and save it again",
            )
        needs = "a model is a folder with config.json, a tokenizer and safetensors weights"
        fix = f"check {self.path}, or {_AGAIN}; where its makers give GGUF files, download one and name that file"
        return self._refused(f"its folder has no {name}", needs, fix)

    def _refused(self, what: str, why: str, fix: str) -> ModelError:
        return ModelError(what, where=self.where, why=why, fix=fix)


def quantization_of(config: Mapping[str, Any]) -> str | None:
    """By what a config says that weights are quantised; None where it says nothing of it."""
    said = config.get("quantization_config") or config.get("quantization")
    if not said:
        return None
    facts = said if isinstance(said, Mapping) else {}
    loads = any(facts.get(f"load_in_{bits}bit") for bits in (4, 8))
    return str(facts.get("quant_method") or ("bitsandbytes" if loads else "MLX"))


def is_known(method: str) -> bool:
    """Whether `transformers` has a reader for weights that are quantised so; what it needs may be missing."""
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    return method == "bitsandbytes" or method in AUTO_QUANTIZATION_CONFIG_MAPPING
