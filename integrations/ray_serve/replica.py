"""A replica: the server whole, but for the socket. Requests come to it read, and its answers leave it as messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import ray
from prometheus_client.core import Metric
from ray import serve
from starlette.types import Message

from ig_guardrail.database import is_address
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.openai_server.app import make_app
from ig_guardrail.integrations.openai_server.observing.lines import log_to_stderr
from ig_guardrail.integrations.openai_server.served import PolicyPlace, ServedModel
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.types import CompiledPolicy

LOG = logging.getLogger(__name__)
EVERY = 0.25  # seconds between two looks at the policies
PATIENCE_S = 5.0  # for which a look may take
POLICIES = "policies"  # the actor that reads them for all replicas

Opening: TypeAlias = Callable[[ServeConfig], ServedModel]


class Replica:
    """One of the processes that answer."""

    def __init__(
        self, config: ServeConfig, opening: Opening, policies: Mapping[PolicyPlace, CompiledPolicy], follow: bool
    ) -> None:
        """policies: as they were read for all replicas. follow: whether what is read later holds for later requests

        Raises as `ServedModel.open` does, and for a ledger that others cannot reach; the replica does not start then.
        """
        log_to_stderr(config.observe.log_format)
        _demand_reached(config.spec.ledger)
        served = opening(config)
        for place, policy in policies.items():
            served.hold(place, policy)
        served.open()
        self.server = Server(config, served)
        self._app = make_app(self.server)
        self._told = {place: (policy.sha256, None) for place, policy in policies.items()}
        self._living = asyncio.get_running_loop().create_task(self._live(follow))

    async def answer(self, scope: dict[str, Any], body: bytes) -> AsyncGenerator[list[Message], None]:
        """What the server sends for a request, as ASGI has it; messages that are there together are told together.

        Closing it, or cancelling it, is the caller's leaving.
        """
        sent: asyncio.Queue[Message | None] = asyncio.Queue()
        asked = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            for one in asked:
                return one
            return await asyncio.Future()  # the caller leaves by cancelling all of it

        async def run() -> None:
            try:
                await self._app(scope, receive, sent.put)
            finally:
                sent.put_nowait(None)

        serving = asyncio.create_task(run())
        try:
            told: list[Message | None] = []
            while None not in told:
                told = [await sent.get()]
                while not sent.empty():
                    told.append(sent.get_nowait())
                yield [one for one in told if one is not None]
            await serving
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def tell_metrics(self) -> tuple[str, list[Metric]]:
        """The name of this replica, and its metrics as they stand."""
        return serve.get_replica_context().replica_id.unique_id, list(self.server.metrics.registry.collect())

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What Ray Serve asks a replica for, to know how many there should be."""
        return {"tokens": float(self.server.metrics.asked_tokens)}

    async def _live(self, follow: bool) -> None:
        async with self._app.router.lifespan_context(self._app):
            while follow:
                await asyncio.sleep(EVERY)
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await self._look()
                except Exception as error:  # the place where policies are read is away, and comes again
                    LOG.warning("policies were not looked at: %s", type(error).__name__)
            await asyncio.Future()

    async def _look(self) -> None:
        reader = serve.get_deployment_actor(POLICIES)
        for place, (policy, fault) in (await reader.newest.remote(self._told)).items():
            await asyncio.to_thread(self.server.served.hold, place, policy, fault)
            self._told[place] = policy.sha256, fault

    def __del__(self) -> None:
        self.server.served.flush()


def _demand_reached(ledger: object) -> None:
    """Raises RequestError for a ledger in a file where replicas may be on several machines."""
    machines = sum(one["Alive"] for one in ray.nodes())
    if machines > 1 and isinstance(ledger, str | Path) and not is_address(str(ledger)):
        raise RequestError(
            f"replicas on {machines} machines cannot share a ledger in a file",
            where="ledger",
            why="what one of them writes would be lost on the others, and budgets be spent twice",
            fix="give `ledger: postgresql://...`, or run the cluster on one machine",
        )
