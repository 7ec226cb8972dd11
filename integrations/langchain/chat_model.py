"""`ChatIGGuardrail`: LangChain's chat model over a guardrail.

One text, the guardrail's stream, stands behind all four ways to call it: `invoke` folds `stream`, `ainvoke` folds
`astream`, and at the same seed all four give the same words. Async runs on the caller's loop, with no thread a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.load.serializable import SerializedNotImplemented
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils import from_env
from pydantic import ConfigDict, Field, InstanceOf, PrivateAttr, SecretStr, model_validator
from typing_extensions import override

from ig_guardrail import __version__
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.calls.offers import offered
from ig_guardrail.costs.plugins import distribution_of
from ig_guardrail.drive.request import told_to_think
from ig_guardrail.errors import RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.answer_cache import CompletedAnswers
from ig_guardrail.integrations.langchain.base import BoundedModel, unwritten
from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail
from ig_guardrail.integrations.langchain.messages.blocks import PROVIDER, EventModel
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.integrations.langchain.messages.outcomes import generation_chunks, overflow_told
from ig_guardrail.integrations.langchain.options import (
    CallOptions,
    as_named_here,
    call_options,
    spelled,
    stop_strings,
)
from ig_guardrail.integrations.langchain.payer import PayingModel
from ig_guardrail.integrations.langchain.response_format import described, form_of, with_instructions
from ig_guardrail.integrations.langchain.structured import OutputMethod, structured
from ig_guardrail.ledger import AccountKey, MemoryLedger, process_ledger
from ig_guardrail.rollout.canary import Canary, canary_in
from ig_guardrail.settings import AuditFile, Limits, RecordingFile
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import CallNotation, CompiledPolicy, Message

OPENINGS = 8  # models and policies that one chat model keeps open
KEPT = {
    "ledger": "a ledger",
    "cost_models": "cost models",
    "reward": "a reward",
    "critic": "a critic",
    "revision": "a revision",
    "context": "a context",
    "record": "a file of recordings",
    "audit": "an audit log",
    "canary": "a canary",
    "engine_options": "options of an engine",
}
BESIDES = ("form", "own", "tool_format")  # of a call's options: what is no setting
ABILITIES: ModelProfile = {
    "tool_calling": True,
    "tool_choice": True,
    "structured_output": True,
    "temperature": True,
    "open_weights": True,
}


class ChatIGGuardrail(BoundedModel, PayingModel, EventModel):
    """A local language model that decodes within the budgets of a policy.

    Constructing it is cheap. The policy is read at the first call and kept (PolicyError if it is refused), the weights
    are loaded then too (ModelError). Settings out of range raise RequestError at once, as does any option of a call
    that is not known.

    The last chunk, and so the whole message, carries `finish_reason` and, as `response_metadata["ig_guardrail"]`, the
    receipt. An answer that the policy refused or ended has finish reason `content_filter`, one past its `timeout`
    has `cancelled`; an answer whose guard failed raises GenerationFailed.
    """

    model_config = ConfigDict(extra="forbid")

    model: str = Field(default_factory=from_env("IG_GUARDRAIL_MODEL", default="embedded"))
    """"embedded", the folder of a model, a .gguf file, or a hub name; as a path too, or under the name `model_name`."""
    policy: str | Path | InstanceOf[CompiledPolicy] = Field(
        default_factory=from_env("IG_GUARDRAIL_POLICY", default="default"), repr=False
    )
    """A policy file, the name of a packaged policy, or a compiled policy."""
    reload: bool = Field(default=False, repr=False)
    """Whether a policy file that is changed holds for the requests that begin after that; see `policy_fault`."""
    canary: InstanceOf[Canary] | None = Field(default=None, exclude=True, repr=False)
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
    record: str | Path | RecordingFile | None = Field(default=None, exclude=True)
    """A file that what every answer scores is appended to, without texts, for `ig-guardrail policy replay`."""
    audit: str | Path | AuditFile | None = Field(default=None, exclude=True)
    """An audit log, in which a line is written for every answer before its end is delivered; without texts."""
    guardrail: Guardrail | None = Field(default=None, exclude=True, repr=False)
    """An open guardrail to use, in place of all that names a model, a policy, or how either is opened."""

    _openings: list[LazyGuardrail] = PrivateAttr(default_factory=list)

    # ------------------------------------------------------------------------------------------------ construction

    @property
    def _memory(self) -> MemoryLedger:
        """Where conversations are kept while no ledger is given: with those of all other models of this process."""
        return process_ledger()

    @model_validator(mode="before")
    @classmethod
    def _name_settings(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        named = as_named_here(given)
        return {**named, "canary": canary_in(named["canary"])} if "canary" in named else named

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        self._options(None, {}).check()
        if self._given() is None:
            self._opened()
        if self.cache is not False and not isinstance(self.cache, CompletedAnswers):
            self.cache = CompletedAnswers(self.cache if not isinstance(self.cache, bool) else None)
        return self

    def _given(self, model: str | None = None) -> Guardrail | None:
        """The guardrail that was handed in. Raises RequestError if model or policy were changed since.

        model: the one that a call asks for
        """
        if self.guardrail is not None:
            self._name_after(self.guardrail)
            if model not in (None, self.model):
                raise RequestError(
                    f"a call asks for model '{model}'",
                    where="model",
                    why=f"this chat model was given an open guardrail, which runs '{self.model}'",
                    fix="leave out `model`, or make the chat model by name",
                )
        return self.guardrail

    def _name_after(self, guardrail: Guardrail) -> None:
        """Carry the names of what is really used. Raises RequestError where others were given beside it."""
        from ig_guardrail.engine.loading.models import QUANTIZED

        facts = guardrail.engine.info
        kept = {"weights": facts.numerics} if facts.numerics in QUANTIZED else {"dtype": facts.numerics}
        actual = {"model": facts.model, "policy": guardrail.policy, "device": facts.device, **kept}
        actual["engine"] = facts.mode.partition("/")[0]
        for name, what in KEPT.items():
            if getattr(self, name):
                raise RequestError(
                    f"both a guardrail and {what} are given",
                    where=name,
                    why="an open guardrail keeps its own",
                    fix=f"give `{name}` where the guardrail is made",
                )
        for name in sorted(actual.keys() & self.model_fields_set):
            if getattr(self, name) != actual[name]:
                raise RequestError(
                    f"both a guardrail and another {name} are given",
                    where=name,
                    why="an open guardrail brings its own model and policy",
                    fix=f"leave out either `guardrail` or `{name}`",
                )
        for name, value in actual.items():
            setattr(self, name, value)

    @property
    def model_name(self) -> str:
        """`model`, as other chat models call it."""
        return self.model

    @override
    def _resolve_model_profile(self) -> ModelProfile:
        from ig_guardrail.engine.loading.context_window import window_of

        profile = ModelProfile(text_inputs=True, text_outputs=True, **ABILITIES)
        if self.guardrail is not None:
            return {
                **profile,
                "max_input_tokens": self.guardrail.engine.info.context,
                "reasoning_output": self.guardrail.engine.info.thinks,
            }
        known = [size for size in (window_of(self.model, self.revision), self.context) if size is not None]
        return {**profile, "max_input_tokens": min(known)} if known else profile

    @property
    def policy_fault(self) -> str | None:
        """Why the policy's file, as it was changed last, was refused, so that the one before is still in force."""
        return None if self.guardrail is not None else self._opened().fault

    # -------------------------------------------------------------------------------------------------- generation

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk, None, None]:
        kwargs = as_named_here(kwargs)
        model = kwargs.pop("model", None)
        payer = self._payer(kwargs)
        options, turns = self._options(stop, kwargs, payer), messages_of(messages, self._limits())
        with overflow_told():
            guardrail = self._given(model) or self._opened(model).current(payer)
            yield from _pieces(guardrail, options.within(guardrail), turns)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        kwargs = as_named_here(kwargs)
        model = kwargs.pop("model", None)
        payer = self._payer(kwargs)
        options, turns = self._options(stop, kwargs, payer), messages_of(messages, self._limits())
        guardrail = self._given(model) or await self._opened(model).current_async(payer)
        options = options.within(guardrail)
        with overflow_told():
            async with aclosing(guardrail.astream(options.ask(turns), options.timeout)) as chunks:
                async for chunk in chunks:
                    for piece in generation_chunks(chunk, options.notation if options.form.callable else None):
                        yield piece

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        kwargs = as_named_here(kwargs)
        model = kwargs.pop("model", None)
        payer = self._payer(kwargs)
        options, turns = self._options(stop, kwargs, payer), messages_of(messages, self._limits())
        guardrail = self._given(model) or self._opened(model).current(payer)
        options = options.within(guardrail)
        with overflow_told():
            return _together([generate_from_stream(_pieces(guardrail, one, turns)) for one in options.each()])

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Several answers share the model's steps, unless they share a budget."""
        kwargs = as_named_here(kwargs)
        payer = self._payer(kwargs)
        options = self._options(stop, {**kwargs, "model": None}, payer)
        asked = [{**kwargs, "n": 1, "seed": one.seed, "payer": payer} for one in options.each()]
        streams = [self._astream(messages, stop, run_manager, **one) for one in asked]
        if len(streams) == 1 or options.conversation is not None:  # each builds on the one before
            return _together([await agenerate_from_stream(stream) for stream in streams])
        return _together(await _at_once([agenerate_from_stream(stream) for stream in streams]))

    def _options(self, stop: list[str] | None, given: dict[str, Any], payer: AccountKey | None = None) -> CallOptions:
        settings = {name: getattr(self, name) for name in CallOptions.model_fields if name not in BESIDES}
        if payer is not None:
            settings |= {"conversation": payer.conversation, "tenant": payer.tenant}
        return call_options(settings, stop, given)

    @override
    def _limits(self) -> Limits:
        """Those that a guardrail of the caller's brings, else the usual ones."""
        return Limits() if self.guardrail is None else self.guardrail.limits

    def _opened(self, model: str | None = None) -> LazyGuardrail:
        """What the present names open: a model or policy that was changed since is opened anew, and kept beside.

        model: the one that a call asks for in place of the usual one, under the same policy and ledger
        """
        spec = GuardrailSpec(
            model=model or self.model,
            policy=self.policy,
            device=self.device,
            dtype=self.dtype,
            weights=self.weights,
            ledger=self.ledger,
            cost_models=dict(self.cost_models),
            reward=self.reward,
            critic=self.critic,
            revision=self.revision if model in (None, self.model) else None,
            context=self.context,
            reload=self.reload,
            record=self.record,
            audit=self.audit,
            canary=self.canary,
            engine=self.engine,
            engine_options=dict(self.engine_options),
        )
        found = next((opening for opening in self._openings if opening.spec == spec), None)
        if found is None:
            found = LazyGuardrail(spec)
            self._openings = [*self._openings, found][-OPENINGS:]
        return found

    # ----------------------------------------------------------------------------------------------- tools, schemas

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools it may call: functions, `BaseTool`s, classes, or OpenAI's dicts.

        tool_choice          None or "auto", "none", "any", "required" or True, a tool's name, or a dict that names one
        strict               arguments follow their schema, whatever this says
        parallel_tool_calls  False: one call at most; so it is where a tool is named, unless this is True
        Raises RequestError for tools or a choice that cannot be read.
        """
        form_of(tools, tool_choice, parallel_tool_calls, None)
        offered = [described(tool, strict) for tool in tools]
        asked = {"tool_choice": tool_choice, "parallel_tool_calls": parallel_tool_calls, "strict": strict}
        given = {name: value for name, value in asked.items() if value is not None}
        return self.bind(tools=offered, **given, **kwargs)

    @override
    def with_structured_output(
        self,
        schema: Any = None,
        *,
        include_raw: bool = False,
        method: OutputMethod = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model with a parser behind it: values of `schema` (pydantic, TypedDict or JSON Schema).

        method  "json_schema" writes the value as the answer, "function_calling" as the arguments of a call; "json_mode"
                is the first, and may go without a schema. All enforce the schema at every token.
        Raises AnswerRefused when called, where the policy let no such answer through.
        """
        return structured(
            self, schema, include_raw, method, {**kwargs, "strict": strict} if strict is not None else kwargs
        )

    # --------------------------------------------------------------------------------------------------- counting

    @override
    def get_token_ids(self, text: str) -> list[int]:
        """Ids of a text by the model's own tokenizer, as it stands within a turn. Loads the model if need be."""
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        framed, frame = (self._encoded((Message("user", content),)) for content in (text, ""))
        shared = next((i for i, (a, b) in enumerate(zip(framed, frame, strict=False)) if a != b), len(frame))
        return list(framed[shared : len(framed) - (len(frame) - shared)])

    @override
    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Tokens the model reads for a conversation: chat template, and what it is told of tools."""
        rules, style = self._present().costs.tool_rules if tools else None, self._present().engine.info.tool_format
        form = offered(form_of(tools, None, None, None), rules)
        return len(self._encoded(with_instructions(form, messages_of(messages), style), form.notation(style)))

    def _encoded(self, turns: tuple[Message, ...], notation: CallNotation | None = None) -> tuple[int, ...]:
        return self._present().engine.encode(turns, told_to_think(self.reasoning), notation).ids

    def _present(self) -> Guardrail:
        return self._given() or self._opened().current()

    # --------------------------------------------------------------------------------------------------- identity

    @property
    @override
    def _llm_type(self) -> str:
        return PROVIDER

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        """What tells two models apart in traces and caches. Reads the policy; raises PolicyError if it is refused."""
        given = self._given()
        policy = given.policy if given is not None else self._opened().policy()
        return {
            **self._options(None, {}).model_dump(
                exclude={"timeout", "conversation", "tenant", "prompt_cache", *BESIDES}
            ),
            "strategy": getattr(self.strategy, "__qualname__", self.strategy),
            "model": self.model,
            "revision": self.revision,
            "context": self.context,
            "device": self.device,
            "dtype": self.dtype,
            "weights": self.weights,
            "engine": self.engine,
            "engine_options": dict(self.engine_options),
            "reward": self.reward,
            "critic": self.critic,
            "policy": policy.name,
            "policy_sha256": policy.sha256,
            "version": __version__,
        }

    @override
    def to_json_not_implemented(self) -> SerializedNotImplemented:
        return unwritten(self, self.model)

    @override
    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The key of a cached answer: all of the above, so that no policy is served another policy's answers."""
        payer = self._payer(kwargs)  # what is charged to a payer is never cached
        asked = {name: spelled(name, value) for name, value in kwargs.items()}
        arm = {} if self.canary is None else {"policy_sha256": self._opened().policy(payer).sha256}
        told = {**self._identifying_params, **arm, **asked, "stop_of_call": stop, "guard": self._hashes()}
        return repr(sorted(told.items()))

    def _hashes(self) -> list[str]:
        """What tells an open guardrail's weights and cost models apart, or those that have more than a name."""
        if self.guardrail is None:
            specs = self._opened().policy().cost_models
            installed = [distribution_of(spec) for spec in specs if spec.kind == "python"]
            return [*installed, *(f"{name}={model.sha256}" for name, model in sorted(self.cost_models.items()))]
        return [self.guardrail.engine.info.model_sha256, *sorted(self.guardrail.costs.hashes.values())]

    def _temperature(self, given: Mapping[str, Any]) -> float:
        """At which a call draws: as it says, as set here, or as the model's files say. Loads nothing."""
        asked = given.get("temperature")
        asked = self.temperature if asked is None else asked
        own = (
            self._opened(given.get("model")).defaults()
            if self.guardrail is None
            else self.guardrail.engine.info.defaults
        )
        return own.sampling(temperature=asked).temperature

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        kwargs = as_named_here(kwargs)
        params = LangSmithParams(
            ls_provider=PROVIDER,
            ls_model_type="chat",
            ls_model_name=str(kwargs.get("model") or self.model),
            ls_temperature=self._temperature(kwargs),
            ls_max_tokens=kwargs.get("max_tokens", self.max_tokens),
        )
        strings = [*stop_strings(self.stop), *stop_strings(stop)]
        if strings:
            params["ls_stop"] = strings
        return params


def init_guarded_chat_model(
    model: str | Path = "embedded", policy: str | Path = "default", **settings: Any
) -> ChatIGGuardrail:
    """A guarded chat model by names, as `init_chat_model` makes others; "ig-guardrail:" before the model is dropped."""
    return ChatIGGuardrail(model=str(model).removeprefix(f"{PROVIDER}:"), policy=policy, **settings)


def _pieces(guardrail: Guardrail, options: CallOptions, turns: tuple[Message, ...]) -> Iterator[ChatGenerationChunk]:
    with closing(guardrail.stream(options.ask(turns), options.timeout)) as chunks:
        for chunk in chunks:
            yield from generation_chunks(chunk, options.notation if options.form.callable else None)


async def _at_once(waiting: Sequence[Coroutine[Any, Any, ChatResult]]) -> list[ChatResult]:
    """All results; if one fails, the others are cancelled and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in waiting]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _together(results: Sequence[ChatResult]) -> ChatResult:
    """Several answers to one request."""
    return ChatResult(generations=[one for result in results for one in result.generations])
