"""What compiling saves in a step: rows of one prefix, read with what is compiled and by torch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any, TypeAlias
from unittest.mock import patch

from ig_guardrail.engine.kv import attention, short_layers
from ig_guardrail.engine.loading.packing import PackedLinear
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.types import Draw
from speed.stage import Stage
from speed.timing import in_turn, ratios, row, seconds

PART = "CPU time of a step, compiled / by torch alone"
ATTENDING = "CPU time of a step, attention compiled / by torch"
LENGTHS, WIDTHS = (40, 1000), (1, 4, 8, 16)
BEHIND = {40: (1, 8, 32), 1000: (1, 8, 32), 4000: (1,)}  # widths
STEPS = 32

Context: TypeAlias = Callable[[], AbstractContextManager[Any]]
Step: TypeAlias = tuple[float, tuple[tuple[int, ...], ...]]  # CPU seconds, and the tokens of all rows


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Steps of some rows behind a prompt; where nothing but time may differ, the tokens of both ways are compared."""
    rows = []
    for length in LENGTHS:
        for width in WIDTHS:
            of = _told(width, length)
            took = _in_both_ways(stage, length, width, pairs, partial(by_torch_alone, stage))
            if {ids for _, ids in took["compiled"]} != {ids for _, ids in took["torch"]}:
                raise GuardrailError(f"both ways gave other tokens: {of}", where="benchmark")
            rows.append(row(PART, f"compiled-{width}-{length}", of, _beside(took)))
    for length, widths in BEHIND.items():
        for width in widths:
            took = _in_both_ways(stage, length, width, pairs, partial(patch.multiple, attention, LONE=0, SEVERAL=0))
            rows.append(row(ATTENDING, f"attending-{width}-{length}", _told(width, length), _beside(took)))
    return rows


def _in_both_ways(stage: Stage, length: int, width: int, pairs: int, torch: Context) -> Mapping[str, Sequence[Step]]:
    """torch: in what torch does what is compared"""
    ways: dict[str, Context] = {"compiled": ExitStack, "torch": torch}
    runs = {way: partial(_taken, stage, length, width, inside) for way, inside in ways.items()}
    return in_turn(runs, pairs, _told(width, length))


def _beside(took: Mapping[str, Sequence[Step]]) -> list[float]:
    return ratios(*([taken for taken, _ in took[way]] for way in ("compiled", "torch")))


def _told(width: int, length: int) -> str:
    return f"{width} {'row' if width == 1 else 'rows'}, prompt of {length} tokens"


def _taken(stage: Stage, length: int, width: int, inside: Context, _: int) -> Step:
    """CPU seconds of some steps after a prompt that was read, and the tokens of all rows."""
    asked = stage.asked(length, STEPS)
    root = stage.engine.open(stage.engine.encode(asked.turns), asked.sampling).result()
    nodes = []
    with inside():
        taken = seconds(lambda: nodes.extend(stage.engine.extend([Draw(root, width)], STEPS).result()))
    ids = tuple(tuple(node.ids) for node in nodes)
    stage.engine.close(root)
    return taken, ids


@contextmanager
def by_torch_alone(stage: Stage) -> Iterator[None]:
    """Nothing that is compiled to torch's bits is used meanwhile."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(short_layers, "MOST", 0))
        for layer in stage.packed.model.modules():
            if isinstance(layer, PackedLinear):
                stack.enter_context(patch.object(layer, "few", 0))
        yield
