"""Our engine over llama.cpp against a plain loop of llama.cpp itself, on the embedded model's GGUF file.

The plain loop decodes with the library's own samplers and its usual float16 keys and values. Left out where the library
is not installed: `make install-llama`, and PYTHONPATH=.venv/llama.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ig_guardrail.engine.kinds import EngineChoice
from ig_guardrail.engine.loading.models import EMBEDDED
from ig_guardrail.evaluate import tables
from ig_guardrail.extras import EXTRAS, missing
from ig_guardrail.types import Expression
from speed.stage import SEED, Stage, expect, timed, unhindered
from speed.timing import in_turn, ratios, row

PART = "CPU time by llama.cpp"
LENGTHS = (40, 1000, 4000)  # tokens of the prompt
TOKENS = 64
BOUND = 1.10
PIECE = 512
WORDS = {name: Expression("model", model=f"{name}-words") for name in ("help", "tone")}  # no head reads these states


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Whole answers by length of the prompt, of one stream, and how long it takes to open the file."""
    if missing(EXTRAS["llama"]):
        return []
    from ig_guardrail.engine.llama_cpp.engine import LlamaCppEngine
    from ig_guardrail.engine.llama_cpp.model import GgufModel
    from ig_guardrail.engine.llama_cpp.opening import open_llama_cpp
    from ig_guardrail.engine.loading.embedded import packed_file

    engine = open_llama_cpp(EngineChoice(EMBEDDED, options={"threads": 1}))
    plain = PlainLoop(GgufModel(packed_file(), EMBEDDED), max(LENGTHS) + 2 * TOKENS)
    budgets = tuple(replace(one, cost=WORDS[one.cost.model]) for one in stage.policy.budgets)
    guarded = stage.rail(unhindered(replace(stage.policy, budgets=budgets)), engine)
    torch = stage.rail(unhindered(stage.policy))
    rows = []
    for length in LENGTHS:
        asked = stage.asked(length, TOKENS)
        ids = engine.encode(asked.turns).ids
        runs = {
            "unguarded": partial(timed, guarded, replace(asked, strategy="none"), 1),
            "guarded": partial(timed, guarded, asked, 1),
            "plain": partial(plain.timed, ids, [token for token, _ in asked.sampling.logit_bias]),
            "transformers": partial(timed, torch, asked, 1),
        }
        took = in_turn(runs, pairs, f"llama.cpp, prompt of {length}")
        for name, bound in (("unguarded", BOUND), ("guarded", BOUND), ("transformers", None)):
            engine_of = "bfloat16 by torch" if name == "transformers" else f"{name} by llama.cpp"
            title = f"a whole answer, {engine_of} / a plain loop, prompt of {length} tokens"
            rows.append(row(PART, f"{name}-{length}", title, ratios(took[name], took["plain"]), at_most=bound))

    def load(_: int) -> float:
        began = time.process_time()
        LlamaCppEngine(GgufModel(packed_file(), EMBEDDED), engine.info.model_sha256, 1, 1 << 32).shutdown()
        return time.process_time() - began

    opened = in_turn({"load": load}, pairs, "llama.cpp, opening")
    rows.append(row(PART, "load", "CPU seconds to open the file and try its exactness", opened["load"]))
    return rows


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

    def timed(self, ids: tuple[int, ...], never: list[int], _: int) -> float:
        """CPU seconds of an answer of exactly TOKENS tokens."""
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
        began, said = time.process_time(), bytearray()
        for start in range(0, len(ids), PIECE):
            self._decode(ids[start : start + PIECE])
        drawn = 0
        for _step in range(TOKENS):
            token = llama.llama_sampler_sample(chain, self._context, -1)
            said += self._spelled(token)
            drawn += 1
            if drawn < TOKENS:
                self._decode((token,))
        taken = time.process_time() - began
        llama.llama_sampler_free(chain)
        expect(drawn, TOKENS)
        return taken

    def _decode(self, ids: tuple[int, ...]) -> None:
        tokens = np.array(ids, np.int32)
        batch = self._llama.llama_batch_get_one(tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), len(ids))
        expect(self._llama.llama_decode(self._context, batch), 0)

    def _spelled(self, token: int) -> bytes:
        room = ctypes.create_string_buffer(64)
        return room.raw[: self._llama.llama_token_to_piece(self._model.vocabulary, token, room, 64, 0, False)]
