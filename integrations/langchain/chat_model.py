"""`ChatIGGuardrail`: LangChain's chat model over a guardrail.

One text, the guardrail's stream, stands behind all four ways to call it: `invoke` folds `stream`, `ainvoke` folds
`astream`, and at the same seed all four give the same words. Async runs on the caller's loop, with no thread a request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
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
from pydantic import model_validator
from typing_extensions import override

from ig_guardrail import __version__
from ig_guardrail.costs.calls.offers import offered
from ig_guardrail.drive.request import told_to_think
from ig_guardrail.errors import ModelError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.answer_cache import CompletedAnswers
from ig_guardrail.integrations.langchain.chat.base import unwritten
from ig_guardrail.integrations.langchain.chat.opened import OpenedModel
from ig_guardrail.integrations.langchain.given.setting_names import as_named_here
from ig_guardrail.integrations.langchain.messages.blocks import PROVIDER
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.integrations.langchain.messages.outcomes import generation_chunks, overflow_told
from ig_guardrail.integrations.langchain.options import (
    CallOptions,
    call_options,
    spelled,
    stop_strings,
)
from ig_guardrail.integrations.langchain.response_format import described, form_of
from ig_guardrail.integrations.langchain.structured import OutputMethod, structured
from ig_guardrail.ledger import AccountKey
from ig_guardrail.text.calls import with_instructions
from ig_guardrail.threads.together import together
from ig_guardrail.types import CallNotation, Message

BESIDES = ("form", "own", "tool_format")  # of a call's options: what is no setting
ABILITIES: ModelProfile = {
    "tool_calling": True,
    "tool_choice": True,
    "structured_output": True,
    "temperature": True,
    "open_weights": True,
}


class ChatIGGuardrail(OpenedModel):
    """A local language model that decodes within the budgets of a policy.

    Constructing it is cheap. The policy is read at the first call and kept (PolicyError if it is refused), the weights
    are loaded then too (ModelError). Settings out of range raise RequestError at once, as does any option of a call
    that is not known.

    The last chunk, and so the whole message, carries `finish_reason` and, as `response_metadata["ig_guardrail"]`, the
    receipt. An answer that the policy refused or ended has finish reason `content_filter`, one past its `timeout`
    has `cancelled`; an answer whose guard failed raises GenerationFailed.
    """

    # ------------------------------------------------------------------------------------------------ construction

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        self._options(None, {}).check()
        if self._given() is None:
            self._opened()
        if self.cache is not False and not isinstance(self.cache, CompletedAnswers):
            self.cache = CompletedAnswers(self.cache if not isinstance(self.cache, bool) else None)
        return self

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

    # -------------------------------------------------------------------------------------------------- generation

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk, None, None]:
        model, payer, options, turns = self._read_call(messages, stop, kwargs)
        with overflow_told():
            guardrail = self._present(model, payer)
            yield from _pieces(guardrail, options.within(guardrail), turns)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        model, payer, options, turns = self._read_call(messages, stop, kwargs)
        guardrail = self._given(model) or await self._opened(model).current_async(payer)
        with overflow_told():
            request = options.within(guardrail).ask(turns)
            async with aclosing(guardrail.astream(request, options.timeout)) as chunks:
                async for chunk in chunks:
                    for piece in generation_chunks(chunk, request.notation):
                        yield piece

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model, payer, options, turns = self._read_call(messages, stop, kwargs)
        guardrail = self._present(model, payer)
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
        return _together(await together([agenerate_from_stream(stream) for stream in streams]))

    def _read_call(
        self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, Any]
    ) -> tuple[str | None, AccountKey, CallOptions, tuple[Message, ...]]:
        """The model that a call names, who pays for it, what it asks for, and its messages."""
        named = as_named_here(given)
        model, payer = named.pop("model", None), self._payer(named)
        return model, payer, self._options(stop, named, payer), messages_of(messages, self._limits())

    def _options(self, stop: list[str] | None, given: dict[str, Any], payer: AccountKey | None = None) -> CallOptions:
        settings = {name: getattr(self, name) for name in CallOptions.model_fields if name not in BESIDES}
        if payer is not None:
            settings |= {"conversation": payer.conversation, "tenant": payer.tenant}
        return call_options(settings, stop, given)

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
        """Tokens the model reads for a conversation: chat template, and what it is told of tools. 0 of nothing."""
        rules, style = self._present().costs.tool_rules if tools else None, self._present().engine.info.tool_format
        form = offered(form_of(tools, None, None, None), rules)
        turns = with_instructions(form, messages_of(messages), style)
        return len(self._encoded(turns, form.notation(style))) if turns else 0

    def _encoded(self, turns: tuple[Message, ...], notation: CallNotation | None = None) -> tuple[int, ...]:
        return self._present().engine.encode(turns, told_to_think(self.reasoning, self.reasoning_effort), notation).ids

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
        told = {
            **self._identifying_params,
            **arm,
            **asked,
            "stop_of_call": stop,
            "guard": self._hashes(),
            "form": self.output_version,
        }
        return repr(sorted(told.items()))

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
    """A guarded chat model by names, as `init_chat_model` makes others; "ig-guardrail:" before the model is dropped.

    Raises ModelError for a model of another provider, such as "openai:gpt-4o", which is decoded elsewhere.
    """
    name = str(model).removeprefix(f"{PROVIDER}:")
    provider, colon, _ = name.partition(":")
    if colon and len(provider) > 1 and "/" not in provider and not Path(name).exists():
        raise ModelError(
            f"{provider!r:.80} is another provider",
            where=f"model {name!r:.80}",
            why="its answers are decoded elsewhere, and not by a model on this machine",
            fix=f"guard it from outside: GuardedChatModel(inner=init_chat_model({name!r:.80}), policy=...)",
        )
    return ChatIGGuardrail(model=name, policy=policy, **settings)


def _pieces(guardrail: Guardrail, options: CallOptions, turns: tuple[Message, ...]) -> Iterator[ChatGenerationChunk]:
    request = options.ask(turns)
    with closing(guardrail.stream(request, options.timeout)) as chunks:
        for chunk in chunks:
            yield from generation_chunks(chunk, request.notation)


def _together(results: Sequence[ChatResult]) -> ChatResult:
    """Several answers to one request."""
    return ChatResult(generations=[one for result in results for one in result.generations])
