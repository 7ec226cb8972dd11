"""Our engine in vLLM beside vLLM's own streams, on random weights that vLLM makes where they are used."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch

from ig_guardrail.engine.kinds import EngineChoice
from ig_guardrail.engine.vllm.opening import open_vllm
from ig_guardrail.types import Draw, Prompt, Sampling
from speed.random_models import write_folder

ROOM = 2**33  # bytes of keys and values on a GPU: 128 rows behind 1,000 tokens of an 8B shape, and more than that
CPU_ROOM = 2**28
MOST = 256  # requests side by side
_numbers = itertools.count()


class VllmBench:
    """See `gpu.Bench`."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._never = tuple((token, -1e4) for token in engine._operations.language.end)
        self.mode = engine.info.mode

    def plain(self, ids: tuple[int, ...], tokens: int, number: int) -> float:
        """Seconds of a request of vLLM's, its prompt in vLLM's cache."""
        self._engine._home.run(self._stream(ids, 1, f"plain {len(ids)}"))
        began = time.perf_counter()
        self._engine._home.run(self._stream(ids, tokens, f"plain {len(ids)}"))
        return time.perf_counter() - began

    def rows(self, ids: tuple[int, ...], tokens: int, width: int, number: int) -> float:
        """Seconds of a block of all rows behind a prompt that vLLM has read."""
        sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=2 * tokens, logit_bias=self._never)
        root = self._engine.open(Prompt((), ids, cache_salt="rows"), sampling).result()
        lane = 1 + number * width
        self._engine.extend([Draw(root, 1, lane=lane + width)], 1).result()  # reads the prompt
        began = time.perf_counter()
        self._engine.extend([Draw(root, width, lane=lane)], tokens).result()
        taken = time.perf_counter() - began
        self._engine.close(root)
        return taken

    def memory(self) -> int:
        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            return int(total - free)
        me = psutil.Process()
        return sum(int(one.memory_info().rss) for one in (me, *me.children(recursive=True)))

    async def _stream(self, ids: tuple[int, ...], tokens: int, salt: str) -> None:
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=0.7, top_p=0.95, max_tokens=tokens, ignore_eos=True, output_kind=RequestOutputKind.DELTA
        )
        llm = self._engine._operations.requests.llm
        async for _ in llm.generate(tokens_input(list(ids), cache_salt=salt), params, f"plain-{next(_numbers)}"):
            pass


@contextmanager
def vllm_bench(shape: str) -> Iterator[VllmBench]:
    """The engine over a Llama of that shape in bfloat16."""
    options = {
        "load_format": "dummy",
        "max_num_seqs": MOST,
        "kv_cache_memory_bytes": ROOM if torch.cuda.is_available() else CPU_ROOM,
    }
    with TemporaryDirectory() as folder:
        write_folder(shape, Path(folder))
        engine = open_vllm(EngineChoice(folder, dtype="bfloat16", context=2_000, options=options))
        try:
            yield VllmBench(engine)
        finally:
            engine.shutdown()
