"""Errors of others that quote what they were given: no exception, receipt, log or traceback of ours repeats them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from ig_guardrail.assembly import guard
from ig_guardrail.causes import LOG
from ig_guardrail.costs.plugins import provided_cost_model
from ig_guardrail.costs.remote.endpoint import ScoreEndpoint
from ig_guardrail.costs.workers import MOST_LEFT, Worker
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import CostFailure, EngineError, GenerationFailed, GuardrailError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.checking.text_checks import readings, text_checks
from ig_guardrail.types import CostModelSpec, Extend, Piece, Prompt
from tests.golden.conversations import compiled
from tests.unit.langchain.obliging import denied_by

SECRET = "code" + "word"
POLICY = """apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: t, version: 1.0.0, owners: [x@example.org]}}
cost_models:
  codes: {{kind: pattern, hazards: [prv], patterns: ['{secret}'], longest_match: 8}}
  q: {{kind: provided, hazards: [prv], timeout_ms: 60000{extra}}}
budgets:
  - {{id: secrets, hazards: [prv], cost: codes, threshold: 0.5, budget: 0, every: 4}}
  - {{id: other, hazards: [prv], cost: q, threshold: 0.5, budget: 0, every: 4}}
search: {{block: 4, hold: 0, retries: 0}}
messages: {{refusal: {{en: "No."}}, closing: {{en: "Stop."}}}}
"""

ERRORS: dict[str, Callable[[str], BaseException]] = {
    kind.__name__: kind  # type: ignore[attr-defined]
    for kind in (
        ValueError,
        RuntimeError,
        KeyError,
        TimeoutError,
        CostFailure,
        EngineError,
        GuardrailError,
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        StopIteration,
        StopAsyncIteration,
        MemoryError,
        RecursionError,
        asyncio.CancelledError,
        concurrent.futures.CancelledError,
    )
}
ERRORS["a group"] = lambda text: BaseExceptionGroup(text, [KeyboardInterrupt(text), ValueError(text)])
ERRORS["with a note"] = lambda text: _noted(ValueError(text), text)


def _noted(error: Exception, text: str) -> Exception:
    error.add_note(text)
    return error


class Quoting:
    """Fails where it reads the secret, and says what it read."""

    name, hazards, sha256, granularity, reading = "q", ("prv",), "0" * 64, "block", "event"
    layers: tuple[int, ...] = ()
    longest_match = 0

    def __init__(self, error: Callable[[str], BaseException], at: str = "advance") -> None:
        self.error, self.at = error, at

    def start(self, prompt: Prompt) -> str:
        if self.at == "start":
            raise self.error(f"cannot read {SECRET}")
        return ""

    def advance(self, steps: Sequence[Any]) -> Any:
        if self.at == "answer":
            return [("", (f"cannot read {piece.text!r}",)) for _, piece in steps]
        for _, piece in steps:
            if SECRET in piece.text:
                try:
                    raise ValueError(f"cannot tokenize {piece.text!r}")
                except ValueError as cause:
                    raise self.error(f"cannot read {piece.text!r}") from cause
        return [("", (0.0,)) for _ in steps]


def chat(model: Any, extra: str = "", **engine: Any) -> ChatIGGuardrail:
    script = Continuations({(0, 0): f"one two three four my {SECRET} is ripe now ok"})
    policy = compiled(POLICY.format(secret=SECRET, extra=extra))
    made = guard(ScriptedEngine(script, **engine), policy, cost_models={"q": model})
    made._approved.set()
    return ChatIGGuardrail(guardrail=made, seed=1)


def everything(error: BaseException) -> Iterator[str]:
    """All that a log, a debugger or a service for errors could show of an error, but the frames of this test."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        yield f"{one!r} {one} {one.args} {vars(one)} {getattr(one, '__notes__', '')}"
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if not str(frame.f_globals.get("__name__")).startswith("tests."):
                yield from (repr(value) for value in frame.f_locals.values())


class Handler(BaseCallbackHandler):
    def __init__(self) -> None:
        self.told: list[str] = []

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.told += [*everything(error), repr(kwargs)]


