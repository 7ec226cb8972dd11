"""Whose budgets a call spends, and who may say so.

A conversation is named by the call, by the constructor, else by the run's config. A tenant is never the caller's word:
the constructor names it, or has it told from the run's config on the server's side. What `configurable` says of a
tenant counts only where the constructor names the key that it trusts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables.config import RunnableConfig, ensure_config
from pydantic import Field, model_validator
from typing_extensions import override

from ig_guardrail.errors import RequestError
from ig_guardrail.ledger import AccountKey

TenantOf: TypeAlias = Callable[[RunnableConfig], str | None]

NOTED = "__ig_guardrail_conversation"  # of a config's `configurable`; LangGraph keeps such keys out of what it stores


@dataclass(frozen=True, slots=True)
class NotedConversation:
    """The conversation that a run goes on with, noted in its config by our middleware.

    It is an object, and not its name alone, since what a caller sends to a server is never one.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Payers:
    """How the payer of a call is told.

    conversation  of all calls; None: the one noted in the run's config, else its `thread_id`
    tenant        of all calls
    tenant_of     tells it from the run's config
    tenant_key    the key of `configurable` that names it, where whoever sets that key may be trusted
    """

    conversation: str | None = None
    tenant: str | None = None
    tenant_of: TenantOf | None = None
    tenant_key: str | None = None

    def __post_init__(self) -> None:
        """Raises RequestError if a tenant is told in two ways."""
        ways = {"tenant": self.tenant, "tenant_of": self.tenant_of, "tenant_key": self.tenant_key}
        given = [name for name, way in ways.items() if way is not None]
        if len(given) > 1:
            raise RequestError(
                f"both {given[0]} and {given[1]} are given",
                where=given[1],
                why="it would not be known which of them says whose budget is spent",
                fix="give one of them",
            )

    def of(
        self, config: RunnableConfig | None, conversation: str | None = None, tenant: str | None = None
    ) -> AccountKey:
        """Who pays for a call in a run.

        conversation, tenant: what the call itself says. Raises RequestError if it names another tenant than is told, or
        if the tenant cannot be told.
        """
        config = ensure_config(config)
        told = self._tenant(config)
        if tenant is not None and tenant != told and (self.tenant or self.tenant_of or self.tenant_key):
            raise RequestError(
                "a call names another tenant than it is made for",
                where="tenant",
                why="whose budget is spent is said where the model is made",
                fix="leave out `tenant` in the call",
            )
        who = conversation or self.conversation or conversation_of(config)
        return AccountKey(who, tenant if told is None else told)

    def _tenant(self, config: RunnableConfig) -> str | None:
        if self.tenant_of is not None:
            return _told(self.tenant_of, config)
        if self.tenant_key is not None:
            return _text(config.get("configurable", {}).get(self.tenant_key))
        return self.tenant


def conversation_of(config: RunnableConfig | None = None) -> str | None:
    """The conversation that a run belongs to; without a config, the run that this is called in."""
    configurable = ensure_config(config).get("configurable", {})
    noted = configurable.get(NOTED)
    return noted.name if isinstance(noted, NotedConversation) else _text(configurable.get("thread_id"))


def with_conversation(config: RunnableConfig, name: str) -> RunnableConfig:
    """A config of which all that runs under it goes on with a conversation."""
    return {**config, "configurable": {**config.get("configurable", {}), NOTED: NotedConversation(name)}}


class PayingModel(BaseChatModel):
    """A chat model that knows who pays for a call, also where the call's config is given to it and not to a chain."""

    conversation: str | None = None
    """Names the conversation, for budgets that its answers share; by default the thread id of the run's config."""
    tenant: str | None = None
    """Names whom conversations belong to, for budgets that all of them share."""
    tenant_of: Callable[[Any], str | None] | None = Field(default=None, exclude=True, repr=False)
    """Tells the tenant from the config of a run, on the server's side; called once for every call, and not awaited."""
    tenant_key: str | None = None
    """The key of `configurable` that names the tenant, where whoever sets that key may be trusted."""

    @model_validator(mode="after")
    def _check_payers(self) -> Self:
        self._payers()
        return self

    @override
    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, stop: Any = None, **kwargs: Any
    ) -> AIMessage:
        return super().invoke(input, config, stop=stop, **self._paid(config, kwargs))

    @override
    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, stop: Any = None, **kwargs: Any
    ) -> AIMessage:
        return await super().ainvoke(input, config, stop=stop, **self._paid(config, kwargs))

    @override
    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, stop: Any = None, **kwargs: Any
    ) -> Generator[AIMessageChunk, None, None]:
        yield from super().stream(input, config, stop=stop, **self._paid(config, kwargs))

    @override
    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, stop: Any = None, **kwargs: Any
    ) -> AsyncGenerator[AIMessageChunk, None]:
        await self._prepare(kwargs)
        chunks = super().astream(input, config, stop=stop, **self._paid(config, kwargs))
        async with aclosing(cast(Any, chunks)):
            async for chunk in chunks:
                yield chunk

    @override
    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        await self._prepare(kwargs)
        return await super().agenerate(messages, *args, **kwargs)

    async def _prepare(self, options: Mapping[str, Any]) -> None:
        """Read in a thread what LangChain asks for on the event loop: by what traces and caches know a call."""

    @override
    def stream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return super().stream_events(input, config, **self._paid(config, kwargs))

    @override
    def astream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        if kwargs.get("version") == "v3":
            return self._protocol_events(input, config, kwargs)
        return super().astream_events(input, config, **self._paid(config, kwargs))  # which asks `astream`

    async def _protocol_events(self, input: Any, config: RunnableConfig | None, given: dict[str, Any]) -> Any:
        await self._prepare(given)
        return await super().astream_events(input, config, **self._paid(config, given))

    @override
    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """What handlers are told of a call: its settings, and not who pays for it."""
        told = super()._get_invocation_params(stop, **kwargs)
        return {name: value for name, value in told.items() if name != "payer"}

    def _paid(self, config: RunnableConfig | None, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a call, with its payer among them in place of names."""
        options = dict(given)
        return {**options, "payer": self._payer(options, config)}

    def _payer(self, options: dict[str, Any], config: RunnableConfig | None = None) -> AccountKey:
        """Who pays; takes out of a call's options what says so."""
        if isinstance(options.get("payer"), AccountKey):
            payer: AccountKey = options.pop("payer")
            return payer
        conversation, tenant = options.pop("conversation", None), options.pop("tenant", None)
        return self._payers().of(config, conversation, tenant)

    def _payers(self) -> Payers:
        return Payers(self.conversation, self.tenant, self.tenant_of, self.tenant_key)


def _told(tenant_of: TenantOf, config: RunnableConfig) -> str | None:
    try:
        tenant = tenant_of(config)
    except Exception as error:
        raise RequestError(
            f"the tenant of a call cannot be told: tenant_of raised {type(error).__name__}",
            where="tenant_of",
            why="without it, it would not be known whose budget is spent",
            fix="let it return a name, or None where there is no tenant",
        ) from error
    if tenant is not None and not isinstance(tenant, str):
        raise RequestError(
            f"tenant_of returned {type(tenant).__name__}",
            where="tenant_of",
            why="a tenant is named by text",
            fix="let it return a string, or None; it is not awaited",
        )
    return tenant


def _text(name: object) -> str | None:
    return None if name is None else str(name)
