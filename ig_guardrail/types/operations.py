"""What a strategy may ask for, and what it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from ig_guardrail.types.tree import Node


@dataclass(frozen=True, slots=True)
class Draw:
    """`count` blocks from `node`, on lanes `lane`, `lane + 1`, ... Lane 0 at attempt 0 is the unguarded stream.

    The same lane and attempt draw the same tokens again from the same node, unless a bias differs.
    """

    node: Node
    count: int = 1
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Extend:
    """Sample blocks of at most `tokens` tokens. Reply: the children, in the order of the draws.

    ahead  how many tokens at a time the engine may guess by its early exit and read with the one that is due; no child
           depends on it
    """

    draws: tuple[Draw, ...]
    tokens: int
    attempt: int = 0
    bias: tuple[tuple[int, float], ...] = ()
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Expand:
    """The `k` likeliest one-token children. Reply: list of nodes, likeliest first."""

    node: Node
    k: int


@dataclass(frozen=True, slots=True)
class TopLogprobs:
    """The tokens that `Expand` would make children of, without reading them.

    Reply: list of (token id, log-probability in nats), likeliest first; an end token may be among them.
    """

    node: Node
    k: int


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probabilities of `ids` after `node`. Reply: list of floats, nats."""

    node: Node
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """Forced continuations, one pass each. A `Node` moves what its answer has beyond this position, and its finish.

    A node of the model that verifies moves its text beyond this node's, or, where there is none, its finish.

    Reply: list of children, in order.
    """

    items: tuple[tuple[Node, Node | str | tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """What the conversation of a twin context says otherwise.

    system  words added to its system text; "" adds none
    swap    words exchanged in all its turns, in lower case, each way (see `swap`); not in `system`
    """

    system: str = ""
    swap: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Twin:
    """A second context for the same answer, with an edited conversation. Reply: a node at the same position.

    The answer itself is not edited. Where words are swapped, a twin of the empty root is given the swapped answer by
    `Append`; such a context is for reading, so stop strings, form and `max_tokens` do not end answers in it.

    by  "verifier": of the model that verifies, where the request has one beside the model that decodes; then only the
        empty root has twins, such a context is for reading, too, and is given texts by `Append`, no tokens
    """

    node: Node
    edit: Edit
    by: Literal["model", "verifier"] = "model"


class StateEdit(Protocol):
    """A change of hidden states while a context is read: at `layer`, of each state that a next token follows from."""

    @property
    def layer(self) -> int: ...

    def edited(self, states: Any) -> Any:
        """What takes the place of the layer's output `states` (rows, tokens, hidden size); of the same shape."""
        ...


@dataclass(frozen=True, slots=True)
class Steer:
    """A second context for the same answer, in which hidden states are edited. Reply: a node at the same position.

    Its blocks are proposals, like a twin's: what is committed is read again, unedited, in the answer's own context.
    """

    node: Node
    edit: StateEdit


@dataclass(frozen=True, slots=True)
class Together:
    """Work of the engine that shares steps. Reply: list of what each would have been replied, in order."""

    operations: tuple[Extend | Expand | TopLogprobs | TokenLogprobs | Append | Twin | Steer, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Judge nodes. kind `cost`: list of `CostEstimate`; `reward` and `critic`: list of floats, higher is better.

    `early_score`: list of floats, the pressure (see `CostEstimate`) of what a commit would be charged; between charge
    points also of what hidden states show at the node's end. For planning; the gate charges at charge points only.
    """

    nodes: tuple[Node, ...]
    kind: Literal["cost", "reward", "critic", "early_score"] = "cost"


@dataclass(frozen=True, slots=True)
class Drop:
    """Nodes that will not be asked for again. Reply: None."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Offer a node to the gate. Reply: `Accepted` or `Denied`.

    A strategy that is denied more than `retries` times since its last accepted commit is stopped; to choose, `Score`.
    """

    node: Node


SearchOp: TypeAlias = (
    Extend | Expand | TopLogprobs | TokenLogprobs | Append | Twin | Steer | Together | Score | Drop | Commit
)


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What committing a node would do to the enforced budgets, over the charge points that are not yet committed.

    z         remaining budget after the node, by budget id; below 0 is over budget for good
    spent     what would be charged, summed over budgets
    pressure  the highest score / threshold, over budgets and points; 1 is at a threshold; 0 without a charge point
    """

    z: Mapping[str, float]
    spent: float
    pressure: float

    @property
    def within(self) -> bool:
        return all(value >= 0 for value in self.z.values())


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gate took the node. `released` is the position up to which text may already have been shown."""

    z: Mapping[str, float]
    released: int


@dataclass(frozen=True, slots=True)
class Denied:
    """The gate refused the node and charged nothing. `reason` is 'budget' or what was wrong with the commit itself."""

    reason: str
    budget: str | None = None
    position: int | None = None


SearchReply: TypeAlias = (
    Sequence[Node] | Sequence[CostEstimate] | Sequence[float] | Sequence[Any] | Node | Accepted | Denied | None
)