def asked(model: ChatIGGuardrail, handler: Handler) -> None:
    model.invoke("hello", config={"callbacks": [handler]})


def awaited(model: ChatIGGuardrail, handler: Handler) -> None:
    asyncio.run(model.ainvoke("hello", config={"callbacks": [handler]}))


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged by anyone, at any level, to a root logger that asks for all of it."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logging.Formatter().format(record))

    root, handler = logging.getLogger(), Keeping(logging.DEBUG)
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.mark.parametrize("error", ERRORS.values(), ids=list(ERRORS))
@pytest.mark.parametrize("at", ["advance", "start"])
def test_a_cost_model_that_quotes_is_named_by_the_type_of_its_error(
    error: Callable[[str], BaseException], at: str, logged: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    handler = Handler()
    for ask in (asked, awaited):
        model = chat(Quoting(error, at))
        with pytest.raises(GenerationFailed, match="cost model 'q' failed: it raised") as failed:
            ask(model, handler)
        assert type(error("")).__name__ in failed.value.what
        assert failed.value.receipt.verdict.outcome == "failed"
        assert not [text for text in everything(failed.value) if SECRET in text]
        assert model.guardrail is not None
        assert model.guardrail.engine.live_nodes() == 0
    assert handler.told
    assert not [text for text in (*handler.told, *logged, *capsys.readouterr()) if SECRET in text]


def test_scores_that_quote_are_not_repeated() -> None:
    with pytest.raises(GenerationFailed, match="something else than a state and scores") as failed:
        chat(Quoting(ValueError, "answer")).invoke("hello")
    assert not [text for text in everything(failed.value) if "cannot read" in text]


def test_a_note_of_failing_open_does_not_quote() -> None:
    record = chat(Quoting(ValueError), ", on_error: open").invoke("hello").response_metadata["ig_guardrail"]
    assert record["fail_open"] == ["q: cost model 'q' failed: it raised ValueError"]
    assert SECRET not in repr(record)


def test_a_check_of_texts_does_not_quote() -> None:
    checks = text_checks(compiled(POLICY.format(secret="x", extra="")), {"q": Quoting(ValueError)})
    with pytest.raises(CostFailure, match="cost model 'q' failed: it raised ValueError") as failed:
        denied_by(checks, readings("tool", {"argument": SECRET}))
    assert (failed.value.__cause__, failed.value.__context__) == (None, None)
    assert not [text for text in everything(failed.value) if "cannot read" in text]


def test_a_provided_cost_model_speaks_for_us_only_if_it_is_of_this_package() -> None:
    model = provided_cost_model(CostModelSpec("q", "provided", ("prv",), {}, 1.0), {"q": Quoting(CostFailure)})  # type: ignore[dict-item]
    with pytest.raises(CostFailure, match="it raised CostFailure") as failed:
        model.advance([("", Piece(SECRET))])
    assert not [text for text in everything(failed.value) if "cannot read" in text]


def test_a_strategy_that_crashes_does_not_quote() -> None:
    def crashing(root: Any, context: Any) -> Iterator[Any]:
        (node,) = yield Extend([__import__("ig_guardrail.types").types.Draw(root, 1)], 8)
        raise ValueError(f"cannot rank {node.text}")

    model = chat(Quoting(ValueError))
    with pytest.raises(GenerationFailed, match="the strategy crashed: it raised ValueError") as failed:
        model.invoke("hello", strategy=crashing)
    assert not [text for text in everything(failed.value) if SECRET in text]


def test_frames_of_a_failure_of_the_engine_hold_no_draft() -> None:
    incidents = Incidents(faults={("extend", 2): EngineError("fire")})
    with pytest.raises(GenerationFailed) as failed:
        chat(Quoting(ValueError), incidents=incidents).invoke("hello")
    assert not [text for text in everything(failed.value) if SECRET in text]


def test_a_coroutine_that_waits_is_not_ended_by_the_care_for_its_locals() -> None:
    """An error that is raised again has in its traceback whoever caught it before, and goes on."""
    kept = ValueError("kept")

    async def raising() -> str:
        try:
            raise kept
        except ValueError:
            await asyncio.sleep(0)
        failed = EngineError("of ours")
        failed.__cause__ = kept
        with pytest.raises(GenerationFailed):
            await chat(Quoting(ValueError), incidents=Incidents(faults={("open", 1): failed})).ainvoke("hello")
        return "went on"

    assert asyncio.run(raising()) == "went on"


def test_the_log_of_causes_tells_who_has_asked_for_it() -> None:
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logging.Formatter().format(record))

    handler = Keeping()
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    try:
        with pytest.raises(GenerationFailed):
            chat(Quoting(ValueError)).invoke("hello")
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(logging.NOTSET)
    assert f"cannot read ' my {SECRET}" in "".join(lines)


