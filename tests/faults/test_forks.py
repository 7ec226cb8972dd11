"""A process that is forked from one that has answered: it answers, or says at once that it was forked."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ig_guardrail.costs.remote.endpoint import ScoreEndpoint
from ig_guardrail.costs.workers import Worker
from ig_guardrail.engine.loading.loaded import Registry
from ig_guardrail.engine.loop import Loop
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import GuardrailError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.threads.locks import ForkSafeLock
from tests.faults.test_errors_of_others import Client
from tests.golden.conversations import CALM, POLITE, compiled, scripted_guardrail
from tests.toys import LetterCost, letters, toy_budget, toy_policy
from tests.unit.langchain.teller import teller

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

HANG_S = 60  # after which a child is killed, for the test to fail


def in_a_child(ask: Callable[[], Any]) -> Any:
    """What it gives in a forked process, or the error of ours that it raises there."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(HANG_S)
            try:
                told: Any = ("gave", ask())
            except GuardrailError as error:
                told = ("raised", str(error))
            except BaseException as error:
                told = ("broke", repr(error))
            os.write(write, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    assert content, "the child hung"
    return tuple(json.loads(content))


def test_cost_models_are_run_in_a_fork() -> None:
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, compiled(POLITE)), seed=7)
    said = model.invoke("hello").text
    assert in_a_child(lambda: [model.invoke("hello").text for _ in range(2)]) == ("gave", [said, said])
    assert model.invoke("hello").text == said


def test_conversations_are_kept_in_a_fork() -> None:
    policy = toy_policy([toy_budget("b", budget=5.0, scope="conversation")])
    rail = Guardrail(ScriptedEngine(letters((1, 0, 0))), policy, {"level": LetterCost("level")})
    rail._approved.set()
    model = ChatIGGuardrail(guardrail=rail, seed=1, max_tokens=4, conversation="c")
    said = model.invoke("hello").text
    assert in_a_child(lambda: model.invoke("hello").text) == ("gave", said)


def test_another_model_under_guard_is_run_in_a_fork() -> None:
    from ig_guardrail import GuardedChatModel

    model = GuardedChatModel(inner=teller("one two three"), policy=compiled(POLITE))
    said = model.invoke("hello").text
    assert in_a_child(lambda: model.invoke("hello").text) == ("gave", said)


@pytest.mark.parametrize("timeout", [None, 1e6])
def test_an_engine_whose_thread_is_elsewhere_says_so(timeout: float | None) -> None:
    incidents = Incidents(gates={("never", 1): threading.Event()})
    engine = ScriptedEngine(Continuations({(0, 0): CALM}), incidents=incidents)
    rail = Guardrail(engine, toy_policy([]), {"level": LetterCost("level")})
    model = ChatIGGuardrail(guardrail=rail, seed=1, timeout=timeout)
    assert model.invoke("hello").text
    how, told = in_a_child(lambda: model.invoke("hello").text)
    assert how == "raised"
    assert "this process was forked after the model was opened" in told.splitlines()[0]


def test_work_asked_of_a_loop_elsewhere_fails_at_once() -> None:
    loop = Loop("x")
    assert loop.submit(int).result() == 0
    how, told = in_a_child(lambda: loop.submit(int).result())
    assert (how, "forked" in told) == ("raised", True)
    assert loop.submit(int).result() == 0


def test_no_model_is_loaded_in_a_fork_of_a_process_that_has_loaded_one() -> None:
    registry = Registry()
    engine: Any = ScriptedEngine(Continuations({}))
    assert registry.get(("a", "cpu", "float32"), lambda: engine) is engine
    how, told = in_a_child(lambda: registry.get(("b", "cpu", "float32"), lambda: engine))
    assert (how, "forked" in told) == ("raised", True)


@pytest.mark.slow
def test_an_endpoint_that_was_asked_before_says_so_and_one_that_was_not_is_asked() -> None:
    client: Any = Client(ValueError)
    for before, words in ((True, "this one was forked from"), (False, "could not be asked")):
        endpoint = ScoreEndpoint("hosted", "m", client, 30.0)
        if before:
            with pytest.raises(GuardrailError):
                endpoint.judge(["x"], ["hate"])
        how, told = in_a_child(lambda endpoint=endpoint: endpoint.judge(["x"], ["hate"]))
        assert (how, words in told) == ("raised", True), told


def test_what_another_thread_held_at_the_fork_is_free_in_the_child() -> None:
    turn, held, go, worker = ForkSafeLock(), threading.Event(), threading.Event(), Worker("q")

    def hold() -> None:
        with turn, worker._turn:
            held.set()
            go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def enter() -> int:
        with turn:
            found: int = worker.call(int).result()
            return found

    try:
        assert in_a_child(enter) == ("gave", 0)
    finally:
        go.set()
        thread.join()
