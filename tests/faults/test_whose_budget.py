"""Whose budget a call spends: no caller says so, and going back, copying and delegating give nothing back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ConfigurableField, RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.guard_runnable import GuardRunnable
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import CompiledPolicy
from tests.golden.conversations import POLITE, RUDE, compiled
from tests.unit.langchain.obliging import obliging_guardrail
from tests.unit.langchain.teller import teller

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SAYS = {"Be rude.": RUDE}


def policy(scope: str) -> CompiledPolicy:
    """One rude answer costs 0.5 of the 0.6 that all answers of a conversation, or of a tenant, may cost."""
    text = POLITE.replace("every: 4}", f"every: 4, budget: 0.6, scope: {scope}}}").replace("budget: 0.0, ", "")
    return compiled(text)


def chat(scope: str, **settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=obliging_guardrail(SAYS, policy(scope)), seed=7, **settings)


def guarded(scope: str, **settings: Any) -> GuardedChatModel:
    return GuardedChatModel(inner=teller(RUDE), policy=policy(scope), **settings)


MODELS = pytest.mark.parametrize("make", [chat, guarded])
Make = Callable[..., BaseChatModel]


def rude(message: Any) -> bool:
    return "blockhead" in message.text


def asked(model: Any, **configurable: Any) -> bool:
    return rude(model.invoke("Be rude.", {"configurable": configurable}))


# ---------------------------------------------------------------------------------------------------------- tenants


@MODELS
def test_a_tenant_in_the_config_is_not_believed(make: Make) -> None:
    with pytest.raises(RequestError, match="no tenant is named"):
        asked(make("tenant"), tenant="acme")
    fixed = make("tenant", tenant="fixed")
    assert [asked(fixed, tenant=f"n{turn}") for turn in range(3)] == [True, False, False]
    with pytest.raises(RequestError, match="a call names another tenant"):
        fixed.invoke("Be rude.", tenant="victim")


@MODELS
def test_a_tenant_is_told_on_the_servers_side(make: Make) -> None:
    def owner(config: RunnableConfig) -> str | None:
        user = config["configurable"].get("user")
        return {"ann": "acme", "bob": "acme", "eve": "other"}.get(user)

    model = make("tenant", tenant_of=owner)
    assert [asked(model, user=user, tenant="fresh") for user in ("ann", "bob", "eve")] == [True, False, True]
    with pytest.raises(RequestError, match="no tenant is named"):
        asked(model, user="nobody")
    with pytest.raises(RequestError, match="a call names another tenant"):
        model.invoke("Be rude.", {"configurable": {"user": "ann"}}, tenant="fresh")


@MODELS
def test_a_key_of_the_config_is_believed_where_the_host_names_it(make: Make) -> None:
    model = make("tenant", tenant_key="account")
    assert [asked(model, account=name) for name in ("a", "a", "b")] == [True, False, True]


@pytest.mark.parametrize(
    ("tenant_of", "match"),
    [
        (lambda _: 1 / 0, "raised ZeroDivisionError"),
        (lambda _: 5, "returned int"),
        (lambda _: "", "tenant is 0 characters"),
    ],
)
def test_a_tenant_that_cannot_be_told_is_no_tenant(tenant_of: Any, match: str) -> None:
    with pytest.raises(RequestError, match=match):
        asked(chat("tenant", tenant_of=tenant_of))


def test_a_tenant_is_told_in_one_way() -> None:
    with pytest.raises(RequestError, match="both tenant and tenant_key"):
        chat("tenant", tenant="a", tenant_key="b")
    with pytest.raises(RequestError, match="both tenant and tenant_of"):
        GuardRunnable(policy("tenant"), tenant="a", tenant_of=lambda _: "b")


def test_a_chains_guard_asks_no_caller_either() -> None:
    said = {"configurable": {"tenant": "n1", "owner": "acme"}}
    with pytest.raises(RequestError, match="no tenant is named"):
        GuardRunnable(policy("tenant")).invoke(RUDE, said)
    first = GuardRunnable(policy("tenant"), tenant_key="owner").invoke(RUDE, said)
    again = GuardRunnable(policy("tenant"), tenant="acme").invoke(RUDE, said)
    assert ["blockhead" in text for text in (first, again)] == [True, False]


# ----------------------------------------------------------------------------------------------------- direct calls

CONFIG: Any = {"configurable": {"thread_id": "t"}}


def _stream(model: Any, **call: Any) -> str:
    return "".join(piece.text for piece in model.stream("Be rude.", CONFIG, **call))


async def _astream(model: Any, **call: Any) -> str:
    return "".join([piece.text async for piece in model.astream("Be rude.", CONFIG, **call)])


async def _astream_events(model: Any, **call: Any) -> str:
    events = model.astream_events("Be rude.", CONFIG, version="v2", **call)
    return "".join([one["data"]["chunk"].text async for one in events if one["event"] == "on_chat_model_stream"])


async def _v3(model: Any, **call: Any) -> str:
    stream = await model.astream_events("Be rude.", CONFIG, version="v3", **call)
    return str((await stream).text)


async def _ainvoke(model: Any, **call: Any) -> str:
    return str((await model.ainvoke("Be rude.", CONFIG, **call)).text)


async def _abatch(model: Any, **call: Any) -> str:
    return str((await model.abatch(["Be rude."], CONFIG, **call))[0].text)


WAYS: dict[str, Callable[..., Any]] = {
    "invoke": lambda model, **call: model.invoke("Be rude.", CONFIG, **call).text,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
    "batch": lambda model, **call: model.batch(["Be rude."], [CONFIG], **call)[0].text,
    "abatch": _abatch,
    "events": _astream_events,
    "protocol events": lambda model, **call: str(
        model.stream_events("Be rude.", CONFIG, version="v3", **call).output.text
    ),
    "protocol events, awaited": _v3,
    "bound": lambda model, **call: model.bind(stop=["never"], **call).invoke("Be rude.", CONFIG).text,
    "with a config": lambda model, **call: model.with_config(CONFIG).invoke("Be rude.", **call).text,
    "chain": lambda model, **call: (RunnableLambda(str) | model.bind(**call)).invoke("Be rude.", CONFIG).text,
}


@pytest.mark.slow
@MODELS
@pytest.mark.parametrize("way", WAYS)
async def test_a_model_called_directly_takes_the_conversation_from_its_config(make: Make, way: str) -> None:
    async def said(**call: Any) -> bool:
        found = WAYS[way](model, **call)
        text = await found if hasattr(found, "__await__") else found
        return "blockhead" in text

    model = make("conversation")
    assert [await said(), await said()] == [True, False]
    assert not rude(model.invoke("Be rude.", conversation="t")), "every way spends the budget of one conversation"
    assert [await said(conversation="u"), await said(conversation="u")] == [True, False]


@MODELS
def test_no_cached_answer_spares_a_conversation_its_charge(make: Make) -> None:
    model = make("conversation", cache=InMemoryCache())
    assert [asked(model, thread_id=name) for name in ("t", "t", "u", "u")] == [True, False, True, False]


@MODELS
def test_answers_that_share_nothing_are_cached_whoever_asks(make: Make) -> None:
    cache = InMemoryCache()
    model = make("response", cache=cache)
    for name in ("t", "u"):
        assert asked(model, thread_id=name)
    assert len(cache._cache) == 1


# ------------------------------------------------------------------------------------------------------------ agents

RULES = policy("conversation")


def agent(model: Any = None, tools: Any = (), saver: Any = None) -> Any:
    checkpointer = saver or InMemorySaver()
    chosen = model or chat("conversation")
    return create_agent(chosen, list(tools), middleware=[GuardrailMiddleware(RULES)], checkpointer=checkpointer)


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


def run(one: Any, text: str = "Be rude.", name: str = "t", **state: Any) -> bool:
    return rude(one.invoke({"messages": [HumanMessage(text)], **state}, thread(name))["messages"][-1])


def test_an_agents_input_does_not_name_the_conversation() -> None:
    one = agent()
    assert "guarded_conversation" not in one.get_input_jsonschema()["properties"]
    assert "guarded_conversation" not in one.get_output_jsonschema()["properties"]
    assert [run(one, guarded_conversation=f"fresh-{turn}") for turn in range(3)] == [True, False, False]


@pytest.mark.slow
def test_neither_a_command_nor_a_change_of_the_state_names_it_anew() -> None:
    one = agent()
    assert run(one)
    command = Command(update={"guarded_conversation": "fresh", "messages": [HumanMessage("Be rude.")]}, goto="model")
    assert not rude(one.invoke(command, thread("t"))["messages"][-1])
    for update in ("fresh", {"__overwrite__": "fresh"}):
        one.update_state(thread("t"), {"guarded_conversation": update}, as_node="model")
        assert not run(one)


def test_a_copy_that_brings_its_messages_along_pays_for_them() -> None:
    one = agent()
    assert run(one)
    one.update_state(thread("copy"), {"messages": one.get_state(thread("t")).values["messages"]})
    assert not run(one, name="copy")


def copied(one: Any, name: str = "copy") -> None:
    """Another thread with the state of t, but its messages."""
    state = one.get_state(thread("t")).values
    one.update_state(thread(name), {**state, "messages": []}, as_node="model")


@MODELS
def test_configured_models_of_an_agent_go_on_with_a_copied_conversation(make: Make) -> None:
    field = "temperature" if make is chat else "language"
    model = make("conversation").configurable_fields(**{field: ConfigurableField(id=field)})  # type: ignore[arg-type]
    one = agent(model)
    assert run(one)
    copied(one)
    assert not run(one, name="copy")


def delegating(inner: Any) -> Any:
    """An agent that hands what it is asked to another model or agent, by a tool."""
    delegated: list[bool] = []

    @tool
    def ask(name: str) -> str:
        """Ask another."""
        found = inner.invoke(
            {"messages": [HumanMessage("Be rude.")]} if hasattr(inner, "get_graph") and _is_graph(inner) else "Be rude."
        )
        last: AIMessage = found["messages"][-1] if isinstance(found, dict) else found
        delegated.append(rude(last))
        return "done"

    says = {**SAYS, "Delegate.": format_call("ask", {"name": "it"}), "done": "It was done."}
    outer = ChatIGGuardrail(guardrail=obliging_guardrail(says, RULES), seed=7)
    return agent(outer, [ask]), delegated


def _is_graph(inner: Any) -> bool:
    return hasattr(inner, "checkpointer")


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("kind", ["agent", pytest.param("model", marks=pytest.mark.slow)])
def test_what_a_tool_asks_spends_the_budget_of_the_conversation_it_runs_in(kind: str, saved: bool) -> None:
    inner: Any = chat("conversation")
    if kind == "agent":
        middleware = [GuardrailMiddleware(RULES)]
        inner = create_agent(inner, [], middleware=middleware, checkpointer=InMemorySaver() if saved else None)
    one, delegated = delegating(inner)
    run(one, "Delegate.")
    assert not run(one)
    copied(one)
    run(one, "Delegate.", "copy")
    run(one, "Delegate.", "fresh")
    assert delegated == [True, False, True]
