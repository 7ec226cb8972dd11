"""One step of a case, judged as the product judges: its gate, budgets, ledger and search, over a text that is given.

The answer is read as one that is decoded elsewhere, by the plain strategy `cut`: it is the only draft, so what is
denied ends it. A message is committed whole, as at start-up. Where no model's tokens were recorded, a word with the
space before it counts as a token (`engine.external.pieces`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from ig_guardrail.budget import settle
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.costs.workers import Worker
from ig_guardrail.drive.decode import decode, open_answer, refuse
from ig_guardrail.drive.failures import ledger_failure
from ig_guardrail.drive.history import open_session
from ig_guardrail.drive.prompt_check import PromptCheck, check_prompt_text
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.run import Run, make_run
from ig_guardrail.drive.runners import Waiting, finish
from ig_guardrail.drive.scoring.cost_registry import CostRegistry
from ig_guardrail.drive.server import SearchServer
from ig_guardrail.drive.usage import Usage
from ig_guardrail.engine.external.engine import StreamedEngine
from ig_guardrail.engine.external.stream import Heard
from ig_guardrail.errors import BudgetTaken, CostFailure, GenerationFailed
from ig_guardrail.ledger import Ledger
from ig_guardrail.search import plain
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.settings import Limits
from ig_guardrail.text.calls import shown_length
from ig_guardrail.types import (
    Charge,
    Chunk,
    Commit,
    CompiledPolicy,
    Denied,
    Message,
    Node,
    Receipt,
    Sampling,
    SearchReply,
)
from ig_guardrail.workbench.cases.scored import NotRecorded

MOST = 200_000  # tokens of a text
UNTOLD = Message("system", "")  # the conversation before an answer; the prompt check has nothing to read in it


@dataclass(frozen=True, slots=True)
class JudgedCase:
    """A text as it is judged: its tokens as pieces, and whether it is an input turn, words, calls, or a message."""

    pieces: tuple[str, ...]
    kind: str
    language: str = "en"

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Trace:
    """What a step came to.

    check    of an input turn
    denied   the gate's first denial, if there was one
    charges  every line of the account, and those that were denied
    ends     characters of the text after each token
    failure  why, where the guard failed
    """

    outcome: str
    receipt: Receipt
    check: PromptCheck | None = None
    denied: Denied | None = None
    charges: tuple[Charge, ...] = ()
    ends: tuple[int, ...] = ()
    failure: str = ""

    @property
    def fired(self) -> dict[str, tuple[str | int, ...]]:
        """By cost model, the rules that scores above 0 rest on."""
        lines = [self.check.fired] if self.check else [line.fired for line in self.charges]
        names = dict.fromkeys(name for line in lines for name in line)
        return {name: tuple(dict.fromkeys(rule for line in lines for rule in line.get(name, ()))) for name in names}


class GivenAnswer:
    """An answer that is there from the beginning, in its pieces (`engine.external.stream.AnswerReader`)."""

    def __init__(self, judged: JudgedCase) -> None:
        self.heard = Heard()
        self.heard.pieces = list(judged.pieces)
        self.heard.words = 0 if judged.kind == "call" else None
        self.heard.ended = True

    def want(self, count: int) -> Future[None]:
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class Watch:
    """The plain strategy, watched: what it committed, and what the gate said to that. whole: it commits all at once."""

    whole: bool
    commits: list[tuple[Node, SearchReply]] = field(default_factory=list)

    def __call__(self, root: Node, ctx: SearchContext) -> Search:
        if ctx.strict:  # the same words again would be denied again
            return
        search = plain.search_whole(root, ctx) if self.whole else plain.search(root, ctx)
        reply: SearchReply = None
        while True:
            try:
                operation = search.send(reply)
            except StopIteration:
                return
            reply = yield operation
            if isinstance(operation, Commit):
                self.commits.append((operation.node, reply))


class CaseBench:
    """A policy and a ledger of its own, over which steps of one case are judged in turn."""

    def __init__(self, policy: CompiledPolicy, ledger: Ledger) -> None:
        self._policy, self._ledger = policy, ledger
        self._executor = Worker("ledger", ledger_failure)

    def judge(self, judged: JudgedCase, costs: CostRegistry) -> Trace:
        """What a step comes to. Raises GuardrailError for what cannot be judged at all."""
        watch = Watch(judged.kind == "message")
        engine = StreamedEngine("case", lambda: GivenAnswer(judged))
        turns = (Message("user", judged.text),) if judged.kind == "prompt" else (UNTOLD,)
        request = GenerationRequest(
            turns,
            Sampling(temperature=1.0, top_p=1.0, max_tokens=MOST),
            watch,
            judged.language,
            unit=shown_length,
            conversation="case",
            tenant="case",
        )
        run = make_run(request, self._policy, engine, costs, Values(), Limits())
        return finish(self._prompt(run) if judged.kind == "prompt" else self._answer(run, judged, watch))

    def _prompt(self, run: Run) -> Waiting[Trace]:
        usage = Usage()
        usage.prompt_check = yield from check_prompt_text(run)
        outcome = "refused" if usage.prompt_check.action == "refuse" else "completed"
        receipt = _receipt(refuse(run, usage, "prompt check", usage.prompt_check.hazards))
        return Trace(outcome, receipt, usage.prompt_check)

    def _answer(self, run: Run, judged: JudgedCase, watch: Watch) -> Waiting[Trace]:
        usage, server = Usage(), None
        try:
            session = yield from open_session(run, self._ledger, self._executor)
            server = yield from open_answer(run, usage, session)
            receipt = _receipt((yield from decode(server)))
            failure = ""
        except BudgetTaken as taken:
            receipt, failure = _receipt(refuse(run, usage, taken.what, taken.hazards)), ""
        except GenerationFailed as error:
            if isinstance(error.__cause__, NotRecorded):
                raise error.__cause__ from None
            receipt, failure = error.receipt, str(error)
        finally:
            if server is not None:
                run.engine.close(server.root)
        denied = [(node, reply) for node, reply in watch.commits if isinstance(reply, Denied)]
        charges = server.gate.charges if server else ()
        if server is not None and denied and not failure:
            charges += yield from _denied_charges(server, denied[0][0])
        reply = denied[0][1] if denied else None
        ends = _ends(judged.pieces)
        return Trace(receipt.verdict.outcome, receipt, None, reply, charges, ends, failure)


def _denied_charges(server: SearchServer, node: Node) -> Waiting[tuple[Charge, ...]]:
    """What a denied commit would have been charged. Its scores are known already."""
    try:
        measures = yield from server.scorer.measure(node, server.gate.due(node))
    except CostFailure:
        return ()
    return settle(server.run.costs.rules, server.gate.state_at(node), measures)[1]


def _receipt(chunk: Chunk) -> Receipt:
    assert chunk.receipt is not None  # of the last chunk
    return chunk.receipt


def _ends(pieces: Sequence[str]) -> tuple[int, ...]:
    ends, at = [], 0
    for piece in pieces:
        at += len(piece)
        ends.append(at)
    return tuple(ends)
