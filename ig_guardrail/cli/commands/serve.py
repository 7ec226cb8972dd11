"""`ig-guardrail serve`: the model behind the OpenAI API."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.groups import AuditOptions, RecordOptions, grouped
from ig_guardrail.cli.request import read_engine_options
from ig_guardrail.errors import RequestError
from ig_guardrail.extras import require


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Where a server listens."""

    host: Annotated[str | None, typer.Option("--host", help="Where to listen; 127.0.0.1 if left out.")] = None
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Where to listen; 8000 if left out.")] = (
        None
    )
    uds: Annotated[str | None, typer.Option("--uds", help="A unix socket to listen on instead.")] = None


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """What a server does at most."""

    at_once: Annotated[int | None, typer.Option("--at-once", min=1, help="Requests served at a time.")] = None
    queue: Annotated[int | None, typer.Option("--queue", min=0, help="Requests that may wait beside them.")] = None
    seconds: Annotated[
        float | None, typer.Option("--request-seconds", min=0.001, help="Seconds that one request may take.")
    ] = None
    tokens: Annotated[
        int | None, typer.Option("--request-tokens", min=1, help="Tokens that one request may ask for.")
    ] = None


@dataclass(frozen=True, slots=True)
class ObserveOptions:
    """What a server tells of itself."""

    log_format: Annotated[
        str | None, typer.Option("--log-format", help="Of lines on standard error: 'text', or 'json', one a request.")
    ] = None
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", min=1, max=65535, help="Tell metrics there, and not at /metrics.")
    ] = None
    traces: Annotated[
        str | None,
        typer.Option("--traces", help="For OpenTelemetry: 'spans', 'none', or 'texts' to trace what is said."),
    ] = None


@dataclass(frozen=True, slots=True)
class ServedEngineOptions:
    """How the model runs, where that is said here."""

    device: Annotated[str | None, typer.Option("--device", envvar="IG_GUARDRAIL_DEVICE", help="As `run` takes it.")] = (
        None
    )
    dtype: Annotated[str | None, typer.Option("--dtype", help="As `run` takes it.")] = None
    weights: Annotated[
        str | None, typer.Option("--weights", envvar="IG_GUARDRAIL_WEIGHTS", help="'auto', 'bf16' or 'int4'.")
    ] = None
    engine: Annotated[str | None, typer.Option("--engine", envvar="IG_GUARDRAIL_ENGINE", help="As `run` takes it.")] = (
        None
    )
    engine_option: options.EngineOptionsOption = None
    revision: options.Revision = None
    context: options.ContextOption = None
    reward: options.Reward = None
    critic: options.CriticOption = None

    def given(self) -> dict[str, Any]:
        """The settings by their names in a file of settings. Raises RequestError for options that cannot be read."""
        settings = asdict(self)
        of_engine = read_engine_options(settings.pop("engine_option"))
        return {**settings, "engine_options": of_engine or None}


@grouped
def serve_command(
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="A file of settings (docs/operators.md); options here stand above it."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="See that settings, policies and keys can be used, and exit.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", envvar="IG_GUARDRAIL_MODEL", help="'embedded', a folder, a .gguf file, or a hub name."
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            "-p",
            help="A policy file or a packaged name, or NAME=FILE; may be given again. The first is usual.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--served-model-name", help="What requests call the model.")] = None,
    listen: ListenOptions,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="The file of keys (`ig-guardrail keys new`): who may ask for what.")
    ] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Serve everyone who reaches an address that others can reach.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Follow the policies' files: what stands in them holds for later requests.")
    ] = False,
    limits: LimitOptions,
    drain: Annotated[
        float | None, typer.Option("--drain", min=0, help="Seconds that running requests have to end after SIGTERM.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, help="Processes that answer, by Ray Serve (extra `ray`).")
    ] = None,
    refusal_style: Annotated[
        str | None,
        typer.Option("--refusal-style", help="Of chat completions: 'filter', 'openai', 'text' or 'http400'."),
    ] = None,
    observe: ObserveOptions,
    engine: ServedEngineOptions,
    ledger: options.LedgerOption = None,
    record: RecordOptions,
    audit: AuditOptions,
) -> None:
    """Serve the model to every client that speaks the OpenAI API, under one policy or several."""
    require("server", by="`serve`")
    from ig_guardrail.integrations.openai_server import serving
    from ig_guardrail.integrations.openai_server.events import RefusalStyle
    from ig_guardrail.integrations.openai_server.settings.serve_config import Replicas
    from ig_guardrail.integrations.openai_server.settings.serve_file import read_config

    if refusal_style not in (None, *(styles := get_args(RefusalStyle))):
        fix = f"write one of {', '.join(styles)}"
        raise RequestError(f"there is no refusal style '{refusal_style:.40}'", where="--refusal-style", fix=fix)
    given: dict[str, Any] = {
        "model": model,
        "policies": None if policy is None else _named(policy),
        "name": name,
        **asdict(listen),
        "keys": keys,
        "without_keys": without_keys or None,
        "reload": reload or None,
        "limits": _told(limits),
        "observe": _told(observe),
        "drain": drain,
        "refusal_style": refusal_style,
        **engine.given(),
        "ledger": ledger,
        "record": record.file(),
        "replicas": None if replicas is None else Replicas(replicas, replicas),
        "audit": audit.file(),
    }
    read = read_config(config, given)
    if check:
        print(serving.check(read))
    elif read.replicas is not None:
        require("ray", by="`serve --replicas`")
        from ig_guardrail.integrations.ray_serve.building import serve_replicas

        serve_replicas(read)
    else:
        serving.serve(read)


def _told(group: LimitOptions | ObserveOptions) -> dict[str, Any]:
    """What of a group is said here, and not left to the file."""
    return {called: value for called, value in asdict(group).items() if value is not None}


def _named(policies: list[str]) -> dict[str, str]:
    """Policies by what requests call them: `NAME=FILE`, else the file's own name.

    Raises RequestError where two have one name, of which only one could be asked for.
    """
    found: dict[str, str] = {}
    for policy in policies:
        name, _, file = policy.rpartition("=")
        name, file = (name, file) if name else (Path(policy).stem, policy)
        if name in found:
            raise RequestError(
                f"two policies are called '{name}': {found[name]} and {file}",
                where="--policy",
                why="requests choose among policies by name",
                fix=f"give one of them a name of its own: `--policy other={file}`",
            )
        found[name] = file
    return found
