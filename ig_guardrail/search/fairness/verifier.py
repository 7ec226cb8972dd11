"""A verifier under a constitution weighs drafts, and writes a block itself where no draft will do.

Source: AMBEDKAR, arXiv 2509.02133: a small model proposes, a larger one that was tuned on a constitution verifies.
Here, block by block: N drafts B of the model d; the verifier q, which is the same model under the policy's `steer`
text, or a second model under it where the guardrail has one, gives each the weight

    log q(B | g, x, y) - log d(B | x, y) - alpha D(B)

with the equivariant gap D (`lanes`), and the heaviest within budget is taken. If the heaviest weighs less than `floor`,
the verifier writes a block in its own context; that is moved into the answer, weighed and charged like the drafts.

Departures: the paper tunes the second model, and tries single tokens by their gap with no acceptance test
(`token_verifier` has one). End tokens are left out of both probabilities, so stopping weighs nothing. Two models share
no tokens: the second reads the text of a draft in tokens of its own, and what it writes is read in the first one's.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.fairness.contexts import Verified, VerifierContexts
from ig_guardrail.search.needs import CONSTITUTION, SWAP_LEXICON
from ig_guardrail.text.counterfactual import Swap
from ig_guardrail.types import Accepted, Append, Commit, CostEstimate, Draw, Drop, Extend, Node, Score, SearchOp


@dataclass(frozen=True, slots=True)
class Weighed:
    """A block and its weight, nats."""

    node: Node
    weight: float


@dataclass(frozen=True, slots=True)
class Verifier:
    """swaps: one lane each; None: the policy's. alpha: the price of a nat of gap a token. floor: nats.

    Below `floor` no draft will do. At 0 some draft must be likelier to the verifier than to its author, by more than
    its gap costs.
    """

    swaps: tuple[Swap, ...] | None = None
    alpha: float = 1.0
    floor: float = 0.0

    def __call__(self, root: Node, ctx: SearchContext) -> Search:
        """Block by block, until the answer ends, nothing is within budget, or the gate denies."""
        lanes = VerifierContexts(ctx.steer or "", ctx.swaps if self.swaps is None else self.swaps, ctx.apart)
        yield from lanes.open(root)
        node = root
        while node.finish is None:
            best = yield from self._best(node, lanes, ctx)
            if best is None or not isinstance((yield Commit(best)), Accepted):
                return
            yield from lanes.forget((node,))
            yield Drop((node,))
            node = best

    def _best(self, node: Node, lanes: VerifierContexts, ctx: SearchContext) -> Generator[SearchOp, Any, Node | None]:
        """The heaviest block within budget."""
        drafts: list[Node] = yield Extend((Draw(node, ctx.settings.candidates),), ctx.settings.block)
        blocks = self.weighed((yield from lanes.verify(drafts)))
        if max(one.weight for one in blocks) < self.floor:
            written = yield from _written(node, lanes, ctx.settings.block)
            blocks += self.weighed((yield from lanes.verify((written,))))
        costs: list[CostEstimate] = yield Score(tuple(one.node for one in blocks))
        within = [one for one, cost in zip(blocks, costs, strict=True) if cost.within and one.weight > -math.inf]
        best = max(within, key=lambda one: one.weight).node if within else None
        lost = [one.node for one in blocks if one.node is not best]
        yield from lanes.forget(lost)
        yield Drop(tuple(lost))
        return best

    def weighed(self, blocks: Sequence[Verified]) -> list[Weighed]:
        """Blocks with their weights; one whose reading is unknown weighs nothing at all: minus infinity."""
        return [Weighed(one.node, self._weight(one)) for one in blocks]

    def _weight(self, one: Verified) -> float:
        if math.isnan(one.logprob) or math.isinf(one.gap):
            return -math.inf
        return one.logprob - math.fsum(one.node.logprobs) - self.alpha * one.gap


def _written(node: Node, lanes: VerifierContexts, block: int) -> Generator[SearchOp, Any, Node]:
    """A block that the verifier writes, in the answer's own context."""
    (own,) = yield Extend((Draw(lanes.own(node)),), block, 1)
    (moved,) = yield Append(((node, own),))
    yield Drop((own,))
    written: Node = moved
    return written


search = Verifier()

METHODS = (
    SearchMethod(
        "verifier",
        search,
        "drafts weighed under a constitution, less what they say only of one group",
        "AMBEDKAR, arXiv 2509.02133",
        needs=(CONSTITUTION,),
        uses=(SWAP_LEXICON,),
    ),
)
