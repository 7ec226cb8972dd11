"""Closing an answer in time: where it stands in the network of its form, and the shortest ways to its end."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import count

from ig_guardrail.engine.grammar.network import FAR, Letters, Net, holds

MOST_STANDS = 4_000  # at once
STEPS = 2_000  # of a search for ways to the end
CHECKED_STEPS = 600  # of one whose ends are checked
TIMES = 3  # that a search comes to one node behind as many bytes
STROLLS = 45  # ways that chance finds, where the shortest ones do not pass the check
LONGEST_STROLL = 800  # steps
EAGERNESS = (0.5, 0.75, 0.9)  # what each further byte makes of the chance that a step is taken

_LIKED = 'a0e1A2b3c4d5B6C7D8E9"]}' + " ,.:-"


class OpenRule:
    """A rule that is being read: where in the text it began, and what it returns to."""

    __slots__ = ("_cost", "begun", "parents", "rule")

    def __init__(self, rule: int, begun: int, parents: list[tuple[int, OpenRule]]) -> None:
        self.rule, self.begun, self.parents = rule, begun, parents
        self._cost = -1

    def cost(self, net: Net) -> int:
        """The least number of bytes behind the rule's end."""
        if self._cost >= 0:
            return self._cost
        chain = [self]
        while chain:
            frame = chain[-1]
            unknown = [parent for _, parent in frame.parents if parent._cost < 0]
            if unknown:
                chain += unknown
                continue
            frame._cost = min((net.distance[node] + parent._cost for node, parent in frame.parents), default=0)
            chain.pop()
        return self._cost


class Stand:
    """Where a text stands in a network. It never changes: what follows is another stand."""

    __slots__ = ("cost", "net", "places", "rest", "text")  # cost: bytes, those of a begun character left out

    def __init__(self, net: Net, text: str, rest: bytes, places: dict[tuple[int, OpenRule], None]) -> None:
        self.net, self.text, self.rest, self.places = net, text, rest, places
        self.cost = min((net.distance[node] + frame.cost(net) for node, frame in places), default=FAR)

    @property
    def exact(self) -> bool:
        """Whether the network is narrower here than the grammar."""
        return any(node in self.net.exact for node, _ in self.places)

    @property
    def whole(self) -> bool:
        """Whether the text may end here."""
        return not self.rest and any(node == self.net.exit[0] and not frame.parents for node, frame in self.places)

    @property
    def counting(self) -> bool:
        """Whether it stands in a number that may have more digits."""
        readings = (these for node, _ in self.places for these, _ in self.net.reading[node])
        return self.text[-1:].isdigit() and any(holds(these, ord("0")) for these in readings)

    @property
    def prose(self) -> bool:
        """Whether it may stand in words."""
        return any(node in self.net.prose for node, _ in self.places)

    def after(self, data: bytes) -> Stand | None:
        """Where it stands behind more bytes; None where nothing of the form goes on like that."""
        stand: Stand | None = self
        whole, rest = _characters(self.rest + data)
        if whole is None:
            return None
        for letter in whole:
            stand = stand._step(letter) if stand is not None else None
        if stand is None:
            return None
        made = Stand(self.net, stand.text, rest, stand.places) if rest or stand.rest else stand
        return made if not rest or made._may_begin(rest) else None

    def ways(self) -> Iterator[bytes]:
        """What may be added to reach an end, shortest first; several are given, in case the first does not serve."""
        yield from self._search()
        if self.net.check:
            dice = random.Random(self.text)
            for number in range(STROLLS):
                way = self._stroll(dice, EAGERNESS[number % len(EAGERNESS)])
                if way is not None:
                    yield way

    def _step(self, letter: str) -> Stand | None:
        code, text = ord(letter), self.text + letter
        moved = [
            (to, frame)
            for node, frame in self.places
            for these, to in self.net.reading[node]
            if any(low <= code <= high for low, high in these)
        ]
        places = _closed(self.net, text, moved)
        return Stand(self.net, text, b"", places) if places and len(places) <= MOST_STANDS else None

    def _may_begin(self, rest: bytes) -> bool:
        low, high = _interval(rest)
        return any(
            a <= high and low <= b for node, _ in self.places for these, _ in self.net.reading[node] for a, b in these
        )

    def _search(self) -> Iterator[bytes]:
        net, numbers = self.net, count()
        heap: list[tuple[int, int, int, str, int, OpenRule]] = []  # nearest first; of equal ones, who went on furthest

        def add(spent: int, said: str, node: int, frame: OpenRule) -> None:
            left = net.distance[node] + frame.cost(net)
            if left < FAR:
                heapq.heappush(heap, (spent + left, -spent, next(numbers), said, node, frame))

        for node, frame in self.places:
            add(0, "", node, frame)
        seen: Counter[tuple[int, int]] = Counter()
        for _ in range(CHECKED_STEPS if net.check else STEPS):
            if not heap:
                return
            _, behind, _, said, node, frame = heapq.heappop(heap)
            spent = -behind
            seen[node, spent] += 1
            if seen[node, spent] > TIMES:
                continue
            if node == net.exit[frame.rule] and not frame.parents and self._passes(frame, said):
                yield said.encode()[len(self.rest) :]
            for more, to, there in self._moves(said, node, frame):
                add(spent + len(more.encode()), said + more, to, there)

    def _stroll(self, dice: random.Random, eagerness: float) -> bytes | None:
        """A way by chance; None if it led nowhere."""
        net, said, distance = self.net, "", self.net.distance
        starts = [place for place in self.places if distance[place[0]] + place[1].cost(net) < FAR]
        if not starts:
            return None
        node, frame = dice.choices(
            starts, [eagerness ** (distance[one] + inner.cost(net) - self.cost) for one, inner in starts]
        )[0]
        for _ in range(LONGEST_STROLL):
            if node == net.exit[frame.rule] and not frame.parents:
                return said.encode()[len(self.rest) :] if self._passes(frame, said) else None
            moves = list(self._moves(said, node, frame, dice))
            far = [len(more.encode()) + distance[to] + there.cost(net) for more, to, there in moves]
            least = min(far, default=FAR)
            if least >= FAR:
                return None
            weights = [eagerness ** min(length - least, 1_000) for length in far]
            more, node, frame = dice.choices(moves, weights)[0]
            said += more
        return None

    def _passes(self, frame: OpenRule, said: str) -> bool:
        check = self.net.check.get(frame.rule)
        return bool(said or not self.rest) and (check is None or check((self.text + said)[frame.begun :]))

    def _moves(
        self, said: str, node: int, frame: OpenRule, dice: random.Random | None = None
    ) -> Iterator[tuple[str, int, OpenRule]]:
        """Where a node leads: what is said on the way, the node, and the rule that is read there."""
        net = self.net
        if node == net.exit[frame.rule] and frame.parents and self._passes(frame, said):
            yield from (("", to, parent) for to, parent in frame.parents)
        yield from (("", to, frame) for to in net.silent[node])
        for rule, to in net.calling[node]:
            yield "", net.entry[rule], OpenRule(rule, len(self.text) + len(said), [(to, frame)])
        for these, to in net.reading[node]:
            letter = _sample(these, b"" if said else self.rest, dice)
            if letter is not None:
                yield letter, to, frame


