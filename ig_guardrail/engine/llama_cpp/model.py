"""A GGUF file that the library has opened, and what it says of itself."""

from __future__ import annotations

import ctypes
import struct
import weakref
from pathlib import Path
from typing import Any

from ig_guardrail.engine.llama_cpp.library import heard, library
from ig_guardrail.errors import ModelError, brief

_HEAD = struct.Struct("<4sIQQ")  # magic, version, tensors, keys and values
_VERSIONS = (2, 3)
_MOST = 1 << 20  # tensors, or keys; files have some thousands
_TEXT = 1 << 20  # bytes of the longest text that a file may say of itself


class GgufModel:
    """An open model, held until nobody knows it any more.

    size     tokens of its vocabulary
    width    numbers of a hidden state
    layers   decoder layers
    context  tokens that it was trained to read
    cell     bytes of keys and values that a token takes, about
    """

    def __init__(self, file: Path, name: str) -> None:
        """Raises ModelError for a file that the library does not open, or whose state no search can share."""
        _check_head(file, name)
        llama = library()
        asked = llama.llama_model_default_params()
        asked.n_gpu_layers = 0
        with heard() as errors:
            self.pointer = llama.llama_model_load_from_file(str(file).encode(), asked)
        if not self.pointer:
            raise ModelError(
                f"{file.name} cannot be opened: {brief('; '.join(errors) or 'no reason was given')}",
                where=f"model '{name}'",
                why="it is no whole GGUF file, or its architecture is not one that this llama.cpp runs",
                fix="check the file, or use another engine",
            )
        weakref.finalize(self, llama.llama_model_free, self.pointer).atexit = False  # a thread may be inside it then
        self.name = name
        self.vocabulary = llama.llama_model_get_vocab(self.pointer)
        self.size: int = llama.llama_vocab_n_tokens(self.vocabulary)
        self.width: int = llama.llama_model_n_embd(self.pointer)
        self.layers: int = llama.llama_model_n_layer(self.pointer)
        self.context: int = llama.llama_model_n_ctx_train(self.pointer)
        heads, shared = llama.llama_model_n_head(self.pointer), llama.llama_model_n_head_kv(self.pointer)
        self.cell: int = 6 * self.layers * shared * self.width // max(1, heads)
        _check_kind(self.pointer, name)

    @property
    def numerics(self) -> str:
        """What its weights run in, such as "llama.cpp-Q4_1"."""
        kind = library().llama_ftype_name(library().llama_model_ftype(self.pointer)).decode()
        return f"llama.cpp-{kind.split(' ')[0]}"

    @property
    def template(self) -> str | None:
        """Its chat template; None where it has none."""
        text = library().llama_model_chat_template(self.pointer, None)
        return None if text is None else str(text.decode("utf-8", "replace"))

    def said(self, key: str) -> str | None:
        """What the file's head says under a key."""
        room = ctypes.create_string_buffer(256)
        size = library().llama_model_meta_val_str(self.pointer, key.encode(), room, len(room))
        if not 0 <= size < _TEXT:
            return None
        if size >= len(room):
            room = ctypes.create_string_buffer(size + 1)
            library().llama_model_meta_val_str(self.pointer, key.encode(), room, len(room))
        return room.value.decode("utf-8", "replace")


def _check_head(file: Path, name: str) -> None:
    """Raise ModelError for what is no GGUF file at first sight, which the library might end the process for."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD.size)
    except OSError as error:
        raise ModelError(
            f"{file.name} cannot be read: {brief(error)}", where=f"model '{name}'", fix="check the path"
        ) from error
    magic, version, tensors, keys = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0, 0, 0)
    if magic != b"GGUF" or version not in _VERSIONS or not (0 < tensors <= _MOST and 0 < keys <= _MOST):
        raise ModelError(
            f"{file.name} is no GGUF file",
            where=f"model '{name}'",
            why=f"such a file begins with 'GGUF', a version ({' or '.join(map(str, _VERSIONS))}) and its counts",
            fix="check the file",
        )


def _check_kind(pointer: Any, name: str) -> None:
    llama = library()
    kinds = {
        "keeps a recurrent state": llama.llama_model_is_recurrent(pointer) or llama.llama_model_is_hybrid(pointer),
        "has an encoder": llama.llama_model_has_encoder(pointer),
        "does not decode from left to right": llama.llama_model_is_diffusion(pointer)
        or not llama.llama_model_has_decoder(pointer),
    }
    found = next((kind for kind, is_so in kinds.items() if is_so), None)
    if found is not None:
        raise ModelError(
            f"the model {found}",
            where=f"model '{name}'",
            why="a search needs many continuations of one prefix, and goes back to where they part",
            fix="use a decoder model with attention, such as Llama, Qwen, Gemma or Mistral",
        )
