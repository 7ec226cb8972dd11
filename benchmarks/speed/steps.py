"""What compiling saves in a step: rows of one prefix, read with what is compiled and by torch alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

from ig_guardrail.engine.kv import short_layers
from ig_guardrail.engine.loading.packing import PackedLinear
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.types import Draw
from speed.stage import Stage
from speed.timing import in_turn, ratios, row, seconds

PART = "CPU time of a step, compiled / by torch alone"
LENGTHS, WIDTHS = (40, 1000), (1, 4, 8, 16)
STEPS = 32


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Steps of some rows behind a prompt; the tokens of both ways are compared."""
    rows = []
    for length in LENGTHS:
        for width in WIDTHS:
            of = f"{width} {'row' if width == 1 else 'rows'}, prompt of {length} tokens"
            runs = {way: partial(_taken, stage, length, width, way) for way in ("compiled", "torch")}
            took = in_turn(runs, pairs, of)
            if {ids for _, ids in took["compiled"]} != {ids for _, ids in took["torch"]}:
                raise GuardrailError(f"both ways gave other tokens: {of}", where="benchmark")
            times = [[taken for taken, _ in took[way]] for way in ("compiled", "torch")]
            rows.append(row(PART, f"compiled-{width}-{length}", of, ratios(*times)))
    return rows


def _taken(stage: Stage, length: int, width: int, way: str, _: int) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """CPU seconds of some steps after a prompt that was read, and the tokens of all rows."""
    asked = stage.asked(length, STEPS)
    root = stage.engine.open(stage.engine.encode(asked.turns), asked.sampling).result()
    nodes = []
    with by_torch_alone(stage) if way == "torch" else ExitStack():
        taken = seconds(lambda: nodes.extend(stage.engine.extend([Draw(root, width)], STEPS).result()))
    ids = tuple(tuple(node.ids) for node in nodes)
    stage.engine.close(root)
    return taken, ids


@contextmanager
def by_torch_alone(stage: Stage) -> Iterator[None]:
    """Nothing compiled is used meanwhile."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(short_layers, "MOST", 0))
        for layer in stage.packed.model.modules():
            if isinstance(layer, PackedLinear):
                stack.enter_context(patch.object(layer, "few", 0))
        yield
