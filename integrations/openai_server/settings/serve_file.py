"""`serve.yaml`: what a server serves and to whom, as a file. Its paths start where the file is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ig_guardrail.database import is_address
from ig_guardrail.fields.paths import expanded
from ig_guardrail.fields.yaml_settings import read_settings
from ig_guardrail.integrations.openai_server.events import RefusalStyle
from ig_guardrail.integrations.openai_server.observing.settings import ObserveConfig
from ig_guardrail.integrations.openai_server.settings.serve_config import Replicas, ServeConfig, ServeLimits
from ig_guardrail.integrations.openai_server.stored import Bounds, Where
from ig_guardrail.rollout.canary import Canary
from ig_guardrail.settings import AuditFile, Limits, RecordingFile
from ig_guardrail.spec import GuardrailSpec

Count: TypeAlias = Annotated[int, Field(ge=1)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
WHY = "it says what a server serves, and to whom"
USUAL = ServeConfig(GuardrailSpec(), {"default": "default"})  # where the file says nothing else
ALONE = Replicas()
BORNE = Limits()


class ServeSection(BaseModel):
    """A part of the file; what it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class LimitsSection(ServeSection):
    """Bounds of the server, and of keys that say nothing else."""

    at_once: Count = USUAL.limits.at_once
    queue: Annotated[int, Field(ge=0)] = USUAL.limits.queue
    wait: Annotated[float, Field(ge=0, le=600)] = USUAL.limits.wait
    seconds: Seconds = USUAL.limits.seconds
    tokens: Count = USUAL.limits.tokens
    answers: Annotated[int, Field(ge=1, le=128)] = USUAL.limits.answers
    body_bytes: Count = USUAL.limits.body_bytes
    messages: Count = BORNE.turns
    characters: Count = BORNE.characters


class ObserveSection(ServeSection):
    """Metrics, traces and log lines."""

    metrics: bool = USUAL.observe.metrics
    metrics_port: Annotated[int | None, Field(ge=1, le=65_535)] = USUAL.observe.metrics_port
    metrics_key: Text | None = USUAL.observe.metrics_key
    tenants: bool = USUAL.observe.tenants
    traces: Text = USUAL.observe.traces
    conventions: Text = USUAL.observe.conventions
    log_format: Text = USUAL.observe.log_format


class AuditSection(ServeSection):
    """The audit log, as docs/audit.md tells of it."""

    path: Text
    key_file: Text | None = None
    texts: bool = False
    on_error: Literal["closed", "open"] = "closed"
    most_bytes: Count | None = None
    daily: bool = False
    keep_days: Count | None = None
    keep_files: Count | None = None


class RecordSection(ServeSection):
    """A file that what answers score is appended to."""

    path: Text
    texts: Literal["hash", "none", "plain"] = "hash"


class CanarySection(ServeSection):
    """Another policy, for a share of the requests."""

    policy: Text
    share: Annotated[float, Field(ge=0, le=1)]
    by: Literal["conversation", "tenant"] = "conversation"
    salt: str = ""


class ReplicasSection(ServeSection):
    """How many processes answer, by Ray Serve."""

    least: Count = ALONE.least
    most: Count = ALONE.most
    requests: Count = ALONE.requests
    tokens: Count = ALONE.tokens


class StoredSection(ServeSection):
    """How many responses are kept for each tenant, and how long."""

    count: Annotated[int, Field(ge=0)] = USUAL.stored.count
    bytes: Count = USUAL.stored.bytes
    seconds: Annotated[float, Field(gt=0)] = USUAL.stored.seconds
    where: Where = USUAL.stored.where


class PolicySection(ServeSection):
    """A policy that is served: a file or a packaged name, and what stands in its place for some."""

    file: Text
    canary: CanarySection | None = None


def _alone(*names: str) -> BeforeValidator:
    """A text or a number in place of a section is what stands in it under these names."""
    return BeforeValidator(lambda given: dict.fromkeys(names, given) if isinstance(given, str | int) else given)


