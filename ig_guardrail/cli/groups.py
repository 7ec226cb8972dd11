"""Options that several commands take together: each group is one value that says what the command makes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from ig_guardrail.cli import options
from ig_guardrail.cli.request import RequestOptions, read_engine_options
from ig_guardrail.cli.tools_file import read_tools
from ig_guardrail.errors import RequestError
from ig_guardrail.rollout.canary import Canary, Naming

if TYPE_CHECKING:
    from ig_guardrail.settings import AuditFile, RecordingFile
    from ig_guardrail.spec import GuardrailSpec


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command as Typer reads it: in place of a parameter that is a group, one option for each of its fields."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    flat: list[inspect.Parameter] = []
    for name, one in inspect.signature(command).parameters.items():
        flat += _options_of(groups[name]) if name in groups else [_option(name, hints[name], one.default)]

    @wraps(command)
    def flattened(**given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()
        }
        command(**given, **made)

    flattened.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    return flattened


def _options_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [_option(field.name, hints[field.name], field.default) for field in fields(group)]


def _option(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """A model, and how it runs."""

    model: options.ModelOption = "embedded"
    device: options.DeviceOption = "auto"
    dtype: options.Dtype = "auto"
    weights: options.WeightsOption = "auto"
    engine: options.EngineOption = "auto"
    engine_option: options.EngineOptionsOption = None
    revision: options.Revision = None
    context: options.ContextOption = None

    def spec(self, policy: str = "default", **others: Any) -> GuardrailSpec:
        """The guardrail of the model under a policy. others: as `GuardrailSpec` names them. Raises RequestError."""
        from ig_guardrail.spec import GuardrailSpec

        return GuardrailSpec(
            self.model,
            policy,
            self.device,
            self.dtype,
            self.weights,
            engine=self.engine,
            engine_options=read_engine_options(self.engine_option),
            revision=self.revision,
            context=self.context,
            **others,
        )


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """What every answer of a command is asked for beside its turns."""

    strategy: options.StrategyOption = None
    seed: options.SeedOption = None
    max_tokens: options.MaxTokens = 256
    reasoning: options.ReasoningOption = "auto"
    reasoning_effort: options.ReasoningEffort = None
    max_reasoning_tokens: options.MaxReasoningTokens = None
    temperature: options.Temperature = None
    top_p: options.TopP = None
    top_k: options.TopK = None
    min_p: options.MinP = None
    repetition_penalty: options.RepetitionPenalty = None
    frequency_penalty: options.FrequencyPenalty = 0.0
    presence_penalty: options.PresencePenalty = 0.0
    logit_bias: options.LogitBiasOption = None
    stop: options.Stop = None
    system: options.System = None
    language: options.LanguageOption = "en"
    timeout: options.Timeout = None
    tools: options.Tools = None
    tenant: options.TenantOption = None

    def read(self) -> RequestOptions:
        """The options of requests. Raises RequestError for biases and tools that cannot be read."""
        from ig_guardrail.integrations.langchain.options import token_biases

        drawing = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "logit_bias": token_biases([word.partition("=")[::2] for word in self.logit_bias or ()]),
        }
        return RequestOptions(
            drawing,
            self.max_tokens,
            self.stop,
            self.seed,
            self.strategy,
            self.language,
            tenant=self.tenant,
            form=read_tools(self.tools),
            reasoning=self.reasoning,
            reasoning_effort=self.reasoning_effort,
            max_reasoning_tokens=self.max_reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class CanaryOptions:
    """Another policy, for a share of names."""

    canary: options.CanaryOption = None
    canary_share: options.CanaryShare = None
    canary_by: options.CanaryBy = None

    def read(self, conversation: bool, tenant: str | None) -> Canary | None:
        """The canary; None without one.

        conversation: whether conversations have names. Raises RequestError for half of one, and where no name leads to
        it.
        """
        if self.canary is None and self.canary_share is None and self.canary_by is None:
            return None
        if self.canary is None or self.canary_share is None:
            raise RequestError(
                "a canary needs a policy and a share",
                where="--canary, --canary-share",
                fix="give `--canary FILE --canary-share 0.1`",
            )
        canary = Canary(self.canary, self.canary_share, cast(Naming, self.canary_by or "conversation"))
        if not (tenant if canary.by == "tenant" else conversation):
            raise RequestError(
                f"nothing has the name of a {canary.by}",
                where="--canary",
                why="who is answered under the canary is told by names, and whoever has none never is",
                fix="give `--tenant`"
                if canary.by == "tenant"
                else "give `--conversation`, or rows with a `conversation`",
            )
        return canary


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """An audit log of the answers."""

    audit: options.AuditOption = None
    audit_texts: options.AuditTexts = False
    key_file: options.AuditKeyFile = None

    def file(self) -> AuditFile | None:
        """The log; None without one."""
        from ig_guardrail.settings import AuditFile

        return None if self.audit is None else AuditFile(self.audit, self.key_file, self.audit_texts)


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """A recording of what answers score."""

    record: options.RecordOption = None
    record_texts: options.RecordedTexts = "hash"

    def file(self) -> RecordingFile | None:
        """The file of recordings; None without one. Raises RequestError for other words of `--record-texts`."""
        from ig_guardrail.settings import recording_file

        return None if self.record is None else recording_file(self.record, self.record_texts)
