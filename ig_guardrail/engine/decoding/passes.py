"""What decoding asks of a model, and what a strategy of keeping keys and values must do to answer.

Decoding says which continuations read which tokens (`Pass`); a `Caching` runs the model, as many passes at once as it
can. Nothing above knows which strategy is at work, nor whether torch or another library runs the model.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from ig_guardrail.engine.decoding.arithmetic import Array
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.types import StateEdit

if TYPE_CHECKING:
    from ig_guardrail.engine.early_exit.layers import Exit


class Snapshot(Protocol):
    """A prefix that any number of continuations can start from. It never changes what it stands for."""

    @property
    def logits(self) -> Array:
        """Of the token after the prefix, (vocabulary,)."""
        ...

    @property
    def shape(self) -> Hashable:
        """Prefixes of equal shape can be continued together."""
        ...


# Logits (1, vocabulary), and how many tokens beyond the pass's they stand -> the token that would be drawn from them;
# None if it would end the answer.
Guess: TypeAlias = Callable[[Array, int], int | None]

R = TypeVar("R")
S = TypeVar("S", bound=Snapshot)
S_co = TypeVar("S_co", bound=Snapshot, covariant=True)


class PassRows(Protocol[S_co]):
    """Continuations that are read together, in step: `count` of them."""

    @property
    def count(self) -> int: ...

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all other rows."""
        ...

    def freeze(self, row: int, logits: Array) -> S_co:
        """The prefix that a row has read, and the logits (vocabulary,) after it."""
        ...


@dataclass(frozen=True, slots=True)
class Ahead:
    """How the tokens after a pass may be guessed: by which exit, at most how many, and how each will be drawn."""

    exit: Exit
    tokens: int
    guess: Guess


@dataclass(frozen=True, slots=True)
class Pass(Generic[S]):
    """Tokens to be read by rows, equally many in each.

    tokens   token ids, (rows, tokens)
    keep     of how many last tokens the logits are wanted
    layers   whose hidden states are wanted
    account  the request that pays, and whose end drops the pass
    edit     what is done to the hidden states of the tokens whose logits are wanted
    ahead    for one row: how tokens may be guessed and read with the one that is due
    singly   for one row: each token is to attend by the arithmetic of a pass over it alone
    pages    for one row: the prompt that is being read, see `Caching.pages`; what was read of it meanwhile for others
             is not read again, and what is read is kept for others
    """

    rows: PassRows[S]
    tokens: Sequence[Sequence[int]]
    keep: int
    layers: tuple[int, ...]
    account: RequestUsage
    edit: StateEdit | None = None
    ahead: Ahead | None = None
    singly: bool = False
    pages: Sequence[bytes] = ()

    @property
    def is_block(self) -> bool:
        """Whether rows read several tokens."""
        return len(self.tokens[0]) > 1

    @property
    def is_step(self) -> bool:
        """Whether rows read one token each, and their states are left as they are."""
        return not self.is_block and self.edit is None


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass gives: logits (rows, kept tokens, vocabulary), and layer -> states (rows, tokens, hidden size).

    read: tokens that were read for it, where these are not the pass's own: more of them, or none that were not known.
    """

    logits: Array
    hidden: Mapping[int, Array]
    read: int | None = None


def whole(reading: PassResult | BaseException) -> PassResult:
    """What was read; the error of a pass that failed is raised."""
    if isinstance(reading, BaseException):
        raise reading
    return reading


Strand: TypeAlias = Generator[Pass[Any], PassResult, R]  # asks for one pass after another, and returns something


class Caching(Protocol[S]):
    """A way to keep keys and values. `name` is part of the engine's mode."""

    @property
    def name(self) -> str: ...

    @property
    def piece(self) -> int:
        """How many tokens of a row are read at a time."""
        ...

    @property
    def tile(self) -> int:
        """What a piece has may be any multiple of this, and gives the same bits; `piece` itself is one."""
        ...

    @property
    def shortest(self) -> int:
        """The fewest tokens of a piece, but of a prompt that is shorter itself."""
        ...

    def empty(self, room: int, reach: int) -> PassRows[S]:
        """One row that has read nothing, and will read `room` tokens first. `reach`: the most that it may come to."""
        ...

    def pages(self, ids: Sequence[int], salt: str) -> Sequence[bytes]:
        """A prompt as the prompt cache knows it; () where there is none. salt: of whose prompts."""
        ...

    def recall(self, rows: PassRows[S], pages: Sequence[bytes]) -> int:
        """Give a row what was read of a prompt for others, from where it stands on; how many tokens."""
        ...

    @property
    def keeps_answers(self) -> bool:
        """Whether a prompt may begin with an answer's tokens as they were drawn, since they have the same bits."""
        ...

    def keep(self, prefix: S, pages: Sequence[bytes]) -> None:
        """Keep what a prefix has read for prompts that begin with it; only where answers are kept."""
        ...

    def start(self, prefixes: Sequence[S], room: int) -> PassRows[S]:
        """A row after each of `prefixes`, all of one shape; each will read at most `room` tokens."""
        ...

    def read(self, passes: Sequence[Pass[Any]]) -> Sequence[PassResult | BaseException]:
        """Read all passes, in order. A pass that was read is part of its rows' prefixes from then on.

        In place of what was read stands the error of a pass that failed alone; what is raised, failed them all.
        """
        ...
