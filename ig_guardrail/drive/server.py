"""Serves one strategy: each operation it yields is answered by the engine, the cost models or the gate.

The strategy is not trusted. It sees only nodes that the engine made for this answer, passes no number to the gate, and
is stopped when it spends more than its share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ig_guardrail.budget import Point, SafetyState, pressure, remaining, settle
from ig_guardrail.causes import log_cause, name_cause
from ig_guardrail.drive.observer import Progress
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.runners import DeadlinePassed, Show, Wait, Waiting
from ig_guardrail.drive.scoring.scorer import Scorer
from ig_guardrail.drive.second_reader import SecondReader, moved
from ig_guardrail.drive.telling import Telling
from ig_guardrail.drive.usage import Usage
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import BudgetTaken, EngineError, GuardrailError, StrategyError
from ig_guardrail.ledger import LedgerSession, hazards_of
from ig_guardrail.search.base import Search
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.text.counterfactual import edit_messages
from ig_guardrail.types import (
    Accepted,
    Append,
    Commit,
    CostEstimate,
    Draw,
    Drop,
    Edit,
    Expand,
    Extend,
    Measure,
    Node,
    Sampling,
    Score,
    SearchReply,
    Steer,
    Together,
    TokenLogprob,
    TokenLogprobs,
    TopLogprobs,
    Twin,
)


class SearchServer:
    """Answers one request's strategies, one after another; remembers the nodes they may name and what they used."""

    def __init__(self, run: Run, usage: Usage, root: Node, session: LedgerSession | None = None) -> None:
        request = run.request
        self.run, self.usage, self.root, self.session = run, usage, root, session
        self.sampling = run.sampling
        self.start = root
        self.values = run.values.of(run.prompt)
        hold = Hold(
            run.settings.hold, run.costs.longest_match, run.sampling.stop, request.unit, request.json, request.hides
        )
        usage.opening = session.opening() if session else SafetyState()
        self.gate = Gate(root, run.costs.rules, hold, usage.opening)
        self.scorer = Scorer(run.costs, run.prompt, request.json, run.thoughts)
        self.second = SecondReader(run.verifier, run.prompt, run.sampling) if run.verifier else None
        self._nodes: dict[int, Node] = {root.id: root}
        self._dropped: set[int] = set()
        told = request.top_logprobs
        self._telling = None if told is None else Telling(run, self.gate, self.scorer, told)

    def close(self) -> None:
        """Free all that was opened for the answer, in every model."""
        self.run.engine.close(self.root)
        if self.second is not None:
            self.second.close()

    def adopt(self, beginning: str) -> Waiting[bool]:
        """Let the answer begin with a text of the caller's, charged like any other; False if it is over budget."""
        (node,) = yield Wait(self.run.engine.append([(self.root, beginning)]))
        measures = yield from self.scorer.measure(node, self.gate.due(node))
        self._learn([node])
        self.start = node
        self.sampling = replace(self.sampling, max_tokens=self.sampling.max_tokens + node.position)
        adopted = isinstance(self.gate.adopt(node, measures), Accepted)
        if not adopted:
            self._cost(node, measures)
        return adopted

    def serve(self, search: Search) -> Waiting[bool]:
        """Run a strategy. True if it ended with a finished answer in the gate; False if it must be helped.

        Raises StrategyError if it breaks its contract, and whatever engine and cost models raise.
        """
        reply: SearchReply = None
        try:
            while self._may_go_on():
                operation = _next_operation(search, reply)
                if operation is None:
                    break
                reply = yield from self._answer(operation)
        finally:
            _close(search)
        return self.gate.tip.finish is not None

    @property
    def overtime(self) -> bool:
        """Whether the request has searched for longer than it may."""
        return self.usage.searched_longer_than(self.run.limits.searching)

    def _may_go_on(self) -> bool:
        """Whether the strategy is asked again: not after too many denials since the last commit, nor past a limit."""
        self.usage.operations += 1
        room = self.run.sampling.max_tokens
        denied_out = self.usage.denials > self.run.settings.retries
        tired = self.usage.generated > self.run.limits.effort * room
        asked_out = self.usage.operations > self.run.limits.requests * room + 64
        return not (denied_out or tired or asked_out or self.overtime)

    def _answer(self, operation: Any) -> Waiting[SearchReply]:
        match operation:
            case Extend() | Append() | Twin() | Steer() | Expand() | TopLogprobs() | TokenLogprobs():
                reply: SearchReply = (yield from self._work([operation]))[0]
                return reply
            case Together():
                return (yield from self._work(operation.operations))
            case Score():
                return (yield from self._score(operation))
            case Commit():
                return (yield from self._commit(operation.node))
            case Drop():
                for node in operation.nodes:
                    self._drop(self._known(node))
                return None
        raise _no_operation(operation)

    def _work(self, operations: Sequence[Any]) -> Waiting[list[Any]]:
        """Ask the engine for all before waiting for any, so that their steps are shared."""
        begun = [self._begin(operation) for operation in operations]
        replies = []
        for future, take in begun:
            replies.append(take((yield Wait(future))))
        return replies

    def _begin(self, operation: Any) -> tuple[Future[Any], Callable[[Any], Any]]:
        """The future of an engine's work, and what becomes of its result."""
        engine = self.run.engine
        match operation:
            case Extend():
                draws = [Draw(self._known(draw.node), draw.count, draw.lane) for draw in operation.draws]
                reader = self._reader_of([draw.node for draw in draws])
                return reader.extend(
                    draws, operation.tokens, operation.attempt, operation.bias, operation.ahead
                ), self._drawn
            case Append():
                nodes = [self._known(node) for node, _ in operation.items]
                items = [
                    (node, self._content(content, node))
                    for node, (_, content) in zip(nodes, operation.items, strict=True)
                ]
                return self._reader_of(nodes).append(items), self._learn
            case Twin(by="verifier") if self.second is not None:
                if self._known(operation.node) is not self.root:
                    raise _not_empty()
                return self.second.open(operation.edit), self._opened_beside
            case Twin():
                turns, before = edit_messages(self.run.prompt.turns, operation.edit), self.run.prompt
                prompt = engine.encode(turns, before.thinking, before.notation)
                prompt = replace(prompt, cache_salt=before.cache_salt)
                sampling = self._sampling_of(operation.edit)
                return engine.open(prompt, sampling, twin_of=self._known(operation.node)), self._opened
            case Steer():
                node = self._known(operation.node)
                return engine.open(self.run.prompt, self.sampling, twin_of=node, edit=operation.edit), self._opened
            case Expand():
                return self._reader(operation.node).expand(operation.node, operation.k), self._drawn
            case TopLogprobs():
                return self._reader(operation.node).top_logprobs(operation.node, operation.k), list
            case TokenLogprobs():
                return self._reader(operation.node).logprobs(operation.node, operation.ids), list
        raise _no_operation(operation)

    def _sampling_of(self, edit: Edit) -> Sampling:
        """How a twin's answers are drawn: as the request's, or, where words are swapped, they are read to any end."""
        if not edit.swap:
            return self.sampling
        return replace(self.sampling, stop=(), grammar=None, max_tokens=self.run.engine.info.context)

    def _drawn(self, children: Sequence[Node]) -> list[Node]:
        self.usage.note_generated(sum(len(child.ids) for child in children))
        return self._learn(children)

    def _opened(self, twin: Node) -> Node:
        return self._learn([twin])[0]

    def _opened_beside(self, twin: Node) -> Node:
        assert self.second is not None, "there is a second model where it opened a context"
        self.second.opened(twin)
        return self._opened(twin)

    def _content(self, content: Any, node: Node) -> Any:
        """What is appended to a node; of the other model's, what it says in words."""
        if not isinstance(content, Node):
            return content
        known = self._known(content)
        return known if self._reader(known) is self._reader(node) else moved(known, node)

    def _reader(self, node: Any) -> Engine:
        """The model whose context a node is in."""
        if self.second is not None and self.second.made(self._known(node)):
            return self.second.engine
        self._known(node)
        return self.run.engine

    def _reader_of(self, nodes: Sequence[Node]) -> Engine:
        """The model whose contexts nodes are in."""
        readers = [self._reader(node) for node in nodes]
        if any(reader is not readers[0] for reader in readers):
            raise StrategyError(
                "one operation names nodes of two models",
                why="a step is one model's",
                fix="yield one operation for each model, in `Together`",
            )
        return readers[0] if readers else self.run.engine

    def _score(self, operation: Score) -> Waiting[Sequence[CostEstimate] | Sequence[float]]:
        nodes = [self._known(node) for node in operation.nodes]
        if operation.kind == "cost":
            self.usage.rounds += 1
            self.usage.judged.update(node.id for node in nodes)
            costs = yield from self._costs([(node, self.gate.due(node)) for node in nodes])
            self.usage.note_search(found=not costs or any(cost.within for cost in costs))
            return costs
        if operation.kind == "early_score":
            costs = yield from self._costs([(node, self._at_once(node)) for node in nodes])
            return [cost.pressure for cost in costs]
        return (yield from self._values(nodes, operation.kind))

    def _values(self, nodes: Sequence[Node], kind: str) -> Waiting[Sequence[float]]:
        costs = (yield from self._costs([(node, self.gate.due(node)) for node in nodes])) if kind == "critic" else []
        asked = self.values.predict(kind, nodes, [cost.z for cost in costs])
        self.usage.value_calls += 1
        found: Sequence[float] = yield Wait(asked)
        return found

    def _at_once(self, node: Node) -> list[tuple[str, Point]]:
        """What is due at a node, and its end for the rules that can be read anywhere."""
        here = Point(node.position, node.finish is not None)
        free = [(rule.budget.id, here) for rule in self.run.costs.early_scored]
        return list(dict.fromkeys([*self.gate.due(node), *free]))

    def _costs(self, asked: Sequence[tuple[Node, Sequence[tuple[str, Point]]]]) -> Waiting[list[CostEstimate]]:
        measures = yield from self.scorer.measure_all(asked)
        return [self._cost(node, lines) for (node, _), lines in zip(asked, measures, strict=True)]

    def _cost(self, node: Node, measures: Sequence[Measure]) -> CostEstimate:
        """What a draft would cost; that it would overdraw budgets is noted, all of them."""
        rules = self.run.costs.enforced
        thresholds = {rule.budget.id: rule.budget.threshold for rule in rules}
        mine = [measure for measure in measures if measure.budget in thresholds]
        before = self.gate.state_at(node)
        state, charges = settle(rules, before, mine)
        lowest = {rule.budget.id: remaining(rule.budget, state.account(rule.budget), node.position) for rule in rules}
        for over in (rule.budget for rule in rules if lowest[rule.budget.id] < 0):
            self.usage.note_unsafe(node, mine, over, before)
        pressures = [pressure(measure.score, thresholds[measure.budget]) for measure in mine]
        estimate = CostEstimate(lowest, sum(line.cost for line in charges), max(pressures, default=0.0))
        if self.run.observer is not None:
            self.run.observer.judged(node, charges, estimate.within)
        return estimate

    def _commit(self, node: Node) -> Waiting[SearchReply]:
        gate = self.gate
        measures = yield from self.scorer.measure(self._known(node), gate.due(node))
        reply = gate.commit(node, measures)
        self.usage.note_search(found=isinstance(reply, Accepted))
        if not isinstance(reply, Accepted):
            self.usage.denials += 1
            if reply.budget:
                self._cost(node, measures)
            return reply
        self.usage.note_commit(node.id, node.position)
        yield from self._settle()
        thought = len(gate.reasoning)
        fresh = gate.release()
        if self.run.observer is not None:
            self.run.observer.accepted(node, Progress(gate.charges, gate.released, gate.end, gate.given))
        if fresh:
            self.usage.note_released()
            added = len(gate.reasoning) - thought
            yield from self._show(fresh[added:], fresh[:added])
        return replace(reply, released=gate.released)

    def tell(self, characters: int, ended: bool = False) -> Waiting[tuple[TokenLogprob, ...] | None]:
        """Log-probabilities of what was shown, up to so many characters, and not told yet; None where nobody asks."""
        if self._telling is None or self.start.finish is not None:
            return None
        return (yield from self._telling.tell(self.start, self._holds, characters, ended))

    def _show(self, text: str, thought: str) -> Waiting[None]:
        """Show what the gate let out, with what is told of it; the text also where that cannot be told any more."""
        try:
            told = yield from self.tell(self.gate.end)
        except (DeadlinePassed, EngineError):
            yield Show(text, thought)
            raise
        yield Show(text, thought, told)

    def _holds(self, node: Node) -> bool:
        return node.id not in self._dropped

    def _settle(self) -> Waiting[None]:
        """Charge a conversation before what it pays for is shown. Raises BudgetTaken if another answer spent it."""
        session, owed = self.session, self.gate.payable()
        if session is None or owed is None:
            return
        if not (yield Wait(session.executor.call(session.settle, owed))):
            hazards = hazards_of(self.run.costs.rules, session.lacking)
            raise BudgetTaken("another answer spent what was left of a shared budget first", hazards)

    def _learn(self, nodes: Sequence[Node]) -> list[Node]:
        self._nodes.update((node.id, node) for node in nodes)
        return list(nodes)

    def _known(self, node: Any) -> Node:
        if not isinstance(node, Node) or self._nodes.get(node.id) is not node:
            raise StrategyError(
                "a strategy named a node that the engine did not make for this answer",
                why="what the engine did not decode cannot be judged",
                fix="use the nodes that replies hand out",
            )
        return node

    def _drop(self, node: Node) -> None:
        if node not in (self.root, self.start) and node is not self.gate.tip:
            self._dropped.add(node.id)
            self._reader(node).close(node)


def _not_empty() -> StrategyError:
    return StrategyError(
        "a twin by the verifier of an answer that has begun",
        why="a second model has other tokens, and is given the answer as text",
        fix="take the twin of the empty root, and append the answer's text",
    )


def _no_operation(operation: Any) -> StrategyError:
    return StrategyError(
        f"a strategy yielded {type(operation).__name__}, which is not an operation",
        why="the set of operations is closed",
        fix="yield Extend, Expand, TopLogprobs, TokenLogprobs, Append, Twin, Steer, Together, Score, Drop or Commit",
    )


def _next_operation(search: Search, reply: SearchReply) -> Any:
    try:
        return search.send(reply)
    except StopIteration:
        return None
    except GuardrailError:
        raise
    except Exception as error:  # it may quote what the strategy read, so it is not its cause either
        log_cause(error)
        reason = name_cause(error)
    raise StrategyError(
        f"the strategy crashed: {reason}",
        why="nothing it might still propose can be asked for",
        fix="fix the strategy",
    )


def _close(search: Search) -> None:
    """Close a strategy; what it has to say to that is nobody's concern any more."""
    try:
        search.close()
    except Exception as error:
        log_cause(error)
