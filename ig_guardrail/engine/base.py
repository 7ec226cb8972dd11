"""The engine contract: a token tree over one model.

An engine owns the model, its cache and one thread. Every method that works returns a `Future` at once; the work runs on
the engine's thread in the order of submission. It knows nothing of policies, costs, budgets or strategies.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.types import (
    OUR_FORMAT,
    CallNotation,
    Draw,
    GenerationDefaults,
    Message,
    Node,
    Prompt,
    Sampling,
    StateEdit,
    Thinking,
    TokenLogprob,
    ToolFormat,
)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is, as receipts and heads name it.

    model         the name it was asked for by
    model_sha256  content hash of the weights it runs
    mode          engine and cache strategy, such as "transformers/repeat"; within one, a seed gives the same
                  answer, whoever else is served
    numerics      dtype the weights run in, such as "bfloat16"
    device        "cpu", "cuda:0"
    layers        number of hidden layers; hidden states exist for layers 1..layers
    context       longest prompt plus answer, tokens
    protected     tokens no penalty may touch: end, special and whitespace tokens
    language      hash of what token ids spell; "" where they have no meaning beyond a request
    defaults      how the model's makers would sample it
    revision      the commit of its files on the hub; None for a model that is not from there
    exit          the layer after which an early exit guesses tokens, for reading ahead; None without one
    thinks        whether its answers may begin with a thought, which its chat template tells apart
    efforts       the words by which its chat template can be told how much to think, the least first
    tool_format   how the model writes calls of tools, by its chat template
    """

    model: str
    model_sha256: str
    mode: str
    numerics: str
    device: str
    layers: int
    context: int
    protected: frozenset[int]
    language: str = ""
    exit: int | None = None
    defaults: GenerationDefaults = field(default_factory=GenerationDefaults)
    revision: str | None = None
    thinks: bool = False
    efforts: tuple[str, ...] = ()
    tool_format: ToolFormat = OUR_FORMAT

    def check_ahead(self, tokens: int) -> None:
        """Raises RequestError below 0, and EngineError if tokens are to be guessed and there is no exit to do it."""
        if tokens < 0:
            raise RequestError(f"reading {tokens} tokens ahead was asked for", where="extend", fix="ask for 0 or more")
        if tokens and self.exit is None:
            raise EngineError(
                "reading ahead was asked for, and this engine has no early exit",
                where=f"model '{self.model}'",
                why="tokens are guessed from the state after one of the earlier layers",
                fix="open the model with an exit that `ig-guardrail train exit` wrote, or read nothing ahead",
            )


def check_context(tokens: int, info: EngineInfo) -> None:
    """Raises RequestError unless an engine can be held to prompts and answers of `tokens` tokens together."""
    if not 2 <= tokens <= info.context:
        raise RequestError(
            f"context is {tokens}, and model '{info.model}' reads {info.context} tokens",
            where="context",
            why="it caps what prompt and answer have together, and each needs a token",
            fix=f"give a whole number from 2 to {info.context}, or leave it out",
        )


