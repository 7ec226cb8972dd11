"""The engine that answers from a script: no weights, no torch, the same contract. For tests and examples."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.contexts import ContextRequest
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.loop import Loop, settle
from ig_guardrail.engine.scripted.decoder import HiddenState, ScriptedDecoder, TokenIds
from ig_guardrail.engine.scripted.script import Biases, Script
from ig_guardrail.engine.text.thoughts import efforts_of, told_for
from ig_guardrail.engine.tree import NodeTree, TreeCounts
from ig_guardrail.errors import RequestError
from ig_guardrail.types import (
    OUR_FORMAT,
    CallNotation,
    Draw,
    Message,
    Node,
    Prompt,
    Sampling,
    StateEdit,
    Thinking,
    TokenLogprob,
    ToolFormat,
)

P = ParamSpec("P")
R = TypeVar("R")

HIDDEN_LAYERS = 32  # how many layers a script with hidden states claims to have


@dataclass(frozen=True, slots=True)
class Incidents:
    """What goes wrong, or takes long, in which call: keys are (method, n) for the n-th call of a method, from 1.

    faults  raised by that call
    gates   that call waits, on the engine's thread, until the event is set
    """

    faults: Mapping[tuple[str, int], Exception] = field(default_factory=dict)
    gates: Mapping[tuple[str, int], threading.Event] = field(default_factory=dict)


class ScriptedEngine(TreeCounts):
    """A token tree over a script. See `engine.base.Engine` for the contract.

    script           what is said
    context          longest prompt plus answer, tokens
    hidden           answer tokens so far -> the hidden state after the last of them, floats; the same for all layers
    enumerate_lanes  lane i takes the i-th of a block's possible token sequences (modulo their number) instead of a
                     random one, so that a test can draw a whole tree
    incidents        faults and waits; without gates every future is done when it is returned
    tool_format      how it writes calls
    """

    def __init__(
        self,
        script: Script,
        *,
        context: int = 4096,
        hidden: HiddenState | None = None,
        enumerate_lanes: bool = False,
        incidents: Incidents | None = None,
        tool_format: ToolFormat = OUR_FORMAT,
    ) -> None:
        self._vocabulary = script.vocabulary
        self._incidents = incidents or Incidents()
        self._calls: Counter[str] = Counter()
        self._info = EngineInfo(
            model="scripted",
            model_sha256="0" * 64,
            mode="scripted",
            numerics="float64",
            device="cpu",
            layers=HIDDEN_LAYERS if hidden else 0,
            context=context,
            protected=self._vocabulary.protected,
            language=self._vocabulary.language.sha256,
            thinks=self._vocabulary.thoughts is not None,
            efforts=efforts_of(self._vocabulary.thoughts),
            tool_format=tool_format,
        )
        self._tree: NodeTree[TokenIds] = NodeTree()
        grammars = Grammars(self._vocabulary.language, self._vocabulary.ids)
        self._decoder = ScriptedDecoder(self._tree, script, grammars, self._info, hidden, enumerate_lanes)
        self._loop = Loop("ig-scripted") if self._incidents.gates else None

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def closed(self) -> bool:
        """Whether `shutdown` was called."""
        return self._tree.closed

    def encode(
        self, turns: Sequence[Message], thinking: Thinking = None, notation: CallNotation | None = None
    ) -> Prompt:
        if not turns:
            raise RequestError("the conversation is empty", where="messages", fix="give at least one user message")
        thoughts = self._vocabulary.thoughts
        switched = bool(told_for(thinking, thoughts)) and thinking is False
        opened = thoughts is not None and thoughts.ends == "opened" and not switched
        written = notation or CallNotation(self._info.tool_format)
        return Prompt(tuple(turns), self._vocabulary.prompt_ids(turns), thinking, opened, written)

    def open(
        self,
        prompt: Prompt,
        sampling: Sampling,
        layers: tuple[int, ...] = (),
        twin_of: Node | None = None,
        edit: StateEdit | None = None,
    ) -> Future[Node]:
        return self._call("open", self._decoder.open, ContextRequest(prompt, sampling, layers, twin_of, edit))

    def extend(
        self, draws: Sequence[Draw], tokens: int, attempt: int = 0, bias: Biases = (), ahead: int = 0
    ) -> Future[list[Node]]:
        return self._call("extend", self._decoder.extend, draws, tokens, attempt, bias, ahead)

    def expand(self, node: Node, k: int) -> Future[list[Node]]:
        return self._call("expand", self._decoder.expand, node, k)

    def top_logprobs(self, node: Node, k: int) -> Future[list[tuple[int, float]]]:
        return self._call("top_logprobs", self._decoder.top_logprobs, node, k)

    def logprobs(self, node: Node, ids: Sequence[int]) -> Future[list[float]]:
        return self._call("logprobs", self._decoder.logprobs, node, ids)

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> Future[list[TokenLogprob]]:
        return self._call("answer_logprobs", self._decoder.answer_logprobs, node, ids, k)

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> Future[list[Node]]:
        return self._call("append", self._decoder.append, items)

    def close(self, node: Node) -> None:
        self._tree.close(node)

    def shutdown(self) -> None:
        """Close every request; work asked for later raises EngineClosed. Idempotent."""
        self._tree.close_all()
        if self._loop is not None:
            self._loop.shutdown()

    def calls(self, method: str) -> int:
        """How often a method that returns a future was called."""
        return self._calls[method]

    def _call(self, method: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        self._calls[method] += 1
        key = (method, self._calls[method])

        def call() -> R:
            if key in self._incidents.gates:
                self._incidents.gates[key].wait()
            if key in self._incidents.faults:
                raise self._incidents.faults[key]
            return work(*args, **kwargs)

        if self._loop is not None:
            return self._loop.submit(call)
        future: Future[R] = Future()
        settle(future, call)
        return future