# --------------------------------------------------------------------------------------------------------- endpoints


class Client:
    """In place of a client: its requests raise."""

    def __init__(self, error: Callable[[str], BaseException]) -> None:
        self.moderations = self.with_raw_response = self
        self._error = error

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def create(self, **asked: Any) -> Any:
        raise self._error(f"cannot send {asked}")


@pytest.mark.parametrize("error", ERRORS.values(), ids=list(ERRORS))
def test_an_endpoint_that_raises_anything_fails_that_call_and_no_other(error: Callable[[str], BaseException]) -> None:
    client: Any = Client(error)
    endpoint = ScoreEndpoint("hosted", "m", client, 30.0)
    for _ in range(2):  # its thread lives on
        with pytest.raises(CostFailure, match="'hosted' failed: its endpoint could not be asked") as failed:
            endpoint.judge([SECRET] * 40, ["hate"])
        assert (failed.value.__cause__, failed.value.__context__) == (None, None)
        assert "cannot send" not in "".join(everything(failed.value))


# ----------------------------------------------------------------------------------------------------------- batches


class Hanging(Quoting):
    """Hangs, or fails, on the prompt that says so."""

    def __init__(self) -> None:
        super().__init__(ValueError)
        self.go = threading.Event()

    def start(self, prompt: Prompt) -> str:
        return prompt.turns[-1].text

    def advance(self, steps: Sequence[Any]) -> Any:
        if any("hang" in state for state, _ in steps):
            self.go.wait()
        if any("fail" in state for state, _ in steps):
            raise SystemExit(3)
        return [(state, (0.0,)) for state, _ in steps]


def calm_chat(model: Any) -> ChatIGGuardrail:
    policy = compiled(POLICY.format(secret="x" * 8, extra="").replace("60000", "200"))
    made = guard(ScriptedEngine(Continuations({(0, 0): "one two three four"})), policy, cost_models={"q": model})
    made._approved.set()
    return ChatIGGuardrail(guardrail=made, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("ask", ["batch", "abatch"])
@pytest.mark.parametrize("bad", ["hang", "fail"])
def test_in_a_batch_one_failure_fails_one(ask: str, bad: str) -> None:
    model = Hanging()
    prompts = ["calm", bad, "calm too", "calm as well", "calm again"]
    try:
        answers = getattr(calm_chat(model), ask)(prompts, return_exceptions=True)
        found = asyncio.run(answers) if ask == "abatch" else answers
    finally:
        model.go.set()
    told = [type(one).__name__ if isinstance(one, BaseException) else one.text for one in found]
    assert told == ["GenerationFailed" if "calm" not in prompt else "one two three four" for prompt in prompts]


def test_calls_that_hang_are_left_up_to_a_number() -> None:
    go = threading.Event()
    worker = Worker("q")
    for _ in range(MOST_LEFT):
        call = worker.call(go.wait)
        while call.began is None:
            pass
        worker.abandon(call)
    with pytest.raises(CostFailure, match="8 of its earlier calls hang still"):
        worker.call(int).result()
    left = [lane.thread for lane in worker._left]
    go.set()
    for thread in left:
        thread.join()
    assert worker.call(int).result() == 0
