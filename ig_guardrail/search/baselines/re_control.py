"""RE-Control: before each token, the hidden state it follows from is moved towards a higher value.

Source: arXiv 2406.05954; as a baseline in arXiv 2502.01208 (30 gradient steps of 0.5). The engine makes the edits, in a
context of their own (`Steer`). Departures: a drawn block is read again in the answer's own, unedited context and judged
there, since edited states would say of themselves whatever they were edited to say; the edited layer is the one that
the value head reads, where the paper edits what the last layer gives to the vocabulary, so that here edits of earlier
layers stay in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from ig_guardrail.errors import StrategyError
from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.needs import VALUE_HEAD
from ig_guardrail.types import Accepted, Append, Commit, Draw, Drop, Extend, Node, StateEdit, Steer


@dataclass(frozen=True, slots=True)
class ReControl:
    """edit: the steps up a value head, as `engine.edits` makes them; None: those away from the policy's cost head.

    Raises StrategyError where there is neither.
    """

    edit: StateEdit | None = None

    def __call__(self, root: Node, ctx: SearchContext) -> Search:
        """Block by block, until the answer ends or the gate denies."""
        node, steered = root, (yield Steer(root, self._given(ctx)))
        while node.finish is None:
            (drawn,) = yield Extend((Draw(steered),), ctx.settings.block)
            (own,) = yield Append(((node, drawn),))
            if not isinstance((yield Commit(own)), Accepted):
                return
            yield Drop((node, steered))
            node, steered = own, drawn

    def _given(self, ctx: SearchContext) -> StateEdit:
        edit = self.edit or ctx.ascent
        if edit is None:
            raise StrategyError(
                "re_control has no value head to follow",
                why="its edits are steps up the gradient of one",
                fix="use a policy with a latent cost model, or hand it one: ReControl(away_from(layer, weight))",
            )
        return edit


search = ReControl()

METHODS = (
    SearchMethod(
        "re_control",
        search,
        "hidden states moved towards a higher value, token by token",
        "arXiv 2406.05954",
        needs=(VALUE_HEAD,),
        baseline=True,
    ),
)
