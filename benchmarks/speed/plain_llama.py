"""llama.cpp as it is used without us: one context, the library's own samplers, float16 keys and values."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from speed.stage import SEED, expect

PIECE = 512
_BFLOAT16 = 32  # LLAMA_FTYPE_MOSTLY_BF16


class PlainLoop:
    """One context of the library, and nothing of ours but the file that is open."""

    def __init__(self, model: Any, cells: int) -> None:
        from ig_guardrail.engine.llama_cpp.library import library

        self._llama = llama = library()
        self._model = model
        asked = llama.llama_context_default_params()
        asked.n_ctx, asked.n_batch, asked.n_ubatch, asked.n_threads, asked.n_threads_batch = cells, PIECE, PIECE, 1, 1
        self._context = llama.llama_init_from_model(model.pointer, asked)
        self._memory = llama.llama_get_memory(self._context)

    def answered(self, ids: Sequence[int], never: Sequence[int], tokens: int) -> float:
        """CPU seconds to read a prompt and draw an answer of exactly so many tokens."""
        with self._sampler(never) as sampler:
            began, said = time.process_time(), bytearray()
            self._read(ids)
            for drawn in range(1, tokens + 1):
                token = self._llama.llama_sampler_sample(sampler, self._context, -1)
                said += self._spelled(token)
                if drawn < tokens:
                    self._decode((token,))
            return time.process_time() - began

    def drawn(self, ids: Sequence[int], never: Sequence[int], tokens: int) -> float:
        """CPU seconds to draw so many tokens behind a prompt, and to read each."""
        with self._sampler(never) as sampler:
            self._read(ids)
            began = time.process_time()
            for _ in range(tokens):
                self._decode((self._llama.llama_sampler_sample(sampler, self._context, -1),))
            return time.process_time() - began

    @contextmanager
    def _sampler(self, never: Sequence[int]) -> Iterator[Any]:
        llama = self._llama
        biases = (llama.llama_logit_bias * len(never))(*(llama.llama_logit_bias(token, -1e4) for token in never))
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        for sampler in (
            llama.llama_sampler_init_logit_bias(self._model.size, len(never), biases),
            llama.llama_sampler_init_top_p(0.95, 1),
            llama.llama_sampler_init_temp(0.7),
            llama.llama_sampler_init_dist(SEED),
        ):
            llama.llama_sampler_chain_add(chain, sampler)
        llama.llama_memory_clear(self._memory, False)
        try:
            yield chain
        finally:
            llama.llama_sampler_free(chain)

    def _read(self, ids: Sequence[int]) -> None:
        for start in range(0, len(ids), PIECE):
            self._decode(ids[start : start + PIECE])

    def _decode(self, ids: Sequence[int]) -> None:
        tokens = np.array(ids, np.int32)
        batch = self._llama.llama_batch_get_one(tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), len(ids))
        expect(self._llama.llama_decode(self._context, batch), 0)

    def _spelled(self, token: int) -> bytes:
        room = ctypes.create_string_buffer(64)
        return room.raw[: self._llama.llama_token_to_piece(self._model.vocabulary, token, room, 64, 0, False)]


def in_bfloat16(file: Path, to: Path) -> Path:
    """The same values in 16 bits: what the engine `transformers` runs on, as a file for llama.cpp."""
    from ig_guardrail.engine.llama_cpp.library import library

    llama = library()
    asked = llama.llama_model_quantize_default_params()
    asked.ftype, asked.allow_requantize, asked.nthread = _BFLOAT16, True, 1
    expect(llama.llama_model_quantize(str(file).encode(), str(to).encode(), ctypes.byref(asked)), 0)
    return to