class Engine(Protocol):
    """The one interface of `transformers`, `scripted` and every later engine; one conformance suite binds them."""

    @property
    def info(self) -> EngineInfo: ...

    def encode(
        self, turns: Sequence[Message], thinking: Thinking = None, notation: CallNotation | None = None
    ) -> Prompt:
        """The conversation as the model's own chat template renders it, ready for an answer.

        notation: of the calls in it, and the tools that the template tells of; None is the model's own, without tools.
        Special tokens inside turn texts are neutralised: no text can open or close a turn.
        thinking: whether the model is told to think, or how much, by one of `EFFORTS`; None leaves it to the template,
        and so does a model without thoughts. Raises RequestError on an empty conversation, where thinking cannot be
        turned off, and for an effort that the template does not take.
        """
        ...

    def open(
        self,
        prompt: Prompt,
        sampling: Sampling,
        layers: tuple[int, ...] = (),
        twin_of: Node | None = None,
        edit: StateEdit | None = None,
    ) -> Future[Node]:
        """Prefill once; the root of a context at position 0, or, for a twin, a node at `twin_of`'s position.

        A twin has a root of its own and belongs to `twin_of`'s request: closing that request's first root closes it.
        With an `edit`, a context's hidden states are changed while it is read: after the prompt's last token, and
        after each token of the answer. EngineError from an engine that has none to change.
        Raises RequestError if the prompt and one token do not fit the context, or for a layer that does not exist.
        """
        ...

    def extend(
        self,
        draws: Sequence[Draw],
        tokens: int,
        attempt: int = 0,
        bias: Sequence[tuple[int, float]] = (),
        ahead: int = 0,
    ) -> Future[list[Node]]:
        """Sample blocks of at most `tokens` tokens; children in the order of the draws, lanes ascending in each.

        A block ends early at an end token, a stop string, `max_tokens`, or the end of the context (finish `length`).
        A finished node cannot be extended: EngineError.
        With `ahead`, up to so many tokens at a time are guessed by the early exit and read with the one that is due.
        Children are the same either way. EngineError from an engine without an exit.
        """
        ...

    def expand(self, node: Node, k: int) -> Future[list[Node]]:
        """The `k` likeliest one-token children, likeliest first; an end token gives an empty finished child."""
        ...

    def top_logprobs(self, node: Node, k: int) -> Future[list[tuple[int, float]]]:
        """The tokens that `expand` makes children of, in its order, and their log-probabilities, nats. No pass."""
        ...

    def logprobs(self, node: Node, ids: Sequence[int]) -> Future[list[float]]:
        """Log-probability of each of `ids` in turn after `node`, nats."""
        ...

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> Future[list[TokenLogprob]]:
        """The same, with how each token is spelled, and the `k` likeliest in its place."""
        ...

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> Future[list[Node]]:
        """Forced tokens, one pass each; stop strings and limits hold as ever.

        A Node gives what its answer has beyond the position of the node it is appended to, and its finish.
        """
        ...

    def close(self, node: Node) -> None:
        """Free a node's cache; for a request's first root, free the whole request and cancel its work within a step.

        Idempotent. Work asked of a closed node raises EngineClosed in its future. Children outlive a closed parent.
        """
        ...

    def forwards(self, root: Node) -> int:
        """Model passes made so far for the request of `root` (0 once it is closed)."""
        ...

    def tokens_read(self, root: Node) -> int:
        """Tokens read in these passes, by all rows: what the request has cost the model, whatever was shared."""
        ...

    def tokens_cached(self, root: Node) -> int:
        """Tokens of its prompt that were not read, since one before began alike; 0 without a prompt cache."""
        ...

    def live_nodes(self) -> int:
        """Nodes whose cache is held now; 0 when every request is closed and the engine is idle."""
        ...


@runtime_checkable
class AnswerKeeper(Protocol):
    """An engine whose prompt cache takes answers, too: of the next prompt of a conversation it reads what is new."""

    def keep(self, node: Node) -> None:
        """Have prompts of the same salt begin with the answer up to `node`, which was delivered.

        Returns at once; the request may be closed meanwhile. Nothing of it is kept, or a part, where that would change
        a bit of what comes of such a prompt.
        """
        ...


@runtime_checkable
class TextSpeller(Protocol):
    """An engine that can cut a text into an answer's tokens without reading it, which spares what a reading costs."""

    def spelled(self, prompt: Prompt, text: str, tokens: int) -> Future[Node]:
        """The node that `append` makes of a text behind a fresh root, at most `tokens` tokens; no pass is made for it.

        It has no log-probabilities and no hidden states, nothing can be asked of it, and nothing of it is held.
        Raises RequestError if the prompt and one token do not fit the context.
        """
        ...
