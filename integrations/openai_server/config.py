"""What a server serves, and to whom: the options of `serve`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ig_guardrail.integrations.openai_server.stored import Bounds
from ig_guardrail.integrations.openai_server.wires.chat_completions import RefusalStyle
from ig_guardrail.spec import GuardrailSpec


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """The settings of a server.

    spec           the model, and how it is opened; its policy is the first of `policies`
    name           what requests call the model; the spec's name if left out
    policies       files or packaged names, by what keys call them; the first holds where a request names none
    refusal_style  how chat completions tell a refusal
    stored         how many responses are kept for `previous_response_id`, and how long
    quiet          seconds of silence on a stream, after which a comment is sent
    body_bytes     of a request's body, at most
    host, port     where the server listens
    uds            a unix socket to listen on instead
    """

    spec: GuardrailSpec
    policies: Mapping[str, str | Path]
    name: str = ""
    refusal_style: RefusalStyle = "filter"
    stored: Bounds = field(default_factory=Bounds)
    quiet: float = 5.0
    body_bytes: int = 8_000_000
    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None

    @property
    def served_name(self) -> str:
        """What requests call the model."""
        return self.name or Path(self.spec.model).name
