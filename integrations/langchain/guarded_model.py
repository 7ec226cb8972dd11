"""`GuardedChatModel`: any other chat model, with a policy between it and its readers.

The other model decodes. This one reads its stream, has the guardrail charge it block by block, and shows what was paid
for. So much of a policy holds as needs no decoding: budgets over text, the prompt check, tool rules, conversations,
messages, and of `search` its block, hold and retries, all counted in pieces of text, of about a word each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.load.serializable import SerializedNotImplemented
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ConfigDict, Field, InstanceOf, PrivateAttr, field_validator, model_validator
from typing_extensions import override

from ig_guardrail import __version__
from ig_guardrail.costs.base import CostModel
from ig_guardrail.drive.request import GenerationRequest, beginning_of, check_language
from ig_guardrail.engine.external.engine import StreamedEngine
from ig_guardrail.errors import RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.answer_cache import CompletedAnswers
from ig_guardrail.integrations.langchain.chat.base import BoundedModel, unwritten
from ig_guardrail.integrations.langchain.checking.text_checks import LONGEST, TextOpening, sampling
from ig_guardrail.integrations.langchain.given.setting_names import serves_instead
from ig_guardrail.integrations.langchain.given.typed_dicts import unmarked
from ig_guardrail.integrations.langchain.inner.answer import errors_of_others
from ig_guardrail.integrations.langchain.inner.call import InnerCall
from ig_guardrail.integrations.langchain.messages.blocks import PROVIDER, EventModel
from ig_guardrail.integrations.langchain.messages.content import unjudged_kinds
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.integrations.langchain.options import spelled, stop_strings
from ig_guardrail.integrations.langchain.payer import PayingModel
from ig_guardrail.integrations.langchain.response_format import BoundTool, notation_of, tool_of
from ig_guardrail.integrations.langchain.structured import call_of, of_calls, parsed
from ig_guardrail.ledger import AccountKey
from ig_guardrail.policy.language.search import PLAIN
from ig_guardrail.rollout.canary import Canary, canary_in
from ig_guardrail.schemas import checkable
from ig_guardrail.settings import AuditFile, Limits
from ig_guardrail.text.calls import shown_length
from ig_guardrail.types import CompiledPolicy

STRUCTURED = ("response_format", "response_schema", "response_mime_type", "format", "json_schema")
"""Options by which other models are asked for JSON. JSON that nobody asked for is known by how it begins."""
PROSE: Sequence[Any] = (None, "", "text", "text/plain", {"type": "text"})  # values of them that ask for none

ONLY_UNJUDGED: Mapping[str, str] = {  # what the other model may take beside text, and as which kind of content
    "image_inputs": "image",
    "audio_inputs": "audio",
    "video_inputs": "video",
    "pdf_inputs": "file",
}


class GuardedChatModel(PayingModel, BoundedModel, EventModel):
    """Another chat model under a policy: its answers are judged, held, and drawn again where they may not be shown.

    No search goes on inside an answer: where the policy denies a block and nothing was shown yet, a whole new answer is
    asked for, up to `retries` times; once something was shown, the answer ends. The host is paid for answers that are
    given up. Raises PolicyError or ModelError at once, the latter where a budget reads hidden states.

    Messages end as those of `ChatIGGuardrail` do. Options of a call are the other model's, but `conversation`, `tenant`
    and `language`. Errors of the other model are raised as they are; if the guard fails, GenerationFailed is.
    """

    model_config = ConfigDict(extra="forbid")

    inner: BaseChatModel = Field(frozen=True)
    """The model that answers. Callbacks of its own see what was not judged."""
    policy: str | Path | InstanceOf[CompiledPolicy] = Field(frozen=True, repr=False)
    """A policy file, the name of a packaged policy, or a compiled policy; its budgets must be over text."""
    reload: bool = Field(default=False, frozen=True, repr=False)
    """Whether a policy file that is changed holds for the requests that begin after that; see `policy_fault`."""
    canary: InstanceOf[Canary] | Mapping[str, Any] | None = Field(default=None, exclude=True, frozen=True, repr=False)
    """Another policy for a share of conversations or tenants, as a `Canary` or a dict of its fields."""
    longest: int = Field(default=LONGEST, ge=1)
    """Pieces of an answer that are read; it is cut there, as at `max_tokens`."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds for one request, all its answers together; without an event loop, looked at between blocks only."""
    language: str = "en"
    """Of the refusal and closing messages."""
    unjudged_blocks: Sequence[str] = ()
    """Kinds of content that pass although no policy reads them: "image", "audio", "video", "file"."""
    ledger: str | Path | Any = Field(default=None, exclude=True, repr=False, frozen=True)
    """Where conversations are kept: a SQLite file, postgresql://..., or a ledger; None is this process's memory."""

    cost_models: Mapping[str, InstanceOf[CostModel]] = Field(
        default_factory=dict, exclude=True, repr=False, frozen=True
    )
    """What the policy leaves to the program (`kind: provided`), by name."""
    audit: str | Path | AuditFile | None = Field(default=None, exclude=True, repr=False, frozen=True)
    """An audit log, in which a line is written for every answer before its end is delivered; without texts."""

    _opened: TextOpening = PrivateAttr()

    @field_validator("inner", mode="before")
    @classmethod
    def _check_inner(cls, given: Any) -> BaseChatModel:
        if isinstance(given, BaseChatModel):
            return given
        raise RequestError(
            f"inner is {given!r:.40}" if isinstance(given, str | None) else f"inner is a {type(given).__name__}",
            where="GuardedChatModel",
            why="what is guarded is a chat model itself: its stream is read, and its tools are bound anew",
            fix="give the model as it is made, such as init_chat_model('openai:gpt-4o'), and put what is around it "
            "(bind, with_retry, with_fallbacks) around the guarded one",
        )

    @field_validator("unjudged_blocks", mode="before")
    @classmethod
    def _check_unjudged(cls, given: Any) -> Any:
        return tuple(unjudged_kinds(given))

    @field_validator("canary", mode="before")
    @classmethod
    def _read_canary(cls, given: Any) -> Canary | None:
        return canary_in(given)

    @override
    @classmethod
    def _instead(cls, name: str) -> str:
        otherwise = (
            "what the other model is to do is said where it is made: GuardedChatModel(inner=ChatOpenAI(...), ...)"
        )
        return serves_instead(name, cls.model_fields, {}, otherwise)

    @model_validator(mode="after")
    def _open(self) -> Self:
        check_language(self.language)
        one_answer(getattr(self.inner, "n", None), "inner")
        arms = canary_in(self.canary)
        self._opened = TextOpening(self.policy, self.ledger, self.cost_models, self.audit, self.reload, arms)
        if self.cache is not False and not isinstance(self.cache, CompletedAnswers):
            self.cache = CompletedAnswers(self.cache if not isinstance(self.cache, bool) else None)
        return self

    # -------------------------------------------------------------------------------------------------- generation

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk, None, None]:
        payer = self._payer(kwargs)
        guardrail = self._opened.current(payer)
        ask = self._ask(guardrail, payer, messages, stop, kwargs)
        asking = InnerCall(self.inner, messages, stop, kwargs)
        stream = guardrail.over(StreamedEngine(self._name(), asking.pulled)).stream(ask, self.timeout)
        with errors_of_others(), closing(stream) as chunks:
            for chunk in chunks:
                yield from asking.chunks(chunk)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        payer = self._payer(kwargs)
        guardrail = await self._opened.current_async(payer)
        ask = self._ask(guardrail, payer, messages, stop, kwargs)
        asking = InnerCall(self.inner, messages, stop, kwargs)
        stream = guardrail.over(StreamedEngine(self._name(), asking.awaited)).astream(ask, self.timeout)
        try:
            with errors_of_others():
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        for piece in asking.chunks(chunk):
                            yield piece
        finally:
            await asking.closed()

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, **kwargs))

    def _ask(
        self,
        guardrail: Guardrail,
        payer: AccountKey,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        given: dict[str, Any],
    ) -> GenerationRequest:
        """The request to the guardrail. Takes out of `given` what is not for the other model."""
        one_answer(given.get("n"), "n")
        language = given.pop("language", None) or self.language
        turns = messages_of(messages, guardrail.limits, unjudged=frozenset(self.unjudged_blocks), elsewhere=True)
        if beginning_of(turns):
            raise RequestError(
                "the conversation ends with a message of the assistant",
                where="messages",
                why="the other model may go on from it or not, so it is not known what is to be judged as one answer",
                fix="end with a message of the user",
            )
        return GenerationRequest(
            turns,
            sampling(self.longest, stop_strings(stop)),
            _possible(guardrail.policy.search.strategy),
            language,
            unit=shown_length,
            prose="response_format" not in given,
            json=any(given.get(option) not in PROSE for option in STRUCTURED),
            conversation=payer.conversation,
            tenant=payer.tenant,
            notation=notation_of(given.get("tools") or ()),
        )

    @override
    async def _prepare(self, options: Mapping[str, Any]) -> None:
        if self.reload:
            await asyncio.to_thread(self._opened.current)

    @override
    def _limits(self) -> Limits:
        return self._opened.current().limits

    @property
    def policy_fault(self) -> str | None:
        """With `reload`, why the policy's file, as it stands now, is not in force; None if it is."""
        return self._opened.fault

    # ----------------------------------------------------------------------------------------------- tools, schemas

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools it may call; read, offered and chosen from as the other model's `bind_tools` does it."""
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        self.inner.bind_tools(tools, **choice, **kwargs)  # what it cannot read, it says now
        return self.bind(tools=[BoundTool.of(tool) for tool in tools], **choice, **kwargs)

    @override
    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, method: str = "function_calling", **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """The model with a parser behind it: values of `schema`, written as the arguments of a call.

        Raises RequestError for another method, and for a JSON Schema by which no value can be checked. When called,
        raises AnswerRefused where the policy let no such answer through, AnswerCut where the answer holds no whole
        call, or one that breaks its schema.
        """
        if method != "function_calling":
            raise RequestError(
                f"method is {method!r}",
                where="with_structured_output",
                why="a form cannot be enforced on a model that is not decoded here",
                fix="use 'function_calling', or bind the other model's `response_format` and parse the text",
            )
        tool = tool_of(schema)
        parses = isinstance(schema, type) and is_basemodel_subclass(schema)
        if not parses:
            checkable(tool.parameters)
        asked = unmarked(schema)
        form = {"kwargs": {"method": method}, "schema": asked}
        bound = self.bind_tools([asked], tool_choice=tool.name, ls_structured_output_format=form, **kwargs)
        demand = call_of(tool.name, None if parses else tool.parameters)
        return parsed(bound, of_calls(schema, tool.name), demand, include_raw)

    # --------------------------------------------------------------------------------------------- the other model's

    @override
    def _resolve_model_profile(self) -> ModelProfile:
        theirs: dict[str, Any] = {**(self.inner.profile or {})}
        kept = {
            name: theirs[name]
            for name, kind in ONLY_UNJUDGED.items()
            if kind in self.unjudged_blocks and name in theirs
        }
        return ModelProfile(**{**theirs, **dict.fromkeys(ONLY_UNJUDGED, False), **kept})  # type: ignore[typeddict-item]

    @override
    def get_token_ids(self, text: str) -> list[int]:
        """Ids of a text by the other model's tokenizer."""
        return self.inner.get_token_ids(text)

    @override
    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Tokens that the other model reads for a conversation."""
        return self.inner.get_num_tokens_from_messages(messages, tools)

    def _name(self) -> str:
        return self.inner._get_ls_params().get("ls_model_name") or self.inner.get_name()

    # --------------------------------------------------------------------------------------------------- identity

    @property
    @override
    def _llm_type(self) -> str:
        return f"{PROVIDER}-guarded"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        """What tells two models apart in traces and caches."""
        guardrail = self._opened.current()
        policy = guardrail.policy
        return {
            "inner": self.inner._identifying_params,
            "model": self._name(),
            "policy": policy.name,
            "policy_sha256": policy.sha256,
            "cost_models": sorted(guardrail.costs.hashes.values()),
            "longest": self.longest,
            "language": self.language,
            "unjudged_blocks": sorted(self.unjudged_blocks),
            "version": __version__,
        }

    @override
    def to_json_not_implemented(self) -> SerializedNotImplemented:
        return unwritten(self, self._name())

    @override
    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The key of a cached answer: the other model's, and all of the above."""
        payer = self._payer(kwargs)  # what is charged to a payer is never cached
        arm = {} if self.canary is None else {"policy_sha256": self._opened.policy(payer).sha256}
        asked = {name: value for name, value in kwargs.items() if name != "tools" and spelled(name, value)}
        return repr(
            [
                self.inner._get_llm_string(stop, **asked),
                spelled("tools", [BoundTool.of(tool) for tool in kwargs.get("tools") or ()]),
                self.output_version,
                sorted({**self._identifying_params, **arm}.items()),
            ]
        )

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        self._payer(kwargs)
        return {**self.inner._get_ls_params(stop, **kwargs), "ls_provider": PROVIDER}


def _possible(strategy: str) -> str:
    """What stands for a strategy where a model cannot go on from a given prefix, and has one lane."""
    if strategy == "trace_shield":
        return strategy
    return "cut" if strategy in PLAIN else "resample"


def one_answer(asked: Any, where: str) -> None:
    """Raises RequestError where the other model is to give several answers to one request."""
    if isinstance(asked, int) and asked > 1:
        raise RequestError(
            f"{asked} answers to one request are asked for (n={asked})",
            where=where,
            why="another model's stream mixes them, and each has to be judged by itself",
            fix="leave out n, and ask several times, as with `batch`",
        )
