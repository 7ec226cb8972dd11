"""Log-probabilities: what is told of the tokens that were shown, and of those that the answer did not take.

A token is told with the text that made the last of it known; one that was shown in part, as far as it was shown.

The likeliest tokens at its place are drafts, like any others. One of them is told if the answer, had it ended with that
token in place of the one that was shown there, is within every enforced budget. Only cost models that read text, at
once and in this process, are asked. Where an enforced budget has any other, nothing is told but what was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ig_guardrail.budget import BudgetRule, Point, charge_points, settle
from ig_guardrail.costs.catalog import OF_CALLS
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.runners import Wait, Waiting
from ig_guardrail.drive.scoring.cost_registry import CostRegistry
from ig_guardrail.drive.scoring.scorer import Scorer
from ig_guardrail.errors import CostFailure
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import tokens_behind
from ig_guardrail.types import Measure, Node, TokenLogprob

QUICK = frozenset({*OF_CALLS, *(name for name, kind in KINDS.items() if kind.quick)})  # kinds
WAVE = 256  # alternatives that are judged at a time
MOST = 8_192  # alternatives of one answer that are judged; of the rest nothing is told


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
            told = (*told[:-1], _as_shown(told[-1], tip.text[tip.characters_at(last - 1) : characters]))
        self._told = last
        return told


@dataclass(frozen=True, slots=True)
class AlternativeToken:
    """An alternative: its place, its rank among the likeliest there, and the answer that ends with it."""

    place: int
    rank: int
    node: Node


class Alternatives:
    """What may be told of the tokens of one answer, asked piece by piece, in order, once each was shown.

    judged  how many alternatives were judged so far
    states  what was spent before each place, as far as was asked
    """

    def __init__(self, run: Run, gate: Gate, scorer: Scorer) -> None:
        self._costs, self._gate, self._scorer = run.costs, gate, scorer
        self._judged = 0
        self._states = [gate.state_at(gate.tip)]

    def tell(self, start: int, logprobs: Sequence[TokenLogprob]) -> Waiting[tuple[TokenLogprob, ...]]:
        """The tokens from position `start` on, without the alternatives that may not be told."""
        rules = self._costs.enforced
        if not rules:
            return tuple(logprobs)
        within = (yield from self._within(rules, start, logprobs)) if are_told(self._costs) else {}
        return tuple(_only(token, within.get(place, set())) for place, token in enumerate(logprobs, start))

    def _within(
        self, rules: Sequence[BudgetRule], start: int, logprobs: Sequence[TokenLogprob]
    ) -> Waiting[dict[int, set[int]]]:
        """The ranks of the alternatives that are within budget, by place. None of them where a cost model fails."""
        told: dict[int, set[int]] = {}
        tip = self._gate.tip
        drafts = islice(_drafts(tip, start, logprobs), max(0, MOST - self._judged))
        try:
            yield from self._spend(rules, tip, start + len(logprobs) - 1)
            while wave := list(islice(drafts, WAVE)):
                self._judged += len(wave)
                scorer = self._scorer.aside()  # its memory goes with the wave
                measures = yield from scorer.measure_all([(one.node, _due(rules, one.place)) for one in wave])
                if scorer.fail_open:
                    return {}
                for one, mine in zip(wave, measures, strict=True):
                    _, charges = settle(rules, self._states[one.place], mine)
                    if all(line.z_after >= 0 for line in charges):
                        told.setdefault(one.place, set()).add(one.rank)
        except CostFailure:
            return {}
        return told

    def _spend(self, rules: Sequence[BudgetRule], tip: Node, end: int) -> Waiting[None]:
        """Carry what was spent on to the place `end` of the answer."""
        known = len(self._states) - 1
        due = [(rule.budget.id, point) for rule in rules for point in charge_points(rule, known, end, ended=False)]
        measures = yield from self._scorer.aside().measure(tip, due)
        charged: dict[int, list[Measure]] = {}
        for measure in measures:
            charged.setdefault(measure.position, []).append(measure)
        for place in range(known + 1, end + 1):
            before = self._states[-1]
            self._states.append(settle(rules, before, charged[place])[0] if place in charged else before)


def are_told(costs: CostRegistry) -> bool:
    """Whether any alternatives are told: all that is enforced can be judged at any place, of text alone."""
    rules = costs.enforced
    return all(rule.granularity != "final" for rule in rules) and all(
        one.spec.kind in QUICK and not one.model.layers for one in costs.behind(rules)
    )


def _drafts(tip: Node, start: int, logprobs: Sequence[TokenLogprob]) -> Iterator[AlternativeToken]:
    """The alternatives whose bytes are text, each as an answer that ends with it, in order of their places."""
    ids, offsets = tip.answer_ids(), tuple(offset for node in tip.path() for offset in node.offsets)
    for place, token in enumerate(logprobs, start):
        text = tip.text[: tip.characters_at(place)]
        thought = replace(tip.thought, tokens=min(tip.thought.tokens, place))
        before = Node(-1, tip.root, None, ids[:place], place, text, offsets[:place], len(text), thought=thought)
        for rank, (spelled, _) in enumerate(token.top):
            added = _decoded(spelled)
            if spelled != token.spelled and added is not None:
                size = len(text) + len(added)
                made = -1 - rank  # stands for a token that has no id here
                node = Node(
                    made,
                    tip.root,
                    before,
                    (made,),
                    place + 1,
                    text + added,
                    (size,),
                    size,
                    finish="stop",
                    thought=thought,
                )
                yield AlternativeToken(place, rank, node)


def _due(rules: Sequence[BudgetRule], place: int) -> list[tuple[str, Point]]:
    """The charge points of an answer that ends one token behind `place`."""
    return [(rule.budget.id, point) for rule in rules for point in charge_points(rule, place, place + 1, ended=True)]


def _only(token: TokenLogprob, ranks: set[int]) -> TokenLogprob:
    """A token with those of its alternatives, itself among them."""
    kept = tuple(one for rank, one in enumerate(token.top) if rank in ranks or one[0] == token.spelled)
    return replace(token, top=kept)


def _as_shown(token: TokenLogprob, shown: str) -> TokenLogprob:
    """The last token, as far as it was shown; where that is not whole, no other token is told beside it."""
    spelled = _beginning(token.spelled, shown.encode())
    if spelled == token.spelled:
        return token
    itself = tuple((spelled, logprob) for other, logprob in token.top if other == token.spelled)
    return replace(token, spelled=spelled, top=itself)


def _beginning(spelled: bytes, shown: bytes) -> bytes:
    """`spelled` up to the end of `shown`, whose first bytes may be those of the token before."""
    for missing in range(min(4, len(shown))):
        start = spelled.find(shown[missing:])
        if start >= 0:
            return spelled[: start + len(shown) - missing]
    return shown


def _decoded(spelled: bytes) -> str | None:
    try:
        return spelled.decode()
    except UnicodeDecodeError:
        return None