def beginning(net: Net) -> Stand:
    """Where an answer stands before its first character.

    Where it may be words, these alone are followed: they may end and go on anywhere, so nothing else needs closing.
    """
    stand = Stand(net, "", b"", _closed(net, "", [(net.entry[0], OpenRule(0, 0, []))]))
    if not (stand.whole and stand.prose):
        return stand
    words = [(node, frame) for node, frame in stand.places if net.distance[node] + frame.cost(net) == 0]
    return Stand(net, "", b"", dict.fromkeys(words))


def _closed(net: Net, text: str, moved: list[tuple[int, OpenRule]]) -> dict[tuple[int, OpenRule], None]:
    """All places that are reached without a further character. Rules are begun once, however many ways lead there."""
    places: dict[tuple[int, OpenRule], None] = {}
    begun: dict[int, OpenRule] = {}
    judged: dict[OpenRule, bool] = {}
    waiting = moved
    while waiting:
        place = waiting.pop()
        if place in places:
            continue
        places[place] = None
        node, frame = place
        waiting += [(to, frame) for to in net.silent[node]]
        for rule, to in net.calling[node]:
            if rule in begun:
                begun[rule].parents.append((to, frame))
            else:
                begun[rule] = OpenRule(rule, len(text), [(to, frame)])
                waiting.append((net.entry[rule], begun[rule]))
            if (net.exit[rule], begun[rule]) in places:
                waiting.append((to, frame))
        if node == net.exit[frame.rule] and frame.parents:
            if frame not in judged:
                check = net.check.get(frame.rule)
                judged[frame] = check is None or check(text[frame.begun :])
            if judged[frame]:
                waiting += frame.parents
    root_ends = [place for place in places if place[0] == net.exit[place[1].rule] and not place[1].parents]
    for place in root_ends:
        check = net.check.get(place[1].rule)
        if check is not None and not check(text):
            del places[place]
    return places


def _sample(these: Letters, begun: bytes, dice: random.Random | None) -> str | None:
    """A usual character of a set, by chance or the first. begun: how its bytes must begin."""
    if begun:
        low, high = _interval(begun)
        return next((chr(code) for a, b in these if (code := max(a, low)) <= min(b, high)), None)
    usual = _usual(these)
    if dice is None or not usual:
        return usual[0] if usual else chr(these[0][0])
    return dice.choice(usual)


@lru_cache(1_024)
def _usual(these: Letters) -> str:
    """The usual characters of a set."""
    return "".join(letter for letter in _LIKED if holds(these, ord(letter)))


def _characters(data: bytes) -> tuple[str | None, bytes]:
    """Whole characters, and the bytes of one that was begun; None for what is no UTF-8."""
    for kept in range(min(3, len(data)) + 1):
        try:
            text = data[: len(data) - kept].decode()
        except UnicodeDecodeError:
            continue
        rest = data[len(data) - kept :]
        return (text, rest) if not rest or _interval(rest)[0] <= _interval(rest)[1] else (None, b"")
    return None, b""


def _interval(begun: bytes) -> tuple[int, int]:
    """The code points whose UTF-8 begins with some bytes; an empty interval if there are none."""
    first = begun[0]
    size = 2 if 0xC2 <= first < 0xE0 else 3 if 0xE0 <= first < 0xF0 else 4 if 0xF0 <= first < 0xF5 else 0
    if not size or len(begun) >= size or any(not 0x80 <= byte < 0xC0 for byte in begun[1:]):
        return 1, 0
    value = first & (0xFF >> (size + 1))
    for byte in begun[1:]:
        value = value << 6 | byte & 0x3F
    left = 6 * (size - len(begun))
    low, high = value << left, (value + 1 << left) - 1
    low = max(low, {2: 0x80, 3: 0x800, 4: 0x10000}[size])
    high = min(high, 0x10FFFF)
    if low >= 0xD800 and high <= 0xDFFF:
        return 1, 0
    return (0xE000 if 0xD800 <= low <= 0xDFFF else low), (0xD7FF if 0xD800 <= high <= 0xDFFF else high)
