"""What is kept of responses: bounded by count, bytes and age, for each tenant alone."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from ig_guardrail.integrations.openai_server.stored import Bounds, ResponseStore, Stored


def kept(name: str, text: str = "hi") -> Stored:
    return Stored({"id": name, "output": [{"id": f"msg_{name}"}]}, (HumanMessage(text),), "talk")


def names(store: ResponseStore, tenant: str = "a") -> list[str]:
    return [name for name in "12345" if store.find(tenant, name) is not None]


def test_the_oldest_are_forgotten_first() -> None:
    store = ResponseStore(Bounds(count=2))
    for name in "123":
        store.keep("a", kept(name))
    store.keep("b", kept("4"))
    assert names(store) == ["2", "3"]
    assert names(store, "b") == ["4"]
    assert store.holder("a", "msg_1") is None
    assert store.holder("a", "msg_3") is store.find("a", "3")
    assert store.holder("b", "msg_3") is None


def test_bytes_are_bounded() -> None:
    store = ResponseStore(Bounds(bytes=1_000))
    for name in "123":
        store.keep("a", kept(name, "x" * 400))
    assert names(store) == ["2", "3"]
    store.keep("a", kept("4", "x" * 2_000))
    assert names(store) == ["2", "3"]
    store.forget("a", "2")
    store.keep("a", kept("5", "x" * 400))
    assert names(store) == ["3", "5"]


def test_what_is_too_old_is_forgotten() -> None:
    now = [0.0]
    store = ResponseStore(Bounds(seconds=10), clock=lambda: now[0])
    store.keep("a", kept("1"))
    now[0] = 6.0
    store.keep("a", kept("2"))
    assert names(store) == ["1", "2"]
    now[0] = 11.0
    assert names(store) == ["2"]
    assert not store.forget("a", "1")
    assert store.forget("a", "2")
    assert names(store) == []
