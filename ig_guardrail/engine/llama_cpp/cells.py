"""One context of the library: cells of keys and values that sequences share, and the steps that fill them.

What a token's logits are depends, in their last bits, on the order in which its sequence lies in the cells, and on how
many tokens are read at once. So cells are taken in order and without holes (`reader` sees to it), and a step over an
answer has fewer than 64 tokens, where other kernels begin. Keys and values are float16, the library's usual kind, where
it has one thread, and bfloat16 where it has several: with float16 it divides the cells among its threads where one
token is read alone behind 512 cells, and not where several are. Sizes are checked here: the library ends the process
for some that do not fit.
"""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ig_guardrail.engine.decoding.by_numpy import Floats
from ig_guardrail.engine.futures import closed_error
from ig_guardrail.engine.llama_cpp.library import library, switch
from ig_guardrail.engine.llama_cpp.model import GgufModel
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.errors import EngineError

SEQUENCES = 64  # of one context
NARROW = 48  # tokens of one step over answers, and how many of a step may want logits
WIDE = 640  # tokens of one step over a prompt
SMALLEST, SPARE = 2048, 1024  # cells of a context, and of those how many are for answers beside what is known
IDLE = 4  # contexts that are kept for the next requests
_HALVES = {"float16": 1, "bfloat16": 30}  # GGML_TYPE_F16, GGML_TYPE_BF16
_ABORTED, _FULL = 2, 1  # what llama_decode returns


@dataclass(slots=True)
class StepResult:
    """Logits (wanted tokens, vocabulary), and layer -> states (tokens, size)."""

    logits: Floats
    hidden: dict[int, Floats]


class Cells:
    """`size` cells, of which the first `used` are taken."""

    def __init__(self, model: GgufModel, size: int, threads: int, stop: StepStop) -> None:
        """Raises EngineError where there is no memory for them."""
        llama = library()
        self._stop = stop
        self.size, self.used = size, 0
        self._model = model
        self._layers: set[int] = set()
        asked = llama.llama_context_default_params()
        asked.n_ctx, asked.n_batch, asked.n_ubatch, asked.n_seq_max = size, WIDE, WIDE, SEQUENCES
        asked.n_outputs_max = SEQUENCES  # no fewer, and no fewer than a narrow step wants
        asked.n_threads = asked.n_threads_batch = threads
        asked.kv_unified, asked.no_perf, asked.flash_attn_type = True, True, 1
        asked.type_k = asked.type_v = _HALVES[halves_of(threads)]
        asked.pooling_type = llama.LLAMA_POOLING_TYPE_NONE
        asked.abort_callback = stop.asked
        asked.abort_callback_data = ctypes.cast(stop.flag, ctypes.c_void_p)
        self.pointer = llama.llama_init_from_model(model.pointer, asked)
        if not self.pointer:
            raise _no_memory(size)
        free = weakref.finalize(self, _free, self.pointer, model, stop)
        free.atexit = False  # the engine's thread may be inside it then
        self._memory = llama.llama_get_memory(self.pointer)
        self._batch = _Batch()

    def clear(self) -> None:
        """Forget all sequences."""
        library().llama_memory_clear(self._memory, False)
        self.used = 0
        while self._layers:
            taps()[0](self.pointer, self._layers.pop(), False)

    def copy(self, one: int, other: int, length: int) -> None:
        """Have another sequence begin with the first tokens of one."""
        library().llama_memory_seq_cp(self._memory, one, other, 0, length)

    def drop(self, one: int) -> None:
        """Forget a sequence."""
        library().llama_memory_seq_rm(self._memory, one, -1, -1)

    def cut(self, one: int, length: int) -> None:
        """Keep the first tokens of the one sequence that is left, which lie in the first cells."""
        library().llama_memory_seq_rm(self._memory, one, length, -1)
        self.used = length

    def saved(self, one: int) -> bytes:
        """What lies in the cells of a sequence."""
        llama = library()
        size = llama.llama_state_seq_get_size(self.pointer, one)
        data = (ctypes.c_uint8 * size)()
        if llama.llama_state_seq_get_data(self.pointer, data, size, one) != size:
            raise _failed("a sequence could not be copied")
        return bytes(data)

    def restore(self, data: bytes, length: int) -> None:
        """Begin sequence 0 with what was saved of one of `length` tokens; nothing else may be there."""
        room = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        if self.used or length > self.size:
            raise _failed(f"{length} tokens were to be restored into {self.size - self.used} cells")
        if library().llama_state_seq_set_data(self.pointer, room, len(data), 0) != len(data):
            raise _failed("a sequence could not be restored")
        self.used = length

    def read(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        sequences: Sequence[int],
        wanted: Sequence[bool],
        layers: Sequence[int],
        account: RequestUsage,
    ) -> StepResult:
        """One step over tokens, each at its place in its sequence; they take the next cells.

        Raises EngineClosed where the request was closed before it ended, EngineError where the library fails.
        """
        count, outputs = len(tokens), sum(wanted)
        if not 0 < count <= min(WIDE, self.size - self.used) or outputs > NARROW:
            raise _failed(f"a step of {count} tokens, {outputs} of them wanted, into {self.size - self.used} cells")
        self._tap(layers)
        batch = self._batch.filled(tokens, positions, sequences, wanted)
        with self._stop.of(account):
            code = library().llama_decode(self.pointer, batch)
        if code == _ABORTED:
            account.check_open()
            raise closed_error("the step was given up")
        if code:
            raise _failed("no cell was free" if code == _FULL else f"llama_decode returned {code}")
        self.used += count
        return StepResult(self._logits(outputs), {layer: self._states(layer, count) for layer in layers})

    def _logits(self, outputs: int) -> Floats:
        if not outputs:
            return np.empty((0, self._model.size), np.float32)
        found = library().llama_get_logits(self.pointer)
        return np.ctypeslib.as_array(found, (outputs, self._model.size)).copy()

    def _tap(self, layers: Sequence[int]) -> None:
        """Have the states of layers noted from now on."""
        for layer in layers:
            if layer not in self._layers:
                taps()[0](self.pointer, layer, True)
                self._layers.add(layer)

    def _states(self, layer: int, count: int) -> Floats:
        return np.ctypeslib.as_array(taps()[1](self.pointer, layer), (count, self._model.width)).copy()


