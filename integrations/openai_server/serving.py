"""Runs the server until it is told to stop; what runs then is served to its end, for as long as that may take."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

import uvicorn
from prometheus_client import start_http_server
from typing_extensions import override

from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.access.keys import read_keys
from ig_guardrail.integrations.openai_server.app import make_app
from ig_guardrail.integrations.openai_server.listening import address_of, listen
from ig_guardrail.integrations.openai_server.observing.lines import log_to_stderr
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.policy import load_policy
from ig_guardrail.rollout.rollout import demand_same_name
from ig_guardrail.types import CompiledPolicy

LOG = logging.getLogger(__name__)
FAREWELL_S = 5  # beyond the time to drain, in which errors reach those whose answers were cut off
KEPT_S = 120  # that a connection is kept for its next request; proxies and clients keep theirs for up to 90
CONNECTIONS = 1_000  # open at a time; one more is answered with 503 at once


class GracefulServer(uvicorn.Server):
    """The first SIGTERM or Ctrl-C drains, and the process exits with 0; a second one ends it at once."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._served = server

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True

    def hang_up(self, sig: int, frame: FrameType | None) -> None:
        """Drain. A terminal that ends may tell so twice, so this signal ends nothing at once."""
        self.should_exit = True

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        drain = self._served.config.drain
        LOG.warning("stopping: %d requests have %g s to end", self._served.admission.running, drain)
        self._served.admission.drain(drain)
        await super().shutdown(sockets)


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or Ctrl-C; then no request is accepted, and running ones end.

    Raises PolicyError, ModelError, HeadMismatch and RequestError for what cannot be served, before it listens.
    """
    check(config)
    log_to_stderr(config.observe.log_format)
    server = Server(config)
    listener = listen(config.host, config.port, config.uds)
    try:
        server.served.open()
        if config.observe.metrics and config.observe.metrics_port is not None:
            start_http_server(config.observe.metrics_port, config.host, server.metrics.registry)
        run(server, listener)
    finally:
        listener.close()
        if config.uds is not None:
            with suppress(OSError):
                os.unlink(config.uds)


def run(server: Server, listener: socket.socket) -> None:
    """Serve on a socket that listens, until told to stop."""
    settings = uvicorn.Config(
        make_app(server),
        timeout_graceful_shutdown=int(server.config.drain) + FAREWELL_S,
        timeout_keep_alive=KEPT_S,
        limit_concurrency=CONNECTIONS,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    print(_told(server, listener), file=sys.stderr, flush=True)
    stoppable = GracefulServer(settings, server)
    with suppress(AttributeError, ValueError):  # on Windows, and on a thread of a host's own
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # else, as under `nohup`, it is to be passed over
            signal.signal(signal.SIGHUP, stoppable.hang_up)
    stoppable.run([listener])


def check(config: ServeConfig) -> str:
    """See that policies and keys can be used, and nothing else; what would be served.

    Raises PolicyError and RequestError for what cannot.
    """
    lines = [f"model {config.served_name}: {config.spec.model}"]
    for name, policy in config.policies.items():
        compiled, canary = load_policy(policy), config.canaries.get(name)
        lines.append(f"policy {name}: {_named(compiled)}")
        if canary is not None:
            other = load_policy(canary.policy)
            demand_same_name(other, compiled)
            lines.append(f"  canary for {canary.share:.1%} of each {canary.by}: {_named(other)}")
    if config.keys is not None:
        callers = read_keys(config.keys, Caller(tuple(config.policies))).values()
        lines.append(f"keys: {len(callers)}, of {len({caller.tenant for caller in callers})} tenants")
    else:
        lines.append("keys: none; everyone who reaches the server is served")
    if config.replicas is not None:
        lines.append(f"replicas: {config.replicas.least} to {config.replicas.most}, by Ray Serve")
    return "\n".join(lines)


def _named(policy: CompiledPolicy) -> str:
    return f"{policy.name} {policy.version} ({policy.sha256[:12]})"


def _told(server: Server, listener: socket.socket) -> str:
    """Where it listens, and what is served."""
    path = "/v1" if listener.family != socket.AF_UNIX else ""
    return f"serving {', '.join(server.served.names_for(server.anyone))} at {address_of(listener)}{path}"
