"""Responses in the background: their caller leaves, reads on where he was, or cancels; the store's rules hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

from ig_guardrail.engine.scripted.engine import Incidents
from ig_guardrail.errors import CostFailure
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeLimits
from ig_guardrail.integrations.openai_server.stored import Bounds
from tests.golden.conversations import CALM, scripted_guardrail
from tests.unit.server.serving import MODEL, client, running, server_of, until

FIRST, LATER = 1, 5  # blocks at which the engine waits


@contextmanager
def waiting(call: int, **settings: Any) -> Iterator[tuple[openai.OpenAI, Server, Guardrail, threading.Event]]:
    """The official client of a server whose engine waits at that block until it is told to go on."""
    go = threading.Event()
    guardrail = scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", call): go}))
    server = server_of(guardrails={"calm": guardrail}, **settings)
    with running(server) as socket, client(socket) as caller:
        try:
            yield caller, server, guardrail, go
        finally:
            go.set()


def begun(caller: openai.OpenAI, **settings: Any) -> Any:
    return caller.responses.create(model=MODEL, input="Why?", background=True, **settings)


def ended(caller: openai.OpenAI, name: str) -> Any:
    """The response, once it is over."""
    found: list[Any] = []
    until(lambda: (found.append(caller.responses.retrieve(name)) or found[-1].status) not in ("queued", "in_progress"))
    return found[-1]


def test_it_is_given_though_nobody_waits_and_a_chain_goes_on_from_it() -> None:
    with waiting(LATER) as (caller, server, _, go):
        told = begun(caller)
        assert (told.status, told.background, told.output) == ("in_progress", True, [])
        until(lambda: bool(caller.responses.retrieve(told.id).output))
        assert CALM.startswith(caller.responses.retrieve(told.id).output_text)  # of what was let out, and no more
        assert server.admission.running == 1  # it holds its slot; what only reads it takes none
        with pytest.raises(openai.BadRequestError) as early:
            caller.responses.create(model=MODEL, input="And?", previous_response_id=told.id)
        assert early.value.param == "previous_response_id"
        go.set()
        whole = ended(caller, told.id)
        assert (whole.status, whole.output_text, whole.background) == ("completed", CALM, True)
        assert whole.ig_guardrail["verdict"]["outcome"] == "completed"
        until(lambda: server.admission.running == 0)
        after = caller.responses.create(model=MODEL, input="And?", previous_response_id=told.id)
        assert (after.output_text, after.background) == (CALM, False)


def test_a_stream_is_read_on_where_its_caller_left() -> None:
    with waiting(LATER) as (caller, _, guardrail, go):
        read: list[Any] = []
        with begun(caller, stream=True) as stream:
            for event in stream:
                read.append(event)
                if event.type == "response.output_text.delta":
                    break
        name = read[0].response.id
        assert guardrail.engine.live_nodes() > 0
        following = caller.responses.retrieve(name, stream=True, starting_after=read[-1].sequence_number)
        go.set()
        rest = list(following)
        assert [one.sequence_number for one in (*read, *rest)] == list(range(len(read) + len(rest)))
        assert "".join(one.delta for one in (*read, *rest) if one.type == "response.output_text.delta") == CALM
        assert (rest[-1].type, rest[-1].response.output_text) == ("response.completed", CALM)
        again = list(caller.responses.retrieve(name, stream=True))
        assert [one.to_dict() for one in again] == [one.to_dict() for one in (*read, *rest)]
        assert list(caller.responses.retrieve(name, stream=True, starting_after=len(again) - 1)) == []


def test_who_cancels_stops_the_model_and_frees_the_slot() -> None:
    with waiting(LATER, limits=ServeLimits(at_once=1, queue=0)) as (caller, server, guardrail, go):
        told = begun(caller)
        until(lambda: bool(caller.responses.retrieve(told.id).output))
        with pytest.raises(openai.RateLimitError):
            begun(caller)
        over = caller.responses.cancel(told.id)
        assert (over.status, over.id) == ("cancelled", told.id)
        assert CALM.startswith(over.output_text)
        until(lambda: (server.admission.running, guardrail.engine.live_nodes()) == (0, 0))
        assert caller.responses.retrieve(told.id).status == "cancelled"
        with pytest.raises(openai.APIError, match="was cancelled"):
            list(caller.responses.retrieve(told.id, stream=True))
        with pytest.raises(openai.BadRequestError) as refused:
            caller.responses.create(model=MODEL, input="And?", previous_response_id=told.id)
        assert refused.value.param == "previous_response_id"
        go.set()
        done = ended(caller, begun(caller).id)
        assert caller.responses.cancel(done.id).status == "completed"
        plain = caller.responses.create(model=MODEL, input="Why?")
        with pytest.raises(openai.BadRequestError, match="background"):
            caller.responses.cancel(plain.id)
        with pytest.raises(openai.BadRequestError, match="background"):
            list(caller.responses.retrieve(plain.id, stream=True))


def test_who_deletes_cancels() -> None:
    with waiting(FIRST) as (caller, server, guardrail, _):
        told = begun(caller)
        until(lambda: guardrail.engine.live_nodes() > 0)
        caller.responses.delete(told.id)
        until(lambda: (server.admission.running, guardrail.engine.live_nodes()) == (0, 0))
        with pytest.raises(openai.NotFoundError):
            caller.responses.retrieve(told.id)


def test_a_guard_that_fails_is_told() -> None:
    incidents = Incidents(faults={("extend", LATER): CostFailure("no")})
    server = server_of(guardrails={"calm": scripted_guardrail({(0, 0): CALM}, incidents=incidents)})
    with running(server) as socket, client(socket) as caller:
        over = ended(caller, begun(caller).id)
    assert (over.status, over.error.code) == ("failed", "server_error")
    assert CALM.startswith(over.output_text)


def test_past_its_time_it_has_failed() -> None:
    with waiting(FIRST) as (caller, server, _, _go):
        server.caller = lambda request: Caller(("calm",), seconds=0.05)  # type: ignore[method-assign]
        over = ended(caller, begun(caller).id)
    assert (over.status, over.error.message) == ("failed", "the time for this request was over before its end")


def test_another_tenant_finds_none_of_it() -> None:
    with waiting(FIRST) as (caller, server, _, go):
        told = begun(caller)
        server.caller = lambda request: Caller(("calm",), tenant="other")  # type: ignore[method-assign]
        for ask in (
            lambda: caller.responses.retrieve(told.id),
            lambda: caller.responses.retrieve(told.id, stream=True, starting_after=0),
            lambda: caller.responses.cancel(told.id),
            lambda: caller.responses.delete(told.id),
        ):
            with pytest.raises(openai.NotFoundError):
                ask()
        del server.caller  # type: ignore[attr-defined]
        go.set()
        assert ended(caller, told.id).output_text == CALM


def test_where_nothing_is_kept_nothing_is_given_in_the_background() -> None:
    with waiting(FIRST, stored=Bounds(count=0)) as (caller, _, _, _go):
        with pytest.raises(openai.BadRequestError) as refused:
            begun(caller)
        assert refused.value.param == "background"


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"stream": "perhaps"}, "stream"), ({"stream": "true", "starting_after": "-1"}, "starting_after")],
)
def test_where_to_read_on_is_checked(asked: dict[str, str], param: str) -> None:
    with waiting(FIRST) as (caller, _, _, go):
        go.set()
        told = ended(caller, begun(caller).id)
        with pytest.raises(openai.BadRequestError) as refused:
            caller.responses.retrieve(told.id, extra_query=asked)
        assert refused.value.param == param
