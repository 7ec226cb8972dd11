"""Two replicas under load: what callers get, what the books say, and which policy held, while processes are killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from openai import InternalServerError, NotFoundError
from pytest_socket import enable_socket

from ig_guardrail.errors import GuardrailError
from tests.scale.postgres import ThrowAway, thrown_away
from tests.scale.standing import BUDGET, BUSY, RAYS, Came, Stand

pytestmark = pytest.mark.skipif("IG_TEST_SCALE" not in os.environ, reason="$IG_TEST_SCALE is not set")
CONVERSATIONS = 200
CLEAN = {f"{how} {code}" for how in ("event", "503") for code in ("replica_lost", "guard_unavailable")}
RAYS_WAIT_S = 75.0  # more than Ray waits for an application that it deletes
SOON_S = 2.0  # in which all replicas are under a new policy


@pytest.fixture(autouse=True)
def _no_network() -> None:
    enable_socket()


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    enable_socket()
    made = Stand(tmp_path, str(tmp_path / "ledger.sqlite"))
    yield made
    await made.client.close()
    code = made.process.poll()
    assert (made.stop() if code is None else code) == 0


async def test_every_conversation_keeps_its_books_while_a_replica_is_killed_and_the_store_restarts(
    tmp_path: Path,
) -> None:
    enable_socket()
    with thrown_away() as postgres:
        stand = Stand(tmp_path, postgres.address)
        try:
            await _answers_under_load(stand, postgres)
        finally:
            await stand.client.close()
            code = stand.stop()
            stand.books.close()
    assert code == 0


async def _answers_under_load(stand: Stand, postgres: ThrowAway) -> None:
    first, _ = stand.replicas()
    names = [f"conversation {number}" for number in range(CONVERSATIONS)]
    asked = [asyncio.create_task(stand.ask(name, tokens)) for tokens in (200, 120) for name in names]
    came = asyncio.as_completed(asked)
    for one in islice(came, 40):
        await one
    os.kill(first, signal.SIGKILL)
    for one in islice(came, 160):
        await one
    await asyncio.to_thread(postgres.stop, "immediate")
    await asyncio.to_thread(postgres.start)
    ended = await asyncio.gather(*asked)
    print(Counter((one.error, "whole" if one.whole else "cut") for one in ended))
    assert [one for one in ended if not one.whole and not one.error] == []  # one may be lost behind its last word
    assert {one.error for one in ended if one.error} <= CLEAN
    for name in names:
        spent = stand.spent(name)
        assert sum(one.dread for one in ended if one.conversation == name) <= spent <= BUDGET
        assert spent + await stand.remaining(name) == pytest.approx(BUDGET)
    assert {True, False} == {one.whole for one in ended}
    assert sum(one.dread for one in ended) > 0  # it was the script that spoke


async def test_a_new_policy_is_seen_by_all_replicas_and_by_each_request_as_one(stand: Stand) -> None:
    loop = asyncio.get_running_loop()
    came: list[Came] = []

    async def ask_on(own: int) -> None:
        began = 0.0
        while began < soon:
            came.append(one := await stand.ask(f"{own} {len(came)}", 40, n=2))
            began = one.began

    await stand.ask("warm", 8)
    for version in (1, 2, 3):
        stand.write(version)
        written = loop.time()
        soon, before = written + SOON_S, len(came)
        await asyncio.gather(*(ask_on(own) for own in range(8)))
        new = came[before:]
        assert all(one.whole and len({each["policy"]["sha256"] for each in one.receipts}) == 1 for one in new)
        late = [one for one in new if one.receipts[0]["policy"]["version"] != f"1.0.{version}"]
        print(version, len(new), max((one.began - written for one in late), default=0.0))
        assert all(one.began < soon for one in late)  # and each caller began one behind that


async def test_replicas_that_are_told_to_stop_end_what_runs(stand: Stand) -> None:
    asked = await running(stand, 24)
    code = await asyncio.to_thread(stand.stop)
    came = await asyncio.gather(*asked)
    assert [one.error for one in came if not one.whole] == []
    assert code == 0


async def running(stand: Stand, count: int) -> list[asyncio.Task[Came]]:
    """So many requests, all of which were let in, and not all answered: a word of each came."""
    begun = [asyncio.Event() for _ in range(count)]
    asked = [asyncio.create_task(stand.ask(f"late {number}", begun=one)) for number, one in enumerate(begun)]
    for one in begun:
        await one.wait()
    assert not all(one.done() for one in asked)
    return asked


async def test_an_answer_is_waited_for_as_long_as_the_time_to_drain_says(tmp_path: Path) -> None:
    """Ray itself would wait for a minute. Meanwhile whoever comes is told why he is sent away."""
    enable_socket()
    stand = Stand(tmp_path, str(tmp_path / "ledger.sqlite"), gate=tmp_path / "gate")
    begun = asyncio.Event()
    asked = asyncio.create_task(stand.ask("long", begun=begun))
    await begun.wait()
    stopped = asyncio.create_task(asyncio.to_thread(stand.stop))
    await asyncio.wait([asked, stopped], timeout=RAYS_WAIT_S)
    assert (asked.done(), stopped.done()) == (False, False)
    assert (await stand.ask("late")).error == "503 server_stopping"
    (tmp_path / "gate").touch()
    came, code = await asyncio.gather(asked, stopped)
    await stand.client.close()
    assert (came.error, came.whole, code) == ("", True, 0)


async def test_what_still_runs_when_the_time_to_drain_is_over_is_told_so(tmp_path: Path) -> None:
    enable_socket()
    stand = Stand(tmp_path, str(tmp_path / "ledger.sqlite"), drain=0.1)
    asked = await running(stand, 24)
    code = await asyncio.to_thread(stand.stop)
    came = await asyncio.gather(*asked)
    await stand.client.close()
    assert {one.error for one in came if not one.whole} == {"event server_stopping"}
    assert code == 0


async def test_a_conversation_finds_its_prompt_on_the_replica_that_read_it(tmp_path: Path) -> None:
    enable_socket()
    stand = Stand(tmp_path, str(tmp_path / "ledger.sqlite"), embedded=True)
    known = []
    for number in range(6):
        said: list[Any] = [
            {
                "role": "system",
                "content": f"You are a gardener, number {number}. " + "You like roses and tulips. " * 20,
            },
            {"role": "user", "content": f"What is number {number} in your garden?"},
        ]
        for _ in range(2):
            answer = await stand.client.chat.completions.create(model="toy", messages=said, max_tokens=4)
            said += [answer.choices[0].message, {"role": "user", "content": "And what else?"}]
        known.append(answer.ig_guardrail["tokens"]["cached"])
    await stand.client.close()
    assert stand.stop() == 0
    assert min(known) > 100


async def test_a_chain_goes_on_when_its_replica_is_gone_and_metrics_of_all_are_at_one_address(tmp_path: Path) -> None:
    enable_socket()
    with thrown_away() as postgres:
        stand = Stand(tmp_path, postgres.address)
        try:
            chains = [await respond(stand, f"Say something, {number}.") for number in range(6)]
            before = await told_metrics(stand)
            assert re.search(r"^ig_guardrail_replicas 2.0$", before, re.MULTILINE)
            assert len(set(re.findall(r'replica="(\w+)"', before))) == 2
            asked = re.findall(r'^ig_guardrail_requests_total{endpoint="/v1/responses",.*} (\d+)', before, re.MULTILINE)
            assert sum(map(int, asked)) == 6
            first, _ = stand.replicas()
            os.kill(first, signal.SIGKILL)
            for chain in chains:
                later = await respond(stand, "And more?", previous_response_id=chain.id)
                shown = await stand.client.responses.retrieve(chain.id)
                assert shown.output_text == chain.output_text
                assert (later.previous_response_id, later.id[:21]) == (chain.id, chain.id[:21])
            await stand.client.responses.delete(chains[0].id)
            with pytest.raises(NotFoundError):
                await stand.client.responses.retrieve(chains[0].id)
        finally:
            await stand.client.close()
            code = stand.stop()
            stand.books.close()
    assert code == 0


async def respond(stand: Stand, text: str, **more: Any) -> Any:
    """A response; asked again where its replica is lost."""
    codes = []
    for _ in range(5):
        try:
            return await stand.client.responses.create(model="toy", input=text, max_output_tokens=12, **more)
        except InternalServerError as lost:
            codes.append(lost.code)
    assert set(codes) == {"replica_lost"}
    raise AssertionError("all replicas were lost")


async def told_metrics(stand: Stand) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{stand.port}/metrics", timeout=60.0)).text


async def test_a_replica_is_added_where_there_is_work_for_two(tmp_path: Path) -> None:
    enable_socket()
    bounds = "{least: 1, most: 2, requests: 100, tokens: 1000}"  # so it is the tokens that tell
    stand = Stand(tmp_path, str(tmp_path / "ledger.sqlite"), replicas=bounds)
    assert len(stand.replicas()) == 1
    number = count()

    async def ask_on() -> None:
        while len(stand.replicas()) < 2:
            assert (await stand.ask(f"busy {next(number)}")).whole

    async with asyncio.timeout(400):
        await asyncio.gather(*(ask_on() for _ in range(16)))
    await stand.client.close()
    assert stand.stop() == 0


SLOW = """\
import sys, threading
if any(word.endswith("dashboard/agent.py") for word in sys.orig_argv):
    threading.Event().wait(60)
