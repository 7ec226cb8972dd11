"""The values every room speaks: frozen, torch-free, and without behaviour beyond facts derived from themselves.

A *position* is always a count of answer tokens: position 16 is the prefix that ends with the sixteenth token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, Protocol, TypeAlias

from ig_guardrail.languages import text_for

Finish: TypeAlias = Literal["stop", "length"]
Outcome: TypeAlias = Literal["completed", "refused", "ended", "cancelled", "failed"]
Granularity: TypeAlias = Literal["token", "block", "final"]
Reading: TypeAlias = Literal["level", "event"]
Accumulate: TypeAlias = Literal["max", "sum"]
Mode: TypeAlias = Literal["enforce", "shadow"]
Scope: TypeAlias = Literal["response", "conversation", "tool", "tenant"]
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


# --------------------------------------------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Call:
    """A whole call of a tool. id: the name that the model gave it, where it gave one."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One message of the assistant: words, and the calls behind them."""

    words: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation, as plain text.

    said  the messages of the assistant that its turn was made of, where they are known; () leaves it to the text
    """

    role: Role
    text: str
    said: tuple[Utterance, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation and the token ids the model reads for it."""

    turns: tuple[Turn, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the unguarded model would be sampled; fixed for the life of a request.

    temperature 0 is greedy. top_k 0 and top_p 1 and min_p 0 are off. `stop` strings end the answer and are not part
    of it. `seed` keys the counter-based generator (one uniform per token, by seed, position, lane and attempt).
    `grammar` is a Lark text; with one, every answer has its form, and ends by itself only where the form is complete.
    """

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    stop: tuple[str, ...] = ()
    seed: int = 0
    max_tokens: int = 256
    grammar: str | None = None


# ---------------------------------------------------------------------------------------------------- the token tree


class GrownText:
    """A node's text: whole at the tips of a token tree, and elsewhere what a node adds to its parent's.

    So a long answer takes memory by its length, and not by its square. Every `WHOLE`th node of a path keeps its text
    whole all the same, so that few are read to tell another's.
    """

    WHOLE = 32

    def __get__(self, node: Node | None, owner: type[Node]) -> str:
        if node is None:
            raise AttributeError("text")  # a field without a default
        kept: dict[str, Any] = node.__dict__
        whole: str | None = kept["_whole"]
        if whole is not None:
            return whole
        parts: list[str] = []
        for step in node.ancestors():
            kept = step.__dict__
            whole = kept["_whole"]
            if whole is not None:
                parts.append(whole)
                break
            parts.append(kept["_added"])
        return "".join(reversed(parts))

    def __set__(self, node: Node, text: str) -> None:
        parent = node.parent
        before = "" if parent is None else parent.text
        shared = parent is not None and text.startswith(before)
        depth = parent.__dict__["_depth"] + 1 if parent is not None and shared else 0
        node.__dict__.update(_whole=text, _added=text[len(before) :] if shared else text, _depth=depth)
        if parent is not None and shared and parent.__dict__["_depth"] % self.WHOLE:
            parent.__dict__["_whole"] = None


@dataclass(frozen=True, eq=False)
class Node:
    """One prefix of one answer, in one context, in an engine's token tree.

    id        the engine's handle
    root      id of the root of its context (a twin context has a root of its own)
    parent    the node it continues; None at a root
    ids       tokens added since the parent; an end token is never among them
    position  answer tokens up to and including this node
    text      exact decoded answer so far, whole characters only, including a stop string that ended it
    offsets   for each of `ids`, how many characters of `text` are known after it
    visible   how many characters of `text` belong to the answer (less than all only after a stop string)
    logprobs  for each of `ids`, its natural log-probability under the unfiltered model at temperature 1
    hidden    layer -> array (len(ids), hidden size): the state after reading each token; only the layers asked for
    finish    why the answer ends here, or None
    words     how many characters of `text` are words for certain, and the rest calls; None: markers in it tell
    hurried   characters of `text` before the first token that is another than was drawn, so that a form could be closed
              in the room left; None where every token is as drawn
    """

    id: int
    root: int
    parent: Node | None
    ids: tuple[int, ...]
    position: int
    text: GrownText = GrownText()  # no default: the class itself has no text
    offsets: tuple[int, ...]  # type: ignore[misc]
    visible: int  # type: ignore[misc]
    logprobs: tuple[float, ...] = ()
    hidden: Mapping[int, Any] = field(default_factory=dict)
    finish: Finish | None = None
    words: int | None = None
    hurried: int | None = None

    def path(self) -> tuple[Node, ...]:
        """The nodes from the root to this one."""
        chain: list[Node] = []
        node: Node | None = self
        while node is not None:
            chain.append(node)
            node = node.parent
        return tuple(reversed(chain))

    def ancestors(self) -> Iterator[Node]:
        """This node, its parent, and so on to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def answer_ids(self) -> tuple[int, ...]:
        """All answer tokens, from the root on."""
        return tuple(chain.from_iterable([node.ids for node in self.path()]))

    def characters_at(self, position: int) -> int:
        """Characters of `text` known after `position` answer tokens (a stop string that ended the answer included)."""
        if position <= 0:
            return 0
        for node in self.ancestors():
            start = node.position - len(node.ids)
            if start < position:
                return node.offsets[position - start - 1]
        raise ValueError(f"position {position} lies outside this answer of {self.position} tokens")


@dataclass(frozen=True, slots=True)
class Chance:
    """A token of an answer as the unfiltered model saw it at temperature 1, before the guard.

    spelled    its bytes; parts of a character are possible
    logprob    nats
    likeliest  the tokens it thought likeliest there, and their log-probabilities, likeliest first
    """

    spelled: bytes
    logprob: float
    likeliest: tuple[tuple[bytes, float], ...] = ()


# ----------------------------------------------------------------------------------- requests a strategy may yield


@dataclass(frozen=True, slots=True)
class Draw:
    """`count` blocks from `node`, on lanes `lane`, `lane + 1`, ... Lane 0 at attempt 0 is the unguarded stream."""

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
class Likeliest:
    """The tokens that `Expand` would make children of, without reading them.

    Reply: list of (token id, log-probability in nats), likeliest first; an end token may be among them.
    """

    node: Node
    k: int


@dataclass(frozen=True, slots=True)
class LogProbs:
    """Log-probabilities of `ids` after `node`. Reply: list of floats, nats."""

    node: Node
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """Forced continuations, one pass each. A `Node` moves what its answer has beyond this position, and its finish.

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
    """

    node: Node
    edit: Edit


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
    """Work of the engine that shares steps. Reply: list of what each request would have been replied, in order."""

    requests: tuple[Extend | Expand | Likeliest | LogProbs | Append | Twin | Steer, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Judge nodes. kind `cost`: list of `Cost`; `reward` and `critic`: list of floats, higher is better.

    `glance`: list of floats, the pressure (see `Cost`) of what a commit would be charged and, between charge points
    too, of what hidden states show at the node's end. For planning; the gate charges at charge points only.
    """

    nodes: tuple[Node, ...]
    kind: Literal["cost", "reward", "critic", "glance"] = "cost"


@dataclass(frozen=True, slots=True)
class Drop:
    """Nodes that will not be asked for again. Reply: None."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Offer a node to the gate. Reply: `Accepted` or `Denied`."""

    node: Node


Request: TypeAlias = Extend | Expand | Likeliest | LogProbs | Append | Twin | Steer | Together | Score | Drop | Commit


# --------------------------------------------------------------------------------------------------------- replies


@dataclass(frozen=True, slots=True)
class Cost:
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


Reply: TypeAlias = Sequence[Node] | Sequence[Cost] | Sequence[float] | Sequence[Any] | Node | Accepted | Denied | None


# --------------------------------------------------------------------------------------------------------- scoring


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of an answer between two charge points, as a cost model reads it.

    text    characters that became known in this piece
    ids     its tokens; empty when an answer ends exactly on a charge point
    hidden  layer -> arrays (tokens, hidden size) that stack to len(ids) rows
    ended   whether the answer ends with it
    words   how many characters of `text` are words for certain, and the rest calls; None: markers in it tell
    json    whether the answer's words are JSON for certain
    """

    text: str
    ids: tuple[int, ...] = ()
    hidden: Mapping[int, tuple[Any, ...]] = field(default_factory=dict)
    ended: bool = False
    words: int | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where in a document of a corpus a text stands word for word: from character `start` up to `stop`."""

    document: str
    start: int
    stop: int

    def joined(self, other: Source) -> Source:
        """Both as one where they touch or overlap; else this one."""
        apart = self.document != other.document or other.start > self.stop or other.stop < self.start
        return self if apart else Source(self.document, min(self.start, other.start), max(self.stop, other.stop))


@dataclass(frozen=True, slots=True)
class Measure:
    """One budget's score at one charge point, and the raw scores of the cost models behind it.

    `ended` marks the charge point at the end of an answer, which is a point of its own even where an ordinary one
    falls on the same position. `fired` names, by cost model, the rules that raw scores rest on, where one can say.
    """

    budget: str
    position: int
    ended: bool
    score: float
    raw: Mapping[str, float] = field(default_factory=dict)
    fired: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)


# ---------------------------------------------------------------------------------------------------------- policy


@dataclass(frozen=True, slots=True)
class Expression:
    """A cost expression: a cost model's name, a number, or `max`, `min`, `mean`, `add`, `multiply` of expressions."""

    op: Literal["model", "number", "max", "min", "mean", "add", "multiply"]
    args: tuple[Expression, ...] = ()
    model: str = ""
    number: float = 0.0

    def models(self) -> tuple[str, ...]:
        """Names of the cost models in it, in order of appearance, once each."""
        if self.op == "model":
            return (self.model,)
        return tuple(dict.fromkeys(name for arg in self.args for name in arg.models()))


@dataclass(frozen=True, slots=True)
class CostModelSpec:
    """What a policy says of one cost model. `options` are the keys of its kind; `on_error: open` is a fail-open."""

    name: str
    kind: str
    hazards: tuple[str, ...]
    options: Mapping[str, Any]
    timeout_s: float
    on_error: Literal["closed", "open"] = "closed"


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of which cost one answer may spend.

    excess e = max(0, score - threshold); cost c = weight * e, for levels of the rise of e above its highest so far
    (`max`) or of e at every charge point (`sum`); over budget when the discounted sum of c exceeds `budget`.
    `every` is the distance between charge points in tokens. With scope `conversation` it is shared by all answers of
    one, with `tenant` by all of a tenant's conversations; a cost counts `decay` times as much one turn later, and
    nothing after `window` turns (0: always). Scope `tool` is `conversation`, charged where a call of `tool` ends.
    """

    id: str
    hazards: tuple[str, ...]
    cost: Expression
    threshold: float
    weight: float = 1.0
    budget: float = 0.0
    discount: float = 1.0
    accumulate: Accumulate = "max"
    every: int = 16
    mode: Mode = "enforce"
    scope: Scope = "response"
    tool: str = "*"
    decay: float = 1.0
    window: int = 0


@dataclass(frozen=True, slots=True)
class PromptRule:
    """What is done when an input turn scores above `threshold`: refuse, search warily from the start, or note it."""

    cost: Expression
    threshold: float
    on_exceed: Literal["refuse", "search", "observe"]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The search section of a policy. Lengths in tokens; `trigger` and `accept` are shares of a budget's threshold.

    on_risk widens a block when its draft is charged or its score passes `trigger` * threshold; from then on, to the
    end of the answer, a block must stay under `accept` * threshold, drafts and replacements alike.
    """

    strategy: str = "inference_guard"
    mode: Literal["on_risk", "always"] = "on_risk"
    candidates: int = 4
    beams: int = 1
    block: int = 16
    retries: int = 2
    hold: int = 16
    trigger: float = 1.0
    accept: float = 0.7
    penalty: float = 3.0
    shortest: int = 8
    steer: str | None = None
    restart: str | None = None


@dataclass(frozen=True, slots=True)
class Messages:
    """Pre-approved texts by language: `refusal` when nothing was shown, `closing` after a safe prefix."""

    refusal: Mapping[str, str]
    closing: Mapping[str, str]

    def of(self, outcome: Outcome, language: str) -> str:
        """What is said of an outcome in a language, else in its main tongue, else in English; "" of other outcomes."""
        if outcome not in ("refused", "ended"):
            return ""
        return text_for(self.refusal if outcome == "refused" else self.closing, language)


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A checked policy in its one normal form; `sha256` names that form.

    swaps: words that a verifier exchanges, each way, by the swap's name
    """

    name: str
    version: str
    owners: tuple[str, ...]
    taxonomy: str
    cost_models: tuple[CostModelSpec, ...]
    budgets: tuple[Budget, ...]
    prompt: PromptRule | None
    search: SearchSettings
    messages: Messages
    allow_unguarded: bool
    normal_form: str
    sha256: str
    swaps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------- what is answered


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of the account: one budget charged at one charge point.

    fired  by cost model, the rules that a score above 0 rests on: a pattern's name, or its place in the policy's list
    """

    budget: str
    position: int
    ended: bool
    score: float
    cost: float
    z_before: float
    z_after: float
    raw: Mapping[str, float] = field(default_factory=dict)
    fired: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One accepted commit: where it ends; rounds of judgement, nodes judged and denials since the one before."""

    position: int
    attempts: int
    candidates: int
    denials: int


HURRIED = "the form was closed early, since `max_tokens` left no room for more"
"""The reason of a completed answer with finish `length`, whose form is whole and whose content is not."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an answer ended, in the words callers switch on."""

    outcome: Outcome
    finish: Finish | None
    reason: str
    guarded: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of one request: what was asked, spent, refused, under which policy.

    text     all that was shown, the policy's message included
    message  the policy's, in place of an answer or behind the beginning of one; "" where it has none
    sources  what scores above a threshold rest on, those of drafts too, where a cost model can say; a document once
    fired    by cost model, the patterns that scores above a threshold rest on, those of drafts and the prompt too: a
             name, or the place in the policy's list, counted from 0; never the text that they matched
    turn     of the conversation whose budgets it was charged to; None where there are none
    """

    verdict: Verdict
    text: str
    message: str
    turn: int | None
    policy: Mapping[str, Any]
    model: Mapping[str, Any]
    cost_models: Mapping[str, str]
    sampling: Mapping[str, Any]
    search: Mapping[str, Any]
    prompt_sha256: str
    prompt_check: Mapping[str, Any]
    charges: tuple[Charge, ...]
    blocks: tuple[BlockRecord, ...]
    spend: Mapping[str, Mapping[str, Any]]
    tokens: Mapping[str, int]
    forwards: int
    cost_calls: int
    value_calls: int
    fail_open: tuple[str, ...]
    sources: tuple[Source, ...]
    fired: Mapping[str, tuple[str | int, ...]]
    ladder: tuple[str, ...]
    seconds: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the stream. Only the last one carries a receipt, and the chances of all tokens that were shown.

    chances: where they were asked for
    cut: the name of a call that was begun and is not shown, since it was cut off; "" if not even that was written
    """

    text: str
    receipt: Receipt | None = None
    chances: tuple[Chance, ...] = ()
    cut: str | None = None
