"""Early exit: the plain stream, its tokens guessed by the model's early layers and verified by all of them.

Source: M2R2 (arXiv 2502.02040), its self-speculative decoding, as far as a frozen model allows: an adapter after one of
the layers guesses, and the later layers read what was guessed in one pass (`engine.ahead`). What is not there: the
accelerated stream within the early layers, the exit router, expert preloading. Nothing is guessed by the strategy: it
asks for the plain stream, and the engine may read ahead. So the text is that of `cut`, gate and all; a wrong guess
costs work only.

Work is counted as it is done: a guessed token is read by the early layers when it is guessed and by the later ones when
it is verified, so each counts once among the tokens read, right or wrong. Reading the vocabulary matrix once more for
every guess is in no count.
"""

from __future__ import annotations

from ig_guardrail.search import plain
from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.needs import EXIT_ADAPTERS
from ig_guardrail.types import Node

GUESSES = 1  # at a time; with an exit that is right half of the time, more are mostly in vain


def search(root: Node, ctx: SearchContext) -> Search:
    """Block by block, until the answer ends or the gate denies."""
    return plain.search(root, ctx, ahead=GUESSES)


METHODS = (
    SearchMethod(
        "early_exit",
        search,
        "the stream, guessed by the model's early layers and verified by all of them",
        "M2R2, arXiv 2502.02040 (self-speculative)",
        needs=(EXIT_ADAPTERS,),
        baseline=True,
    ),
)
