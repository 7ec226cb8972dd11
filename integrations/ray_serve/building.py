"""Puts the application together: what it is given, what it must have, and its parts as Ray Serve deploys them."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import ray
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.config import (
    AutoscalingConfig,
    AutoscalingPolicy,
    DeploymentActorConfig,
    HTTPOptions,
    RequestRouterConfig,
)
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ProxyStatus

from ig_guardrail.errors import GuardrailError, RequestError, brief
from ig_guardrail.integrations.openai_server.served import PolicyPlace, ServedModel, served_by
from ig_guardrail.integrations.openai_server.serving import FAREWELL_S, check
from ig_guardrail.integrations.openai_server.settings.serve_config import Replicas, ServeConfig
from ig_guardrail.integrations.openai_server.settings.serve_file import read_config
from ig_guardrail.integrations.openai_server.stored import Bounds
from ig_guardrail.integrations.ray_serve.front import Front
from ig_guardrail.integrations.ray_serve.policies import PolicyFiles
from ig_guardrail.integrations.ray_serve.replica import POLICIES, Opening, Replica
from ig_guardrail.policy import load_policy

LOG = logging.getLogger(__name__)
NAME = "ig-guardrail"
ARGUMENTS = ("config", "replicas")
LOOK_S = 1.0  # between two looks at whether the application is gone, or what listens is there
LISTENING_S = 300.0  # beyond Ray's minute, for what listens to start
PATIENCE_S = 60.0  # beyond the time to drain, for Ray to end processes
READY = "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"  # after three of which Ray ends what is to listen, and starts it again
READY_S = 60  # where nobody has set it: 5, which a busy machine passes
AT_HEAD = {"resources": {"node:__internal_head__": 0.001}}  # of the cluster, where the files of policies are
ROUTER = "ray.serve.experimental.consistent_hash_router:ConsistentHashRouter"
WORK = "ig_guardrail.integrations.ray_serve.autoscaling:Work"


def read_arguments(args: Mapping[str, str]) -> ServeConfig:
    """The settings that arguments of `serve run` name. Raises RequestError for what cannot be served."""
    strange = [name for name in args if name not in ARGUMENTS]
    count = args.get("replicas", "1")
    if strange or not (count.isdecimal() and int(count) > 0):
        raise RequestError(
            f"there is no argument '{strange[0]:.40}'" if strange else f"there cannot be '{count:.40}' replicas",
            where="serve run",
            fix="give `config=serve.yaml`, and `replicas=2` where that file does not say how many",
        )
    given = {"replicas": Replicas(int(count), int(count))} if "replicas" in args else {}
    return read_config(Path(args["config"]).resolve() if "config" in args else None, given)


def served_of(config: ServeConfig) -> ServedModel:
    """What a replica serves."""
    return served_by(config.served_name, config.spec, config.policies, config.canaries)


def build(config: ServeConfig, opening: Opening = served_of) -> serve.Application:
    """The application for a config: a front, the replicas behind it, and what reads policies for them.

    opening: opens what a replica serves
    Raises GuardrailError for what cannot be served.
    """
    check(config)
    if config.observe.metrics_port is not None:
        raise RequestError(
            "replicas have no port of their own for metrics",
            where="observe.metrics_port",
            why="the front tells those of all of them at /metrics",
            fix="leave it out, and give `metrics_key` where not everyone is to read them",
        )
    scale = config.replicas or Replicas()
    config = replace(config, replicas=scale)
    stored = config.stored if config.responses_in else Bounds(count=0)  # what one replica kept, others would not find
    sources = _sources(config)
    policies = {place: load_policy(source) for place, source in sources.items()}
    files = {place: Path(source) for place, source in sources.items() if Path(source).is_file()}
    follow = config.spec.reload and bool(files)
    alike = replace(config, spec=replace(config.spec, reload=False), stored=stored)
    replicas = serve.deployment(
        Replica,
        max_ongoing_requests=config.limits.at_once + config.limits.queue,
        graceful_shutdown_timeout_s=config.drain + FAREWELL_S,
        graceful_shutdown_wait_loop_s=0.25,
        health_check_period_s=2.0,
        ray_actor_options={"num_cpus": 1, "num_gpus": 1 if config.spec.device.startswith("cuda") else 0},
        request_router_config=RequestRouterConfig(request_router_class=ROUTER),
        deployment_actors=[
            DeploymentActorConfig(
                name=POLICIES, actor_class=PolicyFiles, init_args=(files,), actor_options={"num_cpus": 0, **AT_HEAD}
            )
        ]
        if follow
        else [],
        **_counted(scale),
    ).bind(alike, opening, policies, follow)
    return serve.deployment(
        serve.ingress()(Front),
        max_ongoing_requests=1_000,
        graceful_shutdown_timeout_s=config.drain + 2 * FAREWELL_S,
        ray_actor_options={"num_cpus": 0},
    ).bind(alike, replicas)


def serve_replicas(config: ServeConfig, opening: Opening = served_of) -> None:
    """Serve until SIGTERM or Ctrl-C, on the cluster that `RAY_ADDRESS` names, else on this machine.

    opening: opens what a replica serves

    Raises GuardrailError for what cannot be served, before it listens.
    """
    if config.uds is not None:
        raise RequestError("replicas cannot listen on a unix socket", where="uds", fix="give a host and a port")
    application = build(config, opening)
    over = threading.Event()
    _join_cluster()
    try:
        for sent in (signal.SIGTERM, signal.SIGINT):  # in place of Ray's own
            signal.signal(sent, lambda *_: over.set())
        _listen(HTTPOptions(host=config.host, port=config.port))
        front = _deployed(application)
        print(f"serving {config.served_name} at http://{config.host}:{config.port}/v1", file=sys.stderr, flush=True)
        over.wait()
        front.drain.remote().result()  # it answers that the server stops, until nothing runs
        serve.delete(NAME, _blocking=False)
        _await_end(config.drain + 2 * FAREWELL_S + PATIENCE_S)
    finally:
        serve.shutdown()
        ray.shutdown()


def _join_cluster() -> None:
    """Join the cluster that `RAY_ADDRESS` names, else start one here. Raises GuardrailError where there is none."""
    os.environ.setdefault(READY, f"{READY_S}")
    try:
        ray.init(include_dashboard=False, ignore_reinit_error=True)
    except Exception as error:  # Ray raises them of many kinds
        raise GuardrailError(
            f"Ray did not start: {brief(error)}",
            where="serve",
            why="no cluster is where RAY_ADDRESS says, or this machine is too busy: Ray gives up where one of its "
            "processes takes 15 seconds to start",
            fix="run it again; what Ray said stands in /tmp/ray/session_latest/logs/raylet.err",
        ) from error


def _listen(options: HTTPOptions) -> None:
    """Start what listens. Ray waits for it for a minute, in which a busy machine may not start it.

    Raises GuardrailError where it does not start.
    """
    try:
        serve.start(http_options=options)
    except (TimeoutError, RayActorError) as error:
        end = time.monotonic() + LISTENING_S
        while not _all_listen():
            if time.monotonic() > end:
                raise GuardrailError(
                    f"nothing listens at {options.host}:{options.port}",
                    where="serve",
                    why=brief(error),
                    fix="run it again when less is at work on this machine",
                ) from error
            time.sleep(LOOK_S)


def _all_listen() -> bool:
    states = serve.status().proxies.values()
    return bool(states) and all(state is ProxyStatus.HEALTHY for state in states)


def _deployed(application: serve.Application) -> DeploymentHandle:
    """Its front. Raises GuardrailError where its parts do not start."""
    try:
        return serve.run(application, name=NAME)
    except (RuntimeError, TimeoutError) as error:
        raise GuardrailError(
            "the replicas did not start",
            where="serve",
            why="Ray Serve gave up on them; what each of them said stands above",
            fix="try `ig-guardrail serve` without `--replicas`, which says it once",
        ) from error


def _await_end(seconds: float) -> None:
    """Wait until the application is gone. Ray's `delete` gives up after a minute, however long the time to drain."""
    end = time.monotonic() + seconds
    while NAME in serve.status().applications:
        if time.monotonic() > end:
            LOG.warning("the replicas did not end within %g s", seconds)
            return
        time.sleep(LOOK_S)


def _counted(scale: Replicas) -> dict[str, object]:
    """How many replicas, as Ray Serve is told."""
    if scale.least == scale.most:
        return {"num_replicas": scale.least}
    return {
        "autoscaling_config": AutoscalingConfig(
            min_replicas=scale.least,
            max_replicas=scale.most,
            target_ongoing_requests=scale.requests,
            policy=AutoscalingPolicy(policy_function=WORK, policy_kwargs={"tokens": scale.tokens}),
        )
    }


def _sources(config: ServeConfig) -> dict[PolicyPlace, str | Path]:
    found: dict[PolicyPlace, str | Path] = {}
    for name, policy in config.policies.items():
        found[name, "stable"] = policy
        if name in config.canaries:
            found[name, "canary"] = str(config.canaries[name].policy)
    return found
