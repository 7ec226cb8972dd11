"""What one call asks for beside its messages: the constructor's settings, and what the call puts in their place.

A call may change how the model is sampled and which strategy searches. Nothing here can change a threshold or a budget.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ig_guardrail.costs.calls.offers import offered
from ig_guardrail.drive.request import GenerationRequest, check, in_form, salt_of
from ig_guardrail.errors import RequestError, brief
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.given.setting_names import INSTEAD, OF_THE_MODEL, as_named_here, serves_instead
from ig_guardrail.integrations.langchain.response_format import form_of
from ig_guardrail.schemas import faultless
from ig_guardrail.settings import Limits
from ig_guardrail.text.calls import ResponseFormat
from ig_guardrail.types import OUR_FORMAT, GenerationDefaults, Message, Reasoning, ToolFormat

TAKEN_BY_LANGCHAIN = frozenset({"stream", "ls_structured_output_format", "structured_output_format"})

FORM = ("tools", "tool_choice", "parallel_tool_calls", "response_format")  # a schema is enforced, `strict` or not


class CallOptions(BaseModel):
    """The settings of one call. timeout in seconds; seed None draws a fresh one for every request.

    n    answers to give; with a seed, the second is drawn with the next seed, and so on
    own  the model's own values for what is None
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    max_tokens: int
    stop: tuple[str, ...]
    seed: int | None = Field(ge=0, lt=2**63)
    timeout: float | None = Field(gt=0)
    strategy: str | Callable[..., Any] | None
    language: str
    n: int = Field(ge=1, le=128)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    reasoning: str = "auto"
    reasoning_effort: str | None = None
    max_reasoning_tokens: int | None = None
    prompt_cache: bool = True
    conversation: str | None = None
    tenant: str | None = None
    form: ResponseFormat = ResponseFormat()
    own: GenerationDefaults = GenerationDefaults()
    tool_format: ToolFormat = OUR_FORMAT

    def ask(self, turns: tuple[Message, ...]) -> GenerationRequest:
        """The request for a guardrail. Draws 63 random bits where no seed is set; the receipt tells which."""
        sampling = self.own.sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            logit_bias=self.logit_bias,
            stop=self.stop,
            seed=secrets.randbits(63) if self.seed is None else self.seed,
            max_tokens=self.max_tokens,
            max_reasoning_tokens=self.max_reasoning_tokens,
        )
        request = GenerationRequest(
            turns,
            sampling,
            self.strategy,
            self.language,
            conversation=self.conversation,
            top_logprobs=self.top_logprobs if self.logprobs or self.top_logprobs else None,
            tenant=self.tenant,
            reasoning=cast(Reasoning, self.reasoning),  # checked with the request
            reasoning_effort=self.reasoning_effort,
            cache_salt=salt_of(self.tenant) if self.prompt_cache else None,
        )
        return in_form(request, self.form, self.tool_format)

    def within(self, guardrail: Guardrail) -> CallOptions:
        """The options beside a model, and under a policy's rules for tools: what may not be called is not offered."""
        form, facts = offered(self.form, guardrail.costs.tool_rules), guardrail.engine.info
        return self.model_copy(update={"form": form, "own": facts.defaults, "tool_format": facts.tool_format})

    def each(self) -> list[CallOptions]:
        """The options of each of the `n` answers."""
        seeds = [None if self.seed is None else (self.seed + number) % 2**63 for number in range(self.n)]
        return [self.model_copy(update={"seed": seed, "n": 1}) for seed in seeds]

    def check(self) -> None:
        """Raises RequestError, naming option and range, for settings that no request could be served with."""
        check(self.ask((Message("user", ""),)), Limits())


def call_options(settings: Mapping[str, Any], stop: Sequence[str] | None, given: Mapping[str, Any]) -> CallOptions:
    """The settings of a call: the constructor's, `given` in their place, and `stop` added to its stop strings.

    An option given as None stays as the constructor has it. Raises RequestError for an option that is unknown or of
    the wrong type: dropped silently, it would leave the caller with an answer to another question.
    """
    given = {name: value for name, value in as_named_here(given).items() if value is not None}
    given = {name: value for name, value in given.items() if name not in TAKEN_BY_LANGCHAIN}
    form = form_of(*(given.get(name) for name in FORM))
    overrides = {name: value for name, value in given.items() if name not in (*FORM, "strict")}
    for name in overrides:
        if name not in settings:
            raise _unknown(name, sorted({*settings, *FORM}))
    strings = [*stop_strings(settings["stop"]), *stop_strings(overrides.get("stop")), *stop_strings(stop)]
    merged = as_named_here({**settings, **overrides, "stop": tuple(dict.fromkeys(strings)), "form": form})
    merged["logit_bias"] = token_biases(merged.get("logit_bias"))
    try:
        return CallOptions.model_validate(merged)
    except ValidationError as error:
        raise _mistyped(error) from error


def stop_strings(given: Any) -> tuple[str, ...]:
    """Stop strings: none, one, or several. Raises RequestError for what is none of these."""
    if given is None or given == ():
        return ()
    if isinstance(given, str):
        return (given,)
    if isinstance(given, list | tuple | set | frozenset) and all(isinstance(one, str) for one in given):
        return tuple(given)
    raise RequestError(
        f"stop is of type {type(given).__name__}, and holds other things than texts",
        where="stop",
        why="an answer ends at a text",
        fix="give a list of strings",
    )


def token_biases(given: Any) -> tuple[tuple[int, float], ...]:
    """`logit_bias` in OpenAI's form: values by token id, which may be written as text; or pairs of both.

    Raises RequestError for what is none of these, and for a token that is named twice.
    """
    if given is None or given == ():
        return ()
    try:
        pairs = [
            (_token(token), _bias(value)) for token, value in (given.items() if hasattr(given, "items") else given)
        ]
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_bias("it cannot be read") from error
    if len({token for token, _ in pairs}) < len(pairs):
        raise _no_bias("a token is named twice")
    return tuple(pairs)


def _token(given: Any) -> int:
    if isinstance(given, bool) or not (isinstance(given, int) or (isinstance(given, str) and given.isdecimal())):
        raise TypeError("no token id")
    return int(given)


def _bias(given: Any) -> float:
    if isinstance(given, bool):
        raise TypeError("no number")
    return float(given)


def _no_bias(what: str) -> RequestError:
    return RequestError(
        f"logit_bias: {what}",
        where="logit_bias",
        why="it is added to the logits of tokens, before they are drawn",
        fix='give numbers by token id, such as {"50256": -100}',
    )


def spelled(name: str, value: Any) -> str:
    """An option as text, for the key of a cached answer. Raises RequestError for what cannot be written."""
    if name in FORM:
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, Mapping):
                faultless(one)
    try:
        return str(value)
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
        raise RequestError(
            f"{name} cannot be written as text: {brief(error)}",
            where=name,
            why="an option that cannot be told apart from others cannot be served",
            fix="give a smaller value",
        ) from error


def _unknown(name: str, known: Sequence[str]) -> RequestError:
    return RequestError(
        f"a call cannot set '{name}'",
        where=name,
        why="dropped silently, it would leave you with an answer to another question; budgets belong to the policy",
        fix=serves_instead(name, known, {**INSTEAD, **OF_THE_MODEL}, f"a call may set {', '.join(known)}"),
    )


def _mistyped(error: ValidationError) -> RequestError:
    faults = [("".join(str(part) for part in fault["loc"][:1]), fault["msg"]) for fault in error.errors()]
    said = dict.fromkeys(f"{name}: {what}" for name, what in faults)
    return RequestError("; ".join(said), where=faults[0][0], fix="give values in range")
