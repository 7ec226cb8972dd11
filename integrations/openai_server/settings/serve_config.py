"""What a server serves, and to whom: the options of `serve`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ig_guardrail.database import is_address
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.openai_server.events import RefusalStyle
from ig_guardrail.integrations.openai_server.listening import is_loopback
from ig_guardrail.integrations.openai_server.observing.settings import ObserveConfig
from ig_guardrail.integrations.openai_server.stored import Bounds
from ig_guardrail.rollout.canary import Canary
from ig_guardrail.spec import GuardrailSpec


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """What one server bears. What a key's entry says of seconds, tokens and answers stands in place of what is here.

    at_once     requests that are served at a time
    queue       requests that may wait beside them
    wait        seconds that one waits at most
    seconds     that one request may take
    tokens      that one request may ask for, over all of its answers
    answers     to one request
    body_bytes  of a request's body
    """

    at_once: int = 16
    queue: int = 64
    wait: float = 10.0
    seconds: float = 300.0
    tokens: int = 32_768
    answers: int = 16
    body_bytes: int = 8_000_000


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many processes answer, by Ray Serve; between least and most, as many as there is work for.

    requests  that one is to have at a time, those that wait included
    tokens    that its requests are to ask for together
    """

    least: int = 1
    most: int = 1
    requests: int = 8
    tokens: int = 8_192

    def __post_init__(self) -> None:
        """Raises RequestError where the least is more than the most."""
        if self.least > self.most:
            raise RequestError(
                f"at least {self.least} are more than at most {self.most}",
                where="replicas",
                fix=f"give one number, or `{{least: {self.least}, most: {self.least}}}`",
            )


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """The settings of a server.

    spec           the model, and how it is opened; its policy is the first of `policies`
    policies       files or packaged names, by what keys call them; the first holds where a request names none
    name           what requests call the model; the spec's name if left out
    canaries       another policy for a share of the requests, by the name of the policy in whose place it stands
    refusal_style  how chat completions tell a refusal
    stored         how many responses are kept for `previous_response_id`, and how long
    quiet          seconds of silence on a stream, after which a comment is sent
    limits         of the server, and of keys that say nothing else
    drain          seconds that running requests have to end when the server is told to stop
    keys           the file of keys; without one, everyone who reaches the server is served
    without_keys   whether it may be so beyond this machine
    host, port     where the server listens
    uds            a unix socket to listen on instead
    observe        metrics, traces and log lines
    replicas       how many processes answer, by Ray Serve; this one alone if left out
    """

    spec: GuardrailSpec
    policies: Mapping[str, str | Path]
    name: str = ""
    canaries: Mapping[str, Canary] = field(default_factory=dict)
    refusal_style: RefusalStyle = "filter"
    stored: Bounds = field(default_factory=Bounds)
    quiet: float = 5.0
    limits: ServeLimits = field(default_factory=ServeLimits)
    drain: float = 30.0
    keys: Path | None = None
    without_keys: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    observe: ObserveConfig = field(default_factory=ObserveConfig)
    replicas: Replicas | None = None

    def __post_init__(self) -> None:
        """Raises RequestError where everyone on a network would be served, and nobody has said so.

        And where several replicas would each keep budgets of their own.
        """
        if self.keys is None and not (self.without_keys or self.uds or is_loopback(self.host)):
            raise RequestError(
                f"{self.host} can be reached from other machines, and there are no keys",
                where="serve",
                why="everyone who reaches the server could use it, and spend the budgets of others",
                fix="give a file of keys (`ig-guardrail keys new`, `--keys`), or say `--without-keys`",
            )
        if self.replicas is not None and self.replicas.most > 1 and self.spec.ledger is None:
            raise RequestError(
                f"{self.replicas.most} replicas cannot share a ledger in memory",
                where="ledger",
                why="each would grant every conversation its whole budget again",
                fix="give `ledger: FILE` where all replicas are on one machine, or `ledger: postgresql://...`",
            )
        if self.stored.where == "ledger" and not is_address(self.spec.ledger):
            raise RequestError(
                "responses cannot be kept where the ledger is",
                where="stored",
                why="they are kept in memory, or in a PostgreSQL database that replicas share",
                fix="give `ledger: postgresql://...`, or leave `where` out",
            )
        if not self.policies:
            raise RequestError("no policy is served", where="policies", fix="name one, such as `default: default`")

    @property
    def responses_in(self) -> str | None:
        """The address of the database that keeps responses; None where memory does."""
        ledger, stored = self.spec.ledger, self.stored
        shared = stored.where == "ledger" or (stored.where == "auto" and self.replicas is not None)
        return ledger if shared and stored.count and isinstance(ledger, str) and is_address(ledger) else None

    @property
    def served_name(self) -> str:
        """What requests call the model."""
        return self.name or Path(self.spec.model).name

    @property
    def local(self) -> bool:
        """Whether all that tells who asks is that he asks from this machine."""
        return self.keys is None and self.uds is None and not self.without_keys
