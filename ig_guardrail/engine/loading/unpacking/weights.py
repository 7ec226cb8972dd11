"""The weights of a GGUF file, written as a safetensors file while they are unpacked.

`transformers` unpacks all of them to float32 before anything is written, which needs seven times the memory of a file
in 4 bits. Here one tensor is unpacked at a time, and the one before is written meanwhile. That serves architectures of
which each tensor in the file is one of the model's; of others, such as mixtures of experts, `transformers` puts them
together.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gguf import GGUFReader, ReaderTensor, dequantize
from torch import Tensor
from tqdm import tqdm
from transformers import modeling_gguf_pytorch_utils as packed

if TYPE_CHECKING:
    from ig_guardrail.engine.loading.unpacking.header import Numbers

_ONE_TO_ONE = ("TensorProcessor", "LlamaTensorProcessor", "Gemma2TensorProcessor", "NemotronTensorProcessor")
_CODES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
_PIECE = 1 << 17  # bytes that are unpacked at once: what is made of them on the way stays in the processor's cache


class PackedWeights:
    """A GGUF file's tensors, and where they go in a model.

    model  a `transformers` model of the file's config, without weights
    """

    def __init__(self, reader: GGUFReader, model: Any) -> None:
        self._tensors = reader.tensors
        architecture = str(reader.fields["general.architecture"].contents())
        kind = packed.TENSOR_PROCESSORS.get(architecture, packed.TensorProcessor)
        self._processor = kind(config=model.config.to_dict())
        self._places: dict[str, str] = packed.get_gguf_hf_weights_map(model, self._processor)
        self._shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        self._one_to_one = kind.__name__ in _ONE_TO_ONE and not _is_read_otherwise(architecture)

    @property
    def names(self) -> set[str]:
        """What `transformers` calls tensors of this architecture in a GGUF file."""
        return set(self._places)

    def can_be_written(self) -> bool:
        """Whether each tensor is one of the model's, and none comes twice."""
        names = [self._places.get(tensor.name) for tensor in self._tensors if tensor.name in self._places]
        return self._one_to_one and len(set(names)) == len(names) and self._shapes.keys() >= set(names)

    def write(self, file: Path, dtype: torch.dtype, watched: bool) -> None:
        """Write them in `dtype` as a safetensors file. watched: whether to draw a progress bar

        Raises ValueError where a tensor does not have the model's shape, OSError where the file cannot be written.
        """
        tensors = [tensor for tensor in self._tensors if tensor.name in self._places]
        shapes = {self._places[tensor.name]: self._shapes[self._places[tensor.name]] for tensor in tensors}
        with file.open("wb") as out, ThreadPoolExecutor(1) as disk:
            written: Future[int] = disk.submit(out.write, _header(shapes, dtype))
            for values in tqdm(self._unpacked(tensors, dtype), "unpacking", len(tensors), disable=not watched):
                written.result()
                written = disk.submit(out.write, memoryview(values.view(torch.uint8).numpy()))
            written.result()

    def _unpacked(self, tensors: list[ReaderTensor], dtype: torch.dtype) -> Iterator[Tensor]:
        """Each tensor's values, flat."""
        scratch = np.empty(0, dtype=np.float32)
        for tensor in tensors:
            if scratch.size < tensor.n_elements:
                scratch = np.empty(int(tensor.n_elements), dtype=np.float32)
            made = self._processor.process(weights=_dequantized(tensor, scratch), name=tensor.name)
            expected = self._shapes[self._places[tensor.name]]
            if made.weights.shape != expected:
                raise ValueError(f"tensor {tensor.name} is {made.weights.shape}, and the model has {expected} there")
            yield torch.from_numpy(np.ascontiguousarray(made.weights)).to(dtype, copy=True).flatten()


def _dequantized(tensor: ReaderTensor, scratch: Numbers) -> Numbers:
    """A tensor's values, in `scratch`: memory that is new for each would take as long as the arithmetic.

    Of many rows the package computes sixteen at a time, which for short ones are too few to be worth a call.
    """
    data, kind = tensor.data, tensor.tensor_type
    rows = max(1, _PIECE // max(1, data[:1].nbytes))
    values = scratch[: int(tensor.n_elements)].reshape(tuple(reversed([int(size) for size in tensor.shape])))
    for start in range(0, len(data), rows):
        part = values[start : start + rows]
        part[...] = dequantize(data[start : start + rows].reshape(1, -1), kind).reshape(part.shape)
    return values


def _header(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> bytes:
    """How a safetensors file begins: the length of what follows, then names, types, shapes and places as JSON."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, shape in shapes.items():
        end = start + int(np.prod(shape)) * dtype.itemsize
        entries[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    listed = json.dumps(entries, separators=(",", ":")).encode()
    listed += b" " * (-len(listed) % 8)
    return struct.pack("<Q", len(listed)) + listed


def _is_read_otherwise(architecture: str) -> bool:
    """Whether `transformers` reads files of this architecture in its newer way, by other names and shapes."""
    try:
        from transformers.integrations.gguf import is_gguf_arch_supported
    except ImportError:
        return False
    return bool(is_gguf_arch_supported(architecture))
