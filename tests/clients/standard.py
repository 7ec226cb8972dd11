"""LangChain's acceptance tests with `ChatOpenAI` as their model, and our server behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import httpx2
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI

from ig_guardrail.guardrail import Guardrail
from tests.unit.server.serving import MODEL, running, server_of

WARNED = [  # of what LangChain and OpenAI's client do among themselves
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema:UserWarning"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
]


class ThroughChatOpenAI:
    """What OpenAI's own client of LangChain makes of the server; the guardrail is left to say.

    It stands before the tests, and is none itself: they may be reached by one way alone.
    """

    asked: ClassVar[dict[str, Any]] = {}
    clients: ClassVar[dict[str, Any]] = {}

    @classmethod
    def guardrail(cls) -> Guardrail:
        raise NotImplementedError

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _serving(cls) -> Iterator[None]:
        with running(server_of(guardrails={"only": cls.guardrail()})) as socket:
            plain = httpx2.Client(transport=httpx2.HTTPTransport(uds=socket), timeout=600)
            side = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=socket), timeout=600)
            cls.clients = {"http_client": plain, "http_async_client": side}
            with plain:
                yield

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        served = {"model": MODEL, "base_url": "http://localhost/v1", "api_key": "none", "stream_usage": True}
        return {**served, "max_retries": 0, **self.asked, **self.clients}

    @property
    def model_override_value(self) -> str:
        return f"{MODEL}:only"
