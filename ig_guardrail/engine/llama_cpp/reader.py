"""The lines of one root in its cells: prompt and answers, in the order in which a stream of its own would lie there.

Where a search has gone, its candidates lie between one another, and what is freed behind them leaves holes that later
tokens would fill out of order; that moves logits. So before rows begin, everything is dropped but the one line that
lies in the first cells without a gap, cut to what the rows have in common; what they have beyond it is read again, as
one batch, which gives the same bits. While other rows are still being read, nothing is dropped, and cells are only
taken behind them.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ig_guardrail.engine.decoding.by_numpy import Floats
from ig_guardrail.engine.decoding.passes import PassResult
from ig_guardrail.engine.llama_cpp.cells import SEQUENCES, WIDE, Cells, Lease, Pool
from ig_guardrail.engine.tree import RequestUsage


@dataclass(slots=True, eq=False)
class CachedSequence:
    """One sequence: its number, its tokens beyond the root, and how many of these lie in the first cells, in order."""

    number: int
    beyond: list[int] = field(default_factory=list)
    dense: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """Tokens beyond a root, and the logits (vocabulary,) after them."""

    reader: Reader
    beyond: tuple[int, ...]
    logits: Floats

    @property
    def shape(self) -> Hashable:
        return id(self.reader), len(self.beyond)


class Reader:
    """What was read for one root: `root` tokens that all lines begin with, and the lines."""

    def __init__(self, pool: Pool, room: int) -> None:
        self._pool = pool
        self._lease: Lease = pool.lease(room)
        self.root = 0
        self.fresh = True  # nothing was made of it yet
        self.lines: list[CachedSequence] = [CachedSequence(0)]
        self._standing: weakref.WeakSet[Rows] = weakref.WeakSet()

    @property
    def cells(self) -> Cells:
        return self._lease.cells

    @property
    def narrow(self) -> int:
        return self._pool.narrow

    def begin(self) -> Rows:
        """The row that reads the root."""
        rows = Rows(self, [], 0)
        rows.lines = list(self.lines)
        return rows

    def begin_with(self, data: bytes, length: int, root: int) -> None:
        """Begin with the first tokens of a prompt that was saved."""
        self.cells.restore(data, length)
        self.cells.cut(0, root)
        self.root = root

    def stand(self, rows: Rows, prefixes: Sequence[Prefix], room: int, account: RequestUsage) -> int:
        """Give rows a line after each prefix, and room for tokens to come; how many tokens were read again for it."""
        distinct = list(dict.fromkeys(prefix.beyond for prefix in prefixes))
        shared = _common(distinct)
        busy = len(self._standing) > 0
        base, length = self._base(distinct[0][:shared], dense=not busy)
        needed = shared - length + sum(len(beyond) - shared for beyond in distinct) + room * len(prefixes)
        taken = self.cells.used if busy else self.root + length
        crowded = busy and len(self.lines) + len(prefixes) + 1 > SEQUENCES
        if taken + needed > self.cells.size or crowded:
            rows.reader = self._larger(base, needed, busy)
        lines, read = rows.reader._lines_of(distinct, shared, account)
        for prefix in prefixes:
            line = lines[prefix.beyond]
            rows.lines.append(rows.reader.fork(line, len(line.beyond)) if line in rows.lines else line)
        rows.reader._standing.add(rows)
        return read

    def _lines_of(
        self, distinct: Sequence[tuple[int, ...]], shared: int, account: RequestUsage
    ) -> tuple[dict[tuple[int, ...], CachedSequence], int]:
        """A line for each of some continuations, which share some tokens; how many tokens were read for it."""
        common, busy = distinct[0][:shared], len(self._standing) > 0
        base, length = self._base(common, dense=not busy)
        if not busy:
            self._drop_all_but(base, length)
        trunk = self.fork(base, length)
        self._take_all([(trunk, token) for token in common[length:]], account)
        lines = {beyond: trunk if place == 0 else self.fork(trunk, shared) for place, beyond in enumerate(distinct)}
        tails = [(line, token) for beyond, line in lines.items() for token in beyond[shared:]]
        self._take_all(tails, account)
        return lines, shared - length + len(tails)

    def _take_all(self, items: Sequence[tuple[CachedSequence, int]], account: RequestUsage) -> None:
        for start in range(0, len(items), self._pool.narrow):
            self.take(items[start : start + self._pool.narrow], [], (), account)

    def take(
        self,
        items: Sequence[tuple[CachedSequence, int]],
        wanted: Sequence[bool],
        layers: Sequence[int],
        account: RequestUsage,
    ) -> PassResult:
        """Read one token after another on their lines, in one step."""
        positions, cell = [], self.cells.used
        lengths = {id(line): len(line.beyond) for line, _ in items}
        for line, _ in items:
            positions.append(self.root + lengths[id(line)])
            lengths[id(line)] += 1
        found = self.cells.read(
            [token for _, token in items],
            positions,
            [line.number for line, _ in items],
            wanted or [False] * len(items),
            layers,
            account,
        )
        for place, ((line, token), position) in enumerate(zip(items, positions, strict=True)):
            if line.dense == len(line.beyond) and position == cell + place:
                line.dense += 1
            line.beyond.append(token)
        return PassResult(found.logits, found.hidden)

    def take_root(self, ids: Sequence[int], account: RequestUsage) -> PassResult:
        """Read more of the root; the logits of its last token."""
        count = len(ids)
        found = self.cells.read(
            ids,
            range(self.root, self.root + count),
            [0] * count,
            [place == count - 1 for place in range(count)],
            (),
            account,
        )
        self.root += count
        return PassResult(found.logits, found.hidden)

    def _base(self, beyond: Sequence[int], dense: bool) -> tuple[CachedSequence, int]:
        """The line that begins with the most of these tokens, and with how many; dense: of those that lie in order."""
        lengths = [min(_shared(line.beyond, beyond), line.dense if dense else len(beyond)) for line in self.lines]
        length = max(lengths)
        return self.lines[lengths.index(length)], length

    def _drop_all_but(self, base: CachedSequence, length: int) -> None:
        for line in self.lines:
            if line is not base:
                self.cells.drop(line.number)
        self.cells.cut(base.number, self.root + length)
        del base.beyond[length:]
        base.dense = length
        self.lines = [base]

    def fork(self, line: CachedSequence, length: int) -> CachedSequence:
        """A new line with the first tokens of one."""
        taken = {one.number for one in self.lines}
        number = next(number for number in range(SEQUENCES) if number not in taken)
        self.cells.copy(line.number, number, self.root + length)
        new = CachedSequence(number, line.beyond[:length], min(line.dense, length))
        self.lines.append(new)
        return new

    def _larger(self, base: CachedSequence, needed: int, busy: bool) -> Reader:
        """A reader with the first tokens of a line in cells of its own; this one, unless others stand on it."""
        saved, whole = self.cells.saved(base.number), len(base.beyond)
        reader = Reader.__new__(Reader) if busy else self
        lease = self._pool.lease(self.root + whole + needed)
        lease.cells.restore(saved, self.root + whole)
        reader._pool, reader._lease, reader.root, reader.fresh = self._pool, lease, self.root, False
        reader.lines = [CachedSequence(0, base.beyond[:whole], whole)]
        reader._standing = weakref.WeakSet()
        return reader


class Rows:
    """Continuations that are read together. They get their lines when they are read first."""

    def __init__(self, reader: Reader, prefixes: Sequence[Prefix], room: int) -> None:
        self.reader = reader
        self.lines: list[CachedSequence] = []
        self._prefixes = list(prefixes)
        self._room = room

    @property
    def count(self) -> int:
        return len(self._prefixes) or 1

    def keep(self, rows: Sequence[int]) -> None:
        self._prefixes = [self._prefixes[row] for row in rows]
        self.lines = [self.lines[row] for row in rows] if self.lines else []

    def freeze(self, row: int, logits: Floats) -> Prefix:
        self.reader.fresh = False
        beyond = tuple(self.lines[row].beyond) if self.lines else self._prefixes[row].beyond
        return Prefix(self.reader, beyond, logits)

    def read(
        self, tokens: Sequence[Sequence[int]], keep: int, layers: Sequence[int], account: RequestUsage
    ) -> PassResult:
        """Read the same number of tokens on each row: see `Pass`."""
        if self.reader.fresh:
            return self._read_root(tokens[0], keep, layers, account)
        again = 0
        if not self.lines:
            again = self.reader.stand(self, self._prefixes, self._room, account)
        count, step = len(tokens[0]), self.reader.narrow
        items = [(line, token) for line, ids in zip(self.lines, tokens, strict=True) for token in ids]
        wanted = [place >= count - keep for _ in tokens for place in range(count)]
        read = [
            self.reader.take(items[start : start + step], wanted[start : start + step], layers, account)
            for start in range(0, len(items), step)
        ]
        logits = _whole([one.logits for one in read]).reshape(len(tokens), keep, -1)
        hidden = {layer: _whole([one.hidden[layer] for one in read]) for layer in layers}
        states = {layer: states.reshape(len(tokens), count, -1) for layer, states in hidden.items()}
        return PassResult(logits, states, again + len(items) if again else None)

    def _read_root(self, ids: Sequence[int], keep: int, layers: Sequence[int], account: RequestUsage) -> PassResult:
        """A prompt in wide steps, and the answer behind it in narrow ones, as it was read when it was drawn."""
        bulk, step = len(ids) - (keep - 1), self.reader.narrow
        prompt = ids[:bulk]
        logits = [self.reader.take_root(prompt[at : at + WIDE], account).logits for at in range(0, bulk, WIDE)]
        if keep == 1:
            return PassResult(logits[-1][None], {})
        self.reader.fresh = False
        (line,) = self.lines
        read = [
            self.reader.take(
                [(line, token) for token in ids[start : start + step]],
                [True] * len(ids[start : start + step]),
                layers,
                account,
            )
            for start in range(bulk, len(ids), step)
        ]
        hidden = {layer: np.concatenate([one.hidden[layer] for one in read])[None] for layer in layers}
        return PassResult(np.concatenate([logits[-1], *(one.logits for one in read)])[None], hidden)


def _whole(parts: Sequence[Floats]) -> Floats:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that two begin with alike."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _common(all_of: Sequence[tuple[int, ...]]) -> int:
    """Tokens that all begin with alike."""
    first = all_of[0]
    return min(_shared(first, other) for other in all_of)