"""


def test_where_ray_itself_does_not_start_it_is_told_in_words(tmp_path: Path) -> None:
    """As on a machine that is so busy that one of Ray's processes takes a minute to start."""
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    ledger = tmp_path / "ledger.sqlite"
    ended = subprocess.run(
        [sys.executable, "-m", "ig_guardrail", "serve", "--replicas", "2", "--ledger", str(ledger), "--port", "0"],
        capture_output=True,
        text=True,
        env={**os.environ, **RAYS, "RAY_raylet_start_wait_time_s": "20", "PYTHONPATH": paths},
    )
    assert BUSY in ended.stderr
    assert "run it again" in ended.stderr
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)


def test_what_listens_is_waited_for_beyond_the_minute_of_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    building = pytest.importorskip("ig_guardrail.integrations.ray_serve.building")
    states = iter(["", "STARTING", "STARTING", "HEALTHY"])
    told = lambda: SimpleNamespace(proxies={one: building.ProxyStatus(one) for one in [next(states)] if one})  # noqa: E731

    def start(**_: Any) -> None:
        raise TimeoutError("HTTP proxies not available after 60s.")

    monkeypatch.setattr(building, "serve", SimpleNamespace(start=start, status=told))
    monkeypatch.setattr(building, "LOOK_S", 0.0)
    building._listen(building.HTTPOptions(port=1))
    assert list(states) == []

    monkeypatch.setattr(building, "LISTENING_S", -1.0)
    states = iter(["STARTING"])
    with pytest.raises(GuardrailError, match="nothing listens at"):
        building._listen(building.HTTPOptions(port=1))
