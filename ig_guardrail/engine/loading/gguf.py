"""GGUF files, unpacked once to what `transformers` loads quickly.

Unpacking takes tens of seconds. The unpacked weights are kept in the user's cache, named by the file's content hash and
the dtype, and load in about a second from then on.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ig_guardrail.engine.loading.soundness.folder import WHOLE
from ig_guardrail.engine.loading.store import files_sha256, made_once, quiet, remembered_sha256, store_folder
from ig_guardrail.engine.loading.unpacking.pretokenize import cut_as
from ig_guardrail.engine.text.soundness import require_sound
from ig_guardrail.errors import ModelError, brief
from ig_guardrail.extras import require

if TYPE_CHECKING:
    from gguf import GGUFReader

SUFFIX = ".gguf"
LAYOUT = 4  # of unpacked folders: those of an earlier one are made again
_OF_TOKENIZERS = tuple(f"tokenizer.ggml.{key}" for key in ("merges", "scores", "token_type"))
_FIRST = re.compile(r"(.+)-00001-of-(\d{5})")  # the name of a split file's first part
_DOUBT = "doubt.txt"  # in an unpacked folder: what is not known of the file, told at every load


def packed_sha256(packed: Path) -> str:
    """SHA-256 (hex) of a GGUF file; over all parts of one that is split, which llama.cpp reads by its first."""
    first = _FIRST.fullmatch(packed.stem)
    if first is None:
        return remembered_sha256(packed)
    names = (f"{first[1]}-{part:05}-of-{first[2]}{SUFFIX}" for part in range(1, int(first[2]) + 1))
    return files_sha256(file for file in map(packed.with_name, names) if file.is_file())


def unpacked(packed: Path, dtype: str) -> tuple[Path, str]:
    """The folder of the model in `dtype`, and the SHA-256 (hex) of the file it was made from.

    Warns if the file does not say how its vocabulary cuts text, or in a way that is not known.
    Raises ModelError if what unpacks files is missing, or cannot read this one.
    """
    digest = remembered_sha256(packed)
    folder = made_once(store_folder() / f"{digest[:16]}-{dtype}-{LAYOUT}", lambda empty: _unpack(packed, dtype, empty))
    with contextlib.suppress(OSError):
        os.utime(folder)  # when it was last used, by which `ig-guardrail cache prune` chooses
    if (folder / _DOUBT).is_file():
        warnings.warn((folder / _DOUBT).read_text(), stacklevel=2)
    return folder, digest


def _unpack(packed: Path, dtype: str, folder: Path) -> None:
    """Unpack the file in float32, cast to `dtype`, and write model and tokenizer to `folder`.

    All else that a file can lack is looked at before its weights, which take minutes.
    """
    require("embedded", by=f"model file {packed.name}", where="model")
    import torch
    from transformers import AutoConfig, AutoTokenizer

    from ig_guardrail.engine.loading.soundness.fitness import shape_of
    from ig_guardrail.engine.loading.soundness.gguf_claims import Claims
    from ig_guardrail.engine.loading.unpacking.header import read_once, without
    from ig_guardrail.engine.loading.unpacking.weights import PackedWeights

    where = f"model file {packed.name}"
    source: dict[str, Any] = {"gguf_file": packed.name, "local_files_only": True}
    watched = sys.stderr.isatty()
    if watched:
        print(f"unpacking {packed.name} once, for all later starts; a large file takes minutes", file=sys.stderr)
    # `transformers` draws a bar that no setting hides
    with quiet(), contextlib.nullcontext() if watched else contextlib.redirect_stderr(io.StringIO()):
        with _told_of(packed), read_once(packed) as reader:
            claims = Claims(reader, where)
            claims.require_one_file()
            tokenizer = AutoTokenizer.from_pretrained(packed.parent, **source)
            require_sound(tokenizer, where)
            _try_each_kind(reader)
            with without(reader, *_OF_TOKENIZERS):
                config = AutoConfig.from_pretrained(packed.parent, **source)
            claims.set_positions(config)
            model = shape_of(config, where)
            weights = PackedWeights(reader, model)
            claims.require_tensors(weights.names, config.tie_word_embeddings)
            name, ends = _cutting_of(reader), claims.ends(tokenizer)
            whole = None if weights.can_be_written() else _loaded(packed, config, source)
        model.to(getattr(torch, dtype))
        model.generation_config.eos_token_id = ends
        if whole is None:
            model.config.update({"architectures": [type(model).__name__], "dtype": model.dtype})
            model.config.save_pretrained(folder)
            model.generation_config.save_pretrained(folder)
            with _told_of(packed, OSError):
                weights.write(folder / WHOLE, model.dtype, watched)
        else:
            model.load_state_dict(whole, assign=True)
            model.tie_weights()
            model.to(getattr(torch, dtype)).save_pretrained(folder)
        if name is not None and not cut_as(tokenizer, name):
            (folder / _DOUBT).write_text(_doubt(packed, name))
        tokenizer.save_pretrained(folder)


def _loaded(packed: Path, config: Any, source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The weights as `transformers` unpacks them, all at once."""
    import torch
    from transformers import AutoModelForCausalLM

    from ig_guardrail.engine.loading.soundness.fitness import require_whole

    auto: Any = AutoModelForCausalLM
    told = {"config": config, "dtype": torch.float32, "output_loading_info": True}
    unpacked, found = auto.from_pretrained(packed.parent, **told, **source)
    require_whole(found, f"model file {packed.name}")
    weights: Mapping[str, Any] = unpacked.state_dict()
    return weights


@contextlib.contextmanager
def _told_of(packed: Path, passed: type[Exception] = ModelError) -> Iterator[None]:
    """Tells as one message what readers of damaged files raise, who raise what they like; `passed` errors stay."""
    try:
        yield
    except (ModelError, passed):
        raise
    except Exception as error:
        raise _unreadable(packed, error) from error


def _try_each_kind(reader: GGUFReader) -> None:
    """Unpack one row of each kind of numbers in the file. Raises NotImplementedError for a kind that is not known."""
    from gguf import dequantize

    for tensor in {tensor.tensor_type: tensor for tensor in reader.tensors}.values():
        dequantize(tensor.data[:1], tensor.tensor_type)


def _cutting_of(reader: GGUFReader) -> str | None:
    """The name of how the file's vocabulary cuts text, "" if it gives none; None for one that is not byte-level."""
    kind, name = (reader.fields.get(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    if kind is None or kind.contents() != "gpt2":
        return None
    return "" if name is None else str(name.contents())


def _doubt(packed: Path, name: str) -> str:
    told = f"cuts text as '{brief(name, 60)}', which is not known here" if name else "does not say how it cuts text"
    return (
        f"model file {packed.name}: its vocabulary {told}\n"
        "  why: it is cut as `transformers` cuts it; numbers and spaces may be other tokens than it was trained on\n"
        "  fix: use a file that was made with a known name, or the model's safetensors folder"
    )


def _unreadable(packed: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{packed.name} cannot be unpacked: {brief(error)}",
        where=f"model file {packed.name}",
        why="it is no whole GGUF file, or `transformers` does not unpack its architecture, vocabulary or weights",
        fix="check the file, or use the model's safetensors folder",
    )
