"""Log-probabilities: told of every token that was shown, with the text that made the last of it known."""

from __future__ import annotations

from collections.abc import Callable

from ig_guardrail.drive.alternatives import Alternatives, as_shown
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.runners import Wait, Waiting
from ig_guardrail.drive.scoring.scorer import Scorer
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import tokens_behind
from ig_guardrail.types import Node, TokenLogprob


class Telling:
    """How far the tokens of one answer were told. Nothing is told of the tokens of a thought.

    top  how many of the likeliest tokens are told beside each
    """

    def __init__(self, run: Run, gate: Gate, scorer: Scorer, top: int) -> None:
        self._engine, self._gate, self._top = run.engine, gate, top
        self._alternatives = Alternatives(run, gate, scorer)
        self._told = 0  # answer tokens

    def tell(
        self, start: Node, usable: Callable[[Node], bool], characters: int, ended: bool = False
    ) -> Waiting[tuple[TokenLogprob, ...]]:
        """What the model thought of the tokens that were shown and not yet told.

        start: where decoding began; what stands before it is the caller's
        usable: whether the engine still holds a node
        characters: of the answer's text, thought included, that were shown
        ended: whether no more will be shown; then a token that was shown in part is told as far as it was shown
        """
        tip = self._gate.tip
        first, last = max(self._told, start.position, tip.thought.tokens), tokens_behind(tip, characters)
        if not ended and tip.characters_at(last) > characters:
            last -= 1
        if last <= first:
            return ()
        stem = next(node for node in tip.ancestors() if node.position <= first and (node is start or usable(node)))
        ids = tip.answer_ids()[stem.position : last]
        logprobs = (yield Wait(self._engine.answer_logprobs(stem, ids, self._top)))[first - stem.position :]
        told = yield from self._alternatives.tell(first, logprobs)
        if ended:
            told = (*told[:-1], as_shown(told[-1], tip.text[tip.characters_at(last - 1) : characters]))
        self._told = last
        return told
