"""Memory of keys and values while 32 candidates are drawn, in bytes that are really held."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from functools import partial
from typing import Any

from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.kv.shared import SharedPrefix, SharedRows, Sharing
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.evaluate import tables
from speed.stage import BLOCK, Stage, answer, expect, unhindered
from speed.timing import row

PART = "memory of keys and values"
WIDTH = 32
PROMPT = 2000
TOKENS = 64


class Weighed(Sharing):
    """`Sharing` that weighs what is held when all candidates have read the last token of a block.

    blocks: gets the bytes, and the tokens before the block
    """

    def __init__(self, blocks: list[tuple[int, int]], model: Model) -> None:
        super().__init__(model)
        self._blocks = blocks

    def read(self, passes: Sequence[Pass[Any]]) -> list[PassResult]:
        found = super().read(passes)
        self._blocks += [
            (bytes_held(), one.rows.reach) for one in passes if one.rows.count == WIDTH and one.rows.own == BLOCK
        ]
        return found


def measure(stage: Stage, _: int) -> list[tables.Row]:
    """One answer under the default hold: bytes do not vary."""
    blocks: list[tuple[int, int]] = []
    engine = TransformersEngine(stage.packed, partial(Weighed, blocks))
    policy = unhindered(stage.policy, mode="always", candidates=WIDTH, hold=stage.policy.search.hold)
    rail = stage.rail(policy, engine)
    blocks.clear()
    answer(rail, stage.asked(PROMPT, TOKENS))
    engine.shutdown()
    expect(BLOCK * len(blocks), TOKENS)
    shares = [held / least_bytes(stage, prefix) for held, prefix in blocks]
    what = f"one prefix and all blocks, prompt of {PROMPT} tokens, {WIDTH} candidates of {BLOCK}"
    return [
        row(PART, "memory", f"held in the first block / {what}", shares[:1], at_most=1.0),
        row(PART, "memory-later", "held in later blocks / the same", shares[1:]),
    ]


def least_bytes(stage: Stage, prefix: int) -> int:
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
    storages = [tensor.untyped_storage() for tensor in own if tensor is not None]
    branches = {one.data_ptr(): one.nbytes() for one in storages}  # views of one storage count once
    return int(sum(trunks.values()) + sum(branches.values()))
