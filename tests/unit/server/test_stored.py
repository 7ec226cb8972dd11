"""What is kept of responses: bounded by count, bytes and age, for each tenant alone."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from ig_guardrail.integrations.openai_server.stored import Bounds, MemoryStore, ResponseStore, Stored


def kept(name: str, text: str = "hi") -> Stored:
    return Stored({"id": name, "output": [{"id": f"msg_{name}"}]}, (HumanMessage(text),), "talk")


async def names(store: ResponseStore, tenant: str = "a") -> list[str]:
    return [name for name in "12345" if await store.find(tenant, name) is not None]


async def keep(store: ResponseStore, *names: str, length: int = 2, tenant: str = "a") -> None:
    for name in names:
        await store.keep(tenant, kept(name, "x" * length))


async def demand_the_oldest_forgotten(store: ResponseStore) -> None:
    """Of a store that is to keep two."""
    await keep(store, "1", "2", "3")
    await keep(store, "4", tenant="b")
    assert await names(store) == ["2", "3"]
    assert await names(store, "b") == ["4"]
    assert await store.holder("a", "msg_1") is None
    assert await store.holder("a", "msg_3") == await store.find("a", "3") == kept("3", "xx")
    assert await store.holder("b", "msg_3") is None


async def demand_bytes_bounded(store: ResponseStore) -> None:
    """Of a store that is to keep 1,000 bytes."""
    await keep(store, "1", "2", "3", length=400)
    assert await names(store) == ["2", "3"]
    await keep(store, "4", length=2_000)
    assert await names(store) == ["2", "3"]
    assert await store.forget("a", "2")
    assert not await store.forget("b", "3")
    await keep(store, "5", length=400)
    assert await names(store) == ["3", "5"]


async def test_the_oldest_are_forgotten_first() -> None:
    await demand_the_oldest_forgotten(MemoryStore(Bounds(count=2)))


async def test_bytes_are_bounded() -> None:
    await demand_bytes_bounded(MemoryStore(Bounds(bytes=1_000)))


async def test_what_is_too_old_is_forgotten() -> None:
    now = [0.0]
    store = MemoryStore(Bounds(seconds=10), clock=lambda: now[0])
    await keep(store, "1")
    now[0] = 6.0
    await keep(store, "2")
    assert await names(store) == ["1", "2"]
    now[0] = 11.0
    assert await names(store) == ["2"]
    assert not await store.forget("a", "1")
    assert await store.forget("a", "2")
    assert await names(store) == []
