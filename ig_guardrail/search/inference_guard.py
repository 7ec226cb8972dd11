"""InferenceGuard: blockwise search for a continuation whose every prefix stays within the budgets.

Source: arXiv 2502.01208, the blockwise beam search with penalise-and-resample. In each block, N candidates grow from K
beams; those whose remaining budget z' >= 0 for every enforced budget survive; the best K go on.

Departures, each measured to matter more than what it replaces:
- `on_risk`: a block is first drafted on lane 0 alone, the unguarded stream, and committed if it cost nothing and no
  trigger fired. Wide search costs only where risk shows; it begins beside the draft when that looks risky early
  (`widening`).
- hysteresis: once a draft fired, replacements and all later blocks keep a margin below the threshold (`accept`).
- steered proposals (`steering`).
- backing up: a block whose every continuation fails gives way to the next candidate before it, as long as that text was
  not shown. The paper keeps the best-scored unsafe beam; here an unsafe one is never kept.

The search is depth first over levels. A level holds the beams it grows from and the safe children not yet tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.drawing.widening import Level, Widening
from ig_guardrail.search.needs import REWARD_MODEL
from ig_guardrail.types import Node


def search(root: Node, ctx: SearchContext) -> Search:
    """Take the best untried beams of the deepest level, commit what they share, go deeper; back up when stuck."""
    widening = Widening(ctx, root)
    levels = [Level((root,))]
    tip = root
    while levels:
        level = levels[-1]
        beams = yield from widening.next_beams(level)
        if not beams:
            levels.pop()
            continue
        finished = all(beam.finish is not None for beam in beams)
        offer = beams[0] if finished else shared_prefix(beams)
        if finished or not _lies_on(offer, tip):
            if not (yield from widening.commit(offer)):
                continue
            tip = offer
        if finished:
            return
        levels.append(Level(tuple(beams)))
        levels = yield from widening.prune(levels)


def shared_prefix(nodes: Sequence[Node]) -> Node:
    """The deepest node on every path; with one beam, the beam."""
    if len(nodes) == 1:
        return nodes[0]
    paths = [node.path() for node in nodes]
    shared = paths[0][0]
    for step in zip(*paths, strict=False):
        if any(node is not step[0] for node in step):
            break
        shared = step[0]
    return shared


def _lies_on(node: Node, tip: Node) -> bool:
    """Whether a node is `tip`, or an ancestor of it."""
    return any(step is node for step in takewhile(lambda step: step.position >= node.position, tip.ancestors()))


METHODS = (
    SearchMethod(
        "inference_guard",
        search,
        "blockwise search within budgets, with resampling, steering and backing up",
        "arXiv 2502.01208",
        uses=(REWARD_MODEL,),
    ),
)