class ServeFile(ServeSection):
    """The whole file."""

    model: Text = USUAL.spec.model
    name: str = USUAL.name
    device: Text = USUAL.spec.device
    dtype: Text = USUAL.spec.dtype
    weights: Text = USUAL.spec.weights
    engine: Text = USUAL.spec.engine
    engine_options: dict[Text, str | int | float | bool] = {}
    revision: Text | None = None
    context: Count | None = None
    reward: Text | None = None
    critic: Text | None = None
    policies: Annotated[dict[Text, Annotated[PolicySection, _alone("file")]], Field(min_length=1)] = {
        "default": PolicySection(file="default")
    }
    reload: bool = False
    keys: Text | None = None
    without_keys: bool = False
    host: Text = USUAL.host
    port: Annotated[int, Field(ge=0, le=65_535)] = USUAL.port
    uds: Text | None = None
    limits: LimitsSection = LimitsSection()
    observe: ObserveSection = ObserveSection()
    drain: Annotated[float, Field(ge=0, le=3_600)] = USUAL.drain
    quiet: Seconds = USUAL.quiet
    refusal_style: RefusalStyle = USUAL.refusal_style
    stored: StoredSection = StoredSection()
    ledger: Text | None = None
    audit: Annotated[AuditSection | None, _alone("path")] = None
    record: Annotated[RecordSection | None, _alone("path")] = None
    replicas: Annotated[ReplicasSection | None, _alone("least", "most")] = None


SECTIONS = (
    *(ServeFile, LimitsSection, ObserveSection, AuditSection, RecordSection, CanarySection, StoredSection),
    *(PolicySection, ReplicasSection),
)
PLACES = ("keys", "uds", "ledger")  # paths, but for a database's address; other names are where there is such a file
OPENED = (
    *("model", "device", "dtype", "weights", "engine", "engine_options", "revision", "context"),
    *("reward", "critic", "ledger", "reload"),
)
SERVED = ("replicas", "name", "refusal_style", "quiet", "drain", "without_keys", "host", "port", "uds")


def read_config(path: Path | None, given: Mapping[str, Any]) -> ServeConfig:
    """The settings in a file, and in their place what the command line says.

    given: by the file's names; None is left as the file has it. `policies` are texts, `limits` and `observe` a part of
           them, `audit` and `record` as GuardrailSpec takes them
    Raises RequestError, with every fault and its line, for what cannot be served.
    """
    known = [name for section in SECTIONS for name in section.model_fields]
    file = ServeFile() if path is None else read_settings(path, ServeFile, why=WHY, keys=known)
    said = {name: value for name, value in given.items() if value is not None}
    if "policies" in said:
        said["policies"] = {name: PolicySection.model_construct(file=one) for name, one in said["policies"].items()}
    limits = {**file.limits.model_dump(), **said.pop("limits", {})}
    observe = {**file.observe.model_dump(), **said.pop("observe", {})}
    told = {**_placed(file, Path() if path is None else path.parent), **said}
    policies: Mapping[str, PolicySection] = told["policies"]
    called = {name: one.file for name, one in policies.items()}
    bounds = Limits(turns=limits.pop("messages"), characters=limits.pop("characters"))
    opened = {name: told[name] for name in OPENED}
    return ServeConfig(
        GuardrailSpec(
            **opened, policy=next(iter(called.values())), limits=bounds, audit=told["audit"], record=told["record"]
        ),
        called,
        canaries={name: Canary(**one.canary.model_dump()) for name, one in policies.items() if one.canary is not None},
        limits=ServeLimits(**limits),
        stored=Bounds(**file.stored.model_dump()),
        observe=ObserveConfig(**observe),
        keys=None if told["keys"] is None else Path(told["keys"]),
        **{name: told[name] for name in SERVED},
    )


def _placed(file: ServeFile, folder: Path) -> dict[str, Any]:
    """What a file says, its paths begun in its folder."""

    def path(name: str) -> str:
        return str(folder / expanded(name))

    def found(name: str | None) -> str | None:
        return path(name) if name is not None and (folder / expanded(name)).exists() else name

    def policy(one: PolicySection) -> PolicySection:
        canary = one.canary and one.canary.model_copy(update={"policy": found(one.canary.policy)})
        return one.model_copy(update={"file": found(one.file), "canary": canary})

    told = {name: getattr(file, name) for name in ServeFile.model_fields}
    told |= {name: path(told[name]) for name in PLACES if told[name] is not None and not is_address(told[name])}
    told |= {name: found(told[name]) for name in ("model", "reward", "critic")}
    told["policies"] = {name: policy(one) for name, one in file.policies.items()}
    if file.audit is not None:
        section = file.audit.model_dump(exclude_none=True)
        named = {name: section[name] for name in ("path", "key_file") if name in section}
        told["audit"] = AuditFile(
            **section | {name: one if is_address(one) else Path(path(one)) for name, one in named.items()}
        )
    if file.replicas is not None:
        told["replicas"] = Replicas(**file.replicas.model_dump())
    if file.record is not None:
        told["record"] = RecordingFile(Path(path(file.record.path)), file.record.texts)
    return told