def halves_of(threads: int) -> str:
    """The numbers of keys and values with which a token has the same bits alone and beside others.

    Prompts are read faster in float16, at 4,000 tokens in 0.4 of the time: the library has a kernel of its own for it.
    """
    return "float16" if threads == 1 else "bfloat16"


class StepStop:
    """Ends the step under way, of which an engine has one at a time, if its request is closed meanwhile.

    asked  what the library calls to know; flag: the byte that it looks at
    """

    def __init__(self) -> None:
        self.asked, self.flag = switch()
        self._account: RequestUsage | None = None

    @contextmanager
    def of(self, account: RequestUsage) -> Iterator[None]:
        """A step for a request. Raises EngineClosed if it was closed."""
        self.flag[0] = b"\0"
        self._account = account
        try:
            account.check_open()
            yield
        finally:
            self._account = None

    def look(self) -> None:
        """End the step if its request was closed; from any thread."""
        account = self._account
        if account is not None and account.closed:
            self.flag[0] = b"\1"


class _Batch:
    """Room for the tokens of a step, as the library takes it."""

    def __init__(self) -> None:
        self._tokens, self._positions = np.zeros(WIDE, np.int32), np.zeros(WIDE, np.int32)
        self._counts, self._sequences = np.ones(WIDE, np.int32), np.zeros(WIDE, np.int32)
        self._wanted = np.zeros(WIDE, np.int8)
        number = ctypes.POINTER(ctypes.c_int32)
        first = self._sequences.ctypes.data
        self._each = (number * WIDE)(*(ctypes.cast(first + 4 * i, number) for i in range(WIDE)))

    def filled(
        self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int], wanted: Sequence[bool]
    ) -> Any:
        count = len(tokens)
        self._tokens[:count], self._positions[:count] = tokens, positions
        self._sequences[:count], self._wanted[:count] = sequences, wanted
        number, small = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int8)
        return library().llama_batch(
            count,
            self._tokens.ctypes.data_as(number),
            None,
            self._positions.ctypes.data_as(number),
            self._counts.ctypes.data_as(number),
            ctypes.cast(self._each, ctypes.POINTER(number)),
            self._wanted.ctypes.data_as(small),
        )


class Pool:
    """The contexts of a model: as many as fit `memory` bytes, those that were given back used again.

    narrow  tokens of one step over answers
    steady  whether a model gives the same bits however many tokens a step reads
    """

    def __init__(self, model: GgufModel, threads: int, memory: int) -> None:
        self._model, self._threads, self._memory = model, threads, memory
        self._lent = 0
        self._returned: deque[Cells] = deque()
        self._idle: list[Cells] = []
        self.stop = StepStop()
        self.narrow = NARROW
        self.steady = True

    def lease(self, tokens: int) -> Lease:
        """Cells for so many tokens, and some beside. EngineError where they do not fit the memory."""
        size = SMALLEST
        while size < tokens + SPARE:
            size *= 2
        while self._returned:
            self._idle.append(self._returned.popleft())
            self._lent -= self._idle[-1].size
        found = next((cells for cells in self._idle if cells.size == size), None)
        if found is not None:
            self._idle.remove(found)
        else:
            self._make_room(size)
            found = Cells(self._model, size, self._threads, self.stop)
        found.clear()
        self._lent += size
        return Lease(found, self._returned)

    def _make_room(self, size: int) -> None:
        kept = self._idle[-IDLE + 1 :]
        while kept and (self._lent + size + sum(one.size for one in kept)) * self._model.cell > self._memory:
            kept.pop(0)
        self._idle = kept
        if self._lent and (self._lent + size) * self._model.cell > self._memory:
            raise _no_memory(size)


class Lease:
    """Cells of one request; whoever forgets it gives them back."""

    def __init__(self, cells: Cells, returned: deque[Cells]) -> None:
        self.cells = cells
        weakref.finalize(self, returned.append, cells).atexit = False


def taps() -> tuple[Any, Any]:
    """What the library has for hidden states: to ask for a layer's, and to get them. Raises AttributeError without.

    A layer's states are the next one's input. These functions are exported, though no header names them.
    """
    lib = library()._lib
    ask = lib._Z30llama_set_embeddings_layer_inpP13llama_contextjb
    get = lib._Z30llama_get_embeddings_layer_inpP13llama_contextj
    ask.argtypes, ask.restype = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_bool], None
    get.argtypes, get.restype = [ctypes.c_void_p, ctypes.c_uint32], ctypes.POINTER(ctypes.c_float)
    return ask, get


def _free(pointer: Any, *needed: object) -> None:
    """Free a context, before what it needs."""
    library().llama_free(pointer)


def _no_memory(size: int) -> EngineError:
    return EngineError(
        f"there is no memory for a conversation of {size} cells",
        where="engine 'llama.cpp'",
        why="each request keeps the keys and values of its prompt and of its candidates",
        fix="answer fewer requests at a time, set `context` lower, or raise engine option `memory`",
    )


def _failed(what: str) -> EngineError:
    return EngineError(
        f"the engine failed: {what}",
        where="engine 'llama.cpp'",
        why="what was being decoded is lost; the engine itself goes on",
        fix="report this error",
    )
