"""What may be told of the tokens that an answer did not take, and of one that was shown in part.

The likeliest tokens at a place are drafts, like any others. One of them is told if the answer, had it ended with that
token in place of the one that was shown there, is within every enforced budget. Only cost models that read text, at
once and in this process, are asked. Where an enforced budget has any other, nothing is told but what was shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ig_guardrail.budget import Point, Rule, SafetyState, charge_points, settle
from ig_guardrail.drive.scorer import Scorer
from ig_guardrail.drive.serve import Case
from ig_guardrail.drive.waiting import Waiting
from ig_guardrail.errors import CostFailure
from ig_guardrail.types import Chance, Measure, Node

QUICK = frozenset({"pattern", "lexical", "tools", "calls"})  # kinds that read text without a network or a large model
WAVE = 256  # alternatives that are judged at a time
MOST = 8_192  # alternatives of one answer that are judged; of the rest nothing is told


@dataclass(frozen=True, slots=True)
class Draft:
    """An alternative: its place, its rank among the likeliest there, and the answer that ends with it."""

    place: int
    rank: int
    node: Node


def tellable(case: Case, start: int, end: int, chances: Sequence[Chance]) -> Waiting[tuple[Chance, ...]]:
    """The chances of the tokens from position `start` on, without what may not be told.

    end: characters of the answer that were shown. Of the last token only those are told that are among them.
    """
    tip = case.gate.tip
    rules = tuple(rule for rule in case.panel.rules if rule.enforced)
    drafts = _drafts(tip, start, chances) if rules and _quick(case, rules) else []
    told = (yield from _within(case, rules, tip, drafts[:MOST])) if drafts else set()
    kept = [
        chance if not rules else _only(chance, {rank for place, rank in told if place == start + count})
        for count, chance in enumerate(chances)
    ]
    if kept:
        kept[-1] = _as_shown(kept[-1], tip.text[tip.characters_at(start + len(kept) - 1) : end])
    return tuple(kept)


def _quick(case: Case, rules: Sequence[Rule]) -> bool:
    """Whether all that is enforced can be judged at any place, of text alone."""
    seats = [case.panel.seats[name] for rule in rules for name in rule.budget.cost.models()]
    return all(rule.granularity != "final" for rule in rules) and all(
        seat.spec.kind in QUICK and not seat.model.layers for seat in seats
    )


def _drafts(tip: Node, start: int, chances: Sequence[Chance]) -> list[Draft]:
    """The alternatives whose bytes are text, each as an answer that ends with it."""
    ids, offsets = tip.answer_ids(), [offset for node in tip.path() for offset in node.offsets]
    drafts = []
    for place, chance in enumerate(chances, start):
        text = tip.text[: tip.characters_at(place)]
        before = Node(-1, tip.root, None, ids[:place], place, text, tuple(offsets[:place]), len(text))
        for rank, (spelled, _) in enumerate(chance.likeliest):
            added = _decoded(spelled)
            if spelled != chance.spelled and added is not None:
                size = len(text) + len(added)
                made = -1 - rank  # stands for a token that has no id here
                node = Node(made, tip.root, before, (made,), place + 1, text + added, (size,), size, finish="stop")
                drafts.append(Draft(place, rank, node))
    return drafts


def _within(case: Case, rules: Sequence[Rule], tip: Node, drafts: Sequence[Draft]) -> Waiting[set[tuple[int, int]]]:
    """Places and ranks of the drafts that are within budget. None of them are where a cost model fails."""
    told: set[tuple[int, int]] = set()
    try:
        due = [(r.budget.id, point) for r in rules for point in charge_points(r, 0, tip.position, ended=False)]
        passed = yield from Scorer(case.panel, case.prompt).measure(tip, due)
        states = _states(rules, case.gate.state_at(case.root), passed, drafts)
        for first in range(0, len(drafts), WAVE):
            wave = drafts[first : first + WAVE]
            scorer = Scorer(case.panel, case.prompt)  # a fresh one, whose memory goes with the wave
            asked = [(one.node, _due(rules, one.place)) for one in wave]
            measures = yield from scorer.measure_all(asked)
            if scorer.fail_open:
                return set()
            for one, mine in zip(wave, measures, strict=True):
                _, charges = settle(rules, states[one.place], mine)
                if all(line.z_after >= 0 for line in charges):
                    told.add((one.place, one.rank))
    except CostFailure:
        return set()
    return told


def _due(rules: Sequence[Rule], place: int) -> list[tuple[str, Point]]:
    """The charge points of an answer that ends one token behind `place`."""
    return [(rule.budget.id, point) for rule in rules for point in charge_points(rule, place, place + 1, ended=True)]


def _states(
    rules: Sequence[Rule], opening: SafetyState, passed: Sequence[Measure], drafts: Sequence[Draft]
) -> dict[int, SafetyState]:
    """What was spent before each place of a draft."""
    waiting = sorted(passed, key=lambda measure: measure.position)
    state, found, next_one = opening, {}, 0
    for place in sorted({draft.place for draft in drafts}):
        first = next_one
        while next_one < len(waiting) and waiting[next_one].position <= place:
            next_one += 1
        state, _ = settle(rules, state, waiting[first:next_one])
        found[place] = state
    return found


def _only(chance: Chance, ranks: set[int]) -> Chance:
    """A chance with those of its alternatives, and the token itself."""
    kept = tuple(one for rank, one in enumerate(chance.likeliest) if rank in ranks or one[0] == chance.spelled)
    return replace(chance, likeliest=kept)


def _as_shown(chance: Chance, shown: str) -> Chance:
    """The last token, as far as it was shown; where that is not whole, no other token is told beside it."""
    spelled = _beginning(chance.spelled, shown.encode())
    if spelled == chance.spelled:
        return chance
    itself = tuple((spelled, logprob) for other, logprob in chance.likeliest if other == chance.spelled)
    return replace(chance, spelled=spelled, likeliest=itself)


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
