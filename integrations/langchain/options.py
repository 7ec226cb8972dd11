"""What one call asks for beside its messages: the constructor's settings, and what the call puts in their place.

A call may change how the model is sampled and which strategy searches. Nothing here can change a threshold or a budget.
"""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.runnables.config import RunnableConfig, ensure_config
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ig_guardrail.calls import OPEN, Form
from ig_guardrail.drive.request import Ask, check
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.forms import form_of, instructed
from ig_guardrail.settings import Limits
from ig_guardrail.types import Sampling, Turn

TAKEN_BY_LANGCHAIN = frozenset({"stream", "ls_structured_output_format", "structured_output_format"})

FORM = ("tools", "tool_choice", "parallel_tool_calls", "response_format")  # a schema is enforced, `strict` or not


class CallOptions(BaseModel):
    """The settings of one call. timeout in seconds; seed None draws a fresh one for every request.

    n  answers to give; with a seed, the second is drawn with the next seed, and so on
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    max_tokens: int
    stop: tuple[str, ...]
    seed: int | None = Field(ge=0, lt=2**63)
    timeout: float | None = Field(gt=0)
    strategy: str | Callable[..., Any] | None
    language: str
    n: int = Field(ge=1, le=128)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    conversation: str | None = None
    tenant: str | None = None
    form: Form = Form()

    def ask(self, turns: tuple[Turn, ...]) -> Ask:
        """The request for a guardrail. Draws 63 random bits where no seed is set; the receipt tells which."""
        seed = secrets.randbits(63) if self.seed is None else self.seed
        sampling = Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            stop=self.stop,
            seed=seed,
            max_tokens=self.max_tokens,
            grammar=self.form.grammar(self.max_tokens),
        )
        return Ask(
            instructed(self.form, turns),
            sampling,
            self.strategy,
            self.language,
            unit=OPEN if self.form.callable else None,
            prose=self.form.schema is None,
            json=self.form.schema is not None,
            conversation=self.conversation,
            chances=self.top_logprobs if self.logprobs or self.top_logprobs else None,
            tenant=self.tenant,
        )

    def each(self) -> list[CallOptions]:
        """The options of each of the `n` answers."""
        seeds = [None if self.seed is None else (self.seed + number) % 2**63 for number in range(self.n)]
        return [self.model_copy(update={"seed": seed, "n": 1}) for seed in seeds]

    def check(self) -> None:
        """Raises RequestError, naming option and range, for settings that no request could be served with."""
        check(self.ask((Turn("user", ""),)), Limits())


def configured(name: str, config: RunnableConfig | None = None) -> str | None:
    """What LangGraph's config names, such as `thread_id`, within a run that has one; or a config that is given."""
    found = ensure_config(config).get("configurable", {}).get(name)
    return None if found is None else str(found)


def call_options(settings: Mapping[str, Any], stop: Sequence[str] | None, given: Mapping[str, Any]) -> CallOptions:
    """The settings of a call: the constructor's, `given` in their place, and `stop` added to its stop strings.

    An option given as None stays as the constructor has it. Raises RequestError for an option that is unknown or of
    the wrong type: dropped silently, it would leave the caller with an answer to another question.
    """
    given = {name: value for name, value in given.items() if name not in TAKEN_BY_LANGCHAIN and value is not None}
    form = form_of(*(given.get(name) for name in FORM))
    overrides = {name: value for name, value in given.items() if name not in (*FORM, "strict")}
    for name in overrides:
        if name not in settings:
            raise _unknown(name, sorted({*settings, *FORM}))
    strings = [*(settings["stop"] or ()), *([stop] if isinstance(stop, str) else stop or ())]
    merged = {**settings, **overrides, "stop": tuple(dict.fromkeys(strings)), "form": form}
    try:
        return CallOptions.model_validate(merged)
    except ValidationError as error:
        raise _mistyped(error) from error


def _unknown(name: str, known: Sequence[str]) -> RequestError:
    near = difflib.get_close_matches(name, known, n=1)
    offered = f"a call may set {', '.join(known)}"
    return RequestError(
        f"a call cannot set '{name}'",
        where=name,
        why="dropped silently, it would leave you with an answer to another question; budgets belong to the policy",
        fix=f"did you mean '{near[0]}'? {offered}" if near else offered,
    )


def _mistyped(error: ValidationError) -> RequestError:
    faults = [f"{'.'.join(str(part) for part in fault['loc'][:1])}: {fault['msg']}" for fault in error.errors()]
    return RequestError("; ".join(dict.fromkeys(faults)), where="options of a call", fix="give values in range")
