"""What an operator chooses to see."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from ig_guardrail.errors import RequestError

TRACES = ("none", "spans", "texts")
CONVENTIONS = ("1.36", "1.44")  # versions of OpenTelemetry's semantic conventions
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class ObserveConfig:
    """Metrics, traces, log lines. Raises RequestError for what is none of the choices.

    metrics       whether they are told at all, at `/metrics` unless they have a port of their own
    metrics_port  another port for them, on the server's host; who reaches it reads them
    metrics_key   SHA-256, in hexadecimal, of the bearer token that Prometheus sends; None lets everyone in
    tenants       whether requests and tokens are counted tenant by tenant; then there is a key, or a port of their own
    traces        `spans` where OpenTelemetry's API is installed; `texts` adds prompts and answers
    conventions   the version of OpenTelemetry's conventions whose names are used
    log_format    of the lines on standard error
    """

    metrics: bool = True
    metrics_port: int | None = None
    metrics_key: str | None = None
    tenants: bool = False
    traces: str = "spans"
    conventions: str = "1.44"
    log_format: str = "text"

    def __post_init__(self) -> None:
        _demand("traces", self.traces, TRACES)
        _demand("conventions", self.conventions, CONVENTIONS)
        _demand("log_format", self.log_format, LOG_FORMATS)
        if self.metrics_key is not None and not re.fullmatch("[0-9a-f]{64}", self.metrics_key):
            raise _unfit("metrics_key", "it is no SHA-256", "write what `printf %s TOKEN | sha256sum` prints")
        if self.metrics_key is not None and self.metrics_port is not None:
            raise _unfit("metrics_key", "a port of its own asks for no key", "leave out metrics_key or metrics_port")
        if self.tenants and self.metrics_key is None and self.metrics_port is None:
            raise _unfit("tenants", "every caller could read of the others", "give metrics_key or metrics_port")


def _demand(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise _unfit(name, f"it is {value!r:.40}", f"write one of {', '.join(map(repr, choices))}")


def _unfit(name: str, what: str, fix: str) -> RequestError:
    return RequestError(what, where=f"observe.{name}", why="it says what an operator sees", fix=fix)
