"""Memory of keys and values while 32 candidates are drawn, in bytes that are really held."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.decoding.passes import Pass
from ig_guardrail.engine.kv.shared import SharedPrefix, SharedRows
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from speed.risk import MODES, Mode, ScriptedRisk, scripted_rail
from speed.stage import BLOCK, Say, Stage, answer, expect, story
from speed.timing import row
from speed.watched import watched_engine

PART = "memory of keys and values"
WIDTH = 32
PROMPT = 2000
TOKENS = 64


@dataclass(slots=True)
class Ledger:
    """Bytes held at the end of every wide block, and the answer tokens before it."""

    held: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def on_step(self, passes: Sequence[Pass[Any]]) -> None:
        """Weigh when the last token of a block was read by all its candidates."""
        for one in passes:
            rows: Any = one.rows
            if rows.count == WIDTH and rows.own == BLOCK:
                self.held.append(bytes_held())
                self.lengths.append(rows.reach)


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """One answer of each kind under the default hold: bytes do not vary."""
    ledger = Ledger()
    engine = watched_engine(stage.packed, ledger.on_step)
    rails = {mode: _rail(stage, engine, mode) for mode in MODES}
    shares = {mode: _shares(stage, engine, rail, ledger) for mode, rail in rails.items()}
    engine.shutdown()
    what = f"one prefix and all blocks, prompt of {PROMPT} tokens, {WIDTH} candidates of {BLOCK}"
    searched, widened = shares["always"], shares["on_risk"]
    return [
        row(PART, "memory", f"held in the first block / {what}", searched[:1], at_most=1.0),
        row(PART, "memory-later", "held in later blocks / the same", searched[1:]),
        row(PART, "memory-widened", "held in later blocks, each widened after a draft / the same", widened[1:]),
    ]


def _rail(stage: Stage, engine: TransformersEngine, mode: Mode) -> Guardrail:
    """Every block is wide; in mode `on_risk`, after a draft that is found risky."""
    search = replace(stage.policy.search, mode=mode, candidates=WIDTH)
    everywhere = ScriptedRisk(frozenset(range(BLOCK, TOKENS + 1, BLOCK)))
    return scripted_rail(engine, replace(stage.policy, search=search), everywhere)


def _shares(stage: Stage, engine: TransformersEngine, rail: Guardrail, ledger: Ledger) -> list[float]:
    """Bytes held over bytes needed, at the end of every block of an answer."""
    ledger.held, ledger.lengths = [], []
    answer(rail, GenerationRequest(story(engine, PROMPT), stage.sampling(TOKENS)))
    expect(len(ledger.held), TOKENS // BLOCK)
    return [held / ideal(stage, length) for held, length in zip(ledger.held, ledger.lengths, strict=True)]


def ideal(stage: Stage, prefix: int) -> int:
    """Bytes of the keys and values of a prefix, once, and of a block for every candidate."""
    config = stage.weights.model.config
    size = config.hidden_size // config.num_attention_heads
    token = config.num_hidden_layers * 2 * config.num_key_value_heads * size * stage.weights.model.dtype.itemsize
    return int(token * (prefix + WIDTH * BLOCK))


def bytes_held() -> int:
    """Bytes of every trunk and branch that anyone in this process still refers to."""
    tenants = [one for one in gc.get_objects() if issubclass(type(one), SharedPrefix | SharedRows)]
    trunks = {id(one.trunk): one.trunk.bytes() for one in tenants}
    own = [one.row if isinstance(one, SharedPrefix) else one.branch for one in tenants]
    branches = sum(_storages([tensor for tensor in own if tensor is not None]).values())
    return int(sum(trunks.values()) + branches)


def _storages(tensors: Sequence[Tensor]) -> dict[int, int]:
    """Address -> bytes; views of one storage count once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}
