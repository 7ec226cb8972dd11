"""What a `ChatIGGuardrail` is set to: its fields, each with what it means, by the names of other chat models too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from langchain_core.utils import from_env
from pydantic import ConfigDict, Field, InstanceOf, SecretStr, model_validator
from typing_extensions import override

from ig_guardrail.costs.base import CostModel
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.chat.base import BoundedModel
from ig_guardrail.integrations.langchain.given.setting_names import INSTEAD, OF_A_CALL, as_named_here, serves_instead
from ig_guardrail.integrations.langchain.messages.blocks import EventModel
from ig_guardrail.integrations.langchain.options import token_biases
from ig_guardrail.integrations.langchain.payer import PayingModel
from ig_guardrail.rollout.canary import Canary, canary_in
from ig_guardrail.settings import AuditFile, RecordingFile
from ig_guardrail.types import CompiledPolicy

NAMED = ("model", "policy")  # None stands for no other one; elsewhere it leaves a setting as it is


class ChatSettings(PayingModel, BoundedModel, EventModel):
    """The settings of a chat model: what is opened, and what every request asks for."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(default_factory=from_env("IG_GUARDRAIL_MODEL", default="embedded"))
    """"embedded", the folder of a model, a .gguf file, or a hub name; as a path too, or under the name `model_name`."""
    policy: str | Path | InstanceOf[CompiledPolicy] = Field(
        default_factory=from_env("IG_GUARDRAIL_POLICY", default="default"), repr=False
    )
    """A policy file, the name of a packaged policy, or a compiled policy."""
    reload: bool = Field(default=False, repr=False)
    """Whether a policy file that is changed holds for the requests that begin after that; see `policy_fault`."""
    canary: InstanceOf[Canary] | Mapping[str, Any] | None = Field(default=None, exclude=True, repr=False)
    """Another policy for a share of conversations or tenants, as a `Canary` or a dict of its fields."""
    strategy: str | Callable[..., Any] | None = None
    """"inference_guard", "resample", "cut", "none", or a search of your own; None is what the policy says."""
    revision: str | None = Field(default=None, min_length=1)
    """A branch, tag or commit of a hub model; None is its main branch."""
    temperature: float | None = None
    """0 is greedy. None is what the model's makers set, else 0.7."""
    top_p: float | None = None
    """None is what the model's makers set, else 0.95."""
    top_k: int | None = None
    """0 is off, and so is -1. None is what the model's makers set, else off."""
    min_p: float | None = None
    """0 is off. None is what the model's makers set, else off."""
    repetition_penalty: float | None = None
    """On tokens of prompt and answer; 1 is off. None is what the model's makers set, else off."""
    frequency_penalty: float = 0.0
    """On tokens of the answer, for each time that it holds them; from -2 to 2."""
    presence_penalty: float = 0.0
    """On tokens of the answer, however often it holds them; from -2 to 2."""
    logit_bias: Mapping[int | str, float] | None = None
    """What is added to the logits of tokens, by their ids; -100 bans one, 100 forces it."""
    context: int | None = None
    """Most tokens of prompt and answer together; None is what the model reads."""
    max_tokens: int = 256
    """Also under the name `max_completion_tokens`."""
    stop: list[str] | None = None
    """Strings that end an answer and are not part of it; a call adds its own."""
    seed: int | None = None
    """None draws a fresh seed for every request; the receipt tells which."""
    timeout: float | None = None
    """Seconds for one request."""
    device: str = Field(default_factory=from_env("IG_GUARDRAIL_DEVICE", default="auto"))
    dtype: str = "auto"
    weights: str = Field(default_factory=from_env("IG_GUARDRAIL_WEIGHTS", default="auto"))
    """"bf16", or on the CPU "int4"; 4-bit weights compute in bfloat16 and take less time a token."""
    engine: str = Field(default_factory=from_env("IG_GUARDRAIL_ENGINE", default="auto"))
    """What runs the model (docs/engines.md); "auto" takes the first that fits it."""
    engine_options: Mapping[str, str | int | float | bool] = Field(default_factory=dict, repr=False)
    """Of that engine alone, by name."""
    n: int = 1
    """Answers to a request, for `generate`; `invoke` and `stream` give one."""
    logprobs: bool = False
    """Whether to tell, as `response_metadata["logprobs"]`, what the model thought of each token before the guard."""
    top_logprobs: int = 0
    """How many of the likeliest tokens to tell beside each, at most 20; asks for `logprobs` too."""
    reasoning: str = "auto"
    """Of a model that thinks first: "auto" shows its thoughts, "show" asks for them, "hide" shows none, "off" has it
    answer at once, by its chat template's own switch."""
    reasoning_effort: str | None = None
    """How much to think, in the words of its chat template: of "minimal", "low", "medium", "high", "xhigh" and "max"
    those that it takes, as gpt-oss the middle three; None is its own usual effort."""
    max_reasoning_tokens: int | None = None
    """Where a thought is ended, so that an answer follows; thoughts count as part of `max_tokens` too."""
    prompt_cache: bool = True
    """Whether what a prompt begins with is kept, so that the next one like it is read faster; never across tenants."""
    language: str = "en"
    """Of the refusal and closing messages."""
    streaming: bool = False
    api_key: SecretStr | None = Field(default=None, exclude=True)
    """Accepted and not used: the model runs in this process."""
    max_retries: int | None = None
    """Accepted and not used: a request that failed here would fail again."""
    ledger: str | Path | Any = Field(default=None, exclude=True, repr=False)
    """Where conversations are kept: a SQLite file, postgresql://..., or a ledger; None is this process's memory."""
    cost_models: Mapping[str, InstanceOf[CostModel]] = Field(default_factory=dict, exclude=True, repr=False)
    """What the policy leaves to the program (`kind: provided`), by name."""
    reward: str | None = Field(default=None, min_length=1)
    """Ranks candidates by task value: "relevance", a folder of `train reward`, or "classifier:PATH"."""
    critic: str | None = Field(default=None, min_length=1)
    """Foresees budgets, to rank candidates: a folder of `train critic`."""
    record: str | Path | RecordingFile | None = Field(default=None, exclude=True, repr=False)
    """A file that what every answer scores is appended to, without texts, for `ig-guardrail policy replay`."""
    audit: str | Path | AuditFile | None = Field(default=None, exclude=True, repr=False)
    """An audit log, in which a line is written for every answer before its end is delivered; without texts."""
    guardrail: Guardrail | None = Field(default=None, exclude=True, repr=False)
    """An open guardrail to use, in place of all that names a model, a policy, or how either is opened."""

    @model_validator(mode="before")
    @classmethod
    def _name_settings(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        named = {
            name: value
            for name, value in as_named_here(given).items()
            if value is not None or name in NAMED or name not in cls.model_fields
        }
        token_biases(named.get("logit_bias"))  # which is kept as it is written, and read with each call
        return {**named, "canary": canary_in(named["canary"])} if "canary" in named else named

    @override
    @classmethod
    def _instead(cls, name: str) -> str:
        return serves_instead(name, cls.model_fields, {**INSTEAD, **OF_A_CALL})

    @property
    def model_name(self) -> str:
        """`model`, as other chat models call it."""
        return self.model
