"""Responses that are kept, so that later ones may go on from them: in memory, or where the ledger is."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from langchain_core.messages import BaseMessage

from ig_guardrail.integrations.openai_server.faults import unfit

GIVEN = ("completed", "incomplete")  # the status of a response that came to its end

Where: TypeAlias = Literal["auto", "memory", "ledger"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept for each tenant: responses, bytes of them as JSON, and seconds after which one is forgotten.

    where: in memory, or in the PostgreSQL database of the ledger, which replicas share. `auto` is memory for one
           process; for replicas the database, or nothing where the ledger is in a file
    """

    count: int = 1_000
    bytes: int = 64_000_000
    seconds: float = 86_400.0
    where: Where = "auto"


@dataclass(frozen=True, slots=True)
class Stored:
    """A response, and what it takes to go on from it.

    body          as it was told
    messages      of its conversation, itself included; without instructions, which hold for one response
    conversation  whose budgets its chain spends
    input         items of its conversation, itself not included
    events        of one that was given in the background, from the first
    """

    body: Mapping[str, Any]
    messages: tuple[BaseMessage, ...]
    conversation: str
    input: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()

    @property
    def given(self) -> bool:
        """Whether it came to its end; one that failed or was cancelled did not."""
        return self.body["status"] in GIVEN


class ResponseStore(Protocol):
    """Responses by tenant and id; no tenant finds another's. Past its bounds a tenant's oldest are forgotten."""

    @property
    def keeps(self) -> bool:
        """Whether anything is kept."""

    async def find(self, tenant: str | None, name: str) -> Stored | None:
        """A response that is kept."""

    async def holder(self, tenant: str | None, item: str) -> Stored | None:
        """The response that is kept and has an item in its output."""

    async def keep(self, tenant: str | None, one: Stored) -> None:
        """Keep a response; one that alone is larger than the bounds is not kept."""

    async def forget(self, tenant: str | None, name: str) -> bool:
        """Forget a response; whether there was one. What it charged stays charged."""


@dataclass(slots=True)
class _Shelf:
    """What is kept for one tenant, the oldest first.

    sizes    in bytes, with when each was kept
    holders  in which response each item stands
    """

    kept: OrderedDict[str, Stored] = field(default_factory=OrderedDict)
    sizes: dict[str, tuple[int, float]] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    bytes: int = 0

    def drop(self, name: str) -> None:
        for item in self.kept.pop(name).body["output"]:
            self.holders.pop(item["id"], None)
        self.bytes -= self.sizes.pop(name)[0]


class MemoryStore:
    """A `ResponseStore` of one process, used by its event loop alone."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._shelves: dict[str | None, _Shelf] = {}

    @property
    def keeps(self) -> bool:
        return self._bounds.count > 0

    async def find(self, tenant: str | None, name: str) -> Stored | None:
        return self._shelf(tenant).kept.get(name)

    async def holder(self, tenant: str | None, item: str) -> Stored | None:
        shelf = self._shelf(tenant)
        return shelf.kept[shelf.holders[item]] if item in shelf.holders else None

    async def keep(self, tenant: str | None, one: Stored) -> None:
        shelf, name = self._shelf(tenant), one.body["id"]
        size = size_of(one)
        if size > self._bounds.bytes:
            return
        shelf.kept[name] = one
        shelf.sizes[name] = (size, self._clock())
        shelf.holders.update((item["id"], name) for item in one.body["output"])
        shelf.bytes += size
        while len(shelf.kept) > self._bounds.count or shelf.bytes > self._bounds.bytes:
            shelf.drop(next(iter(shelf.kept)))

    async def forget(self, tenant: str | None, name: str) -> bool:
        shelf = self._shelf(tenant)
        found = name in shelf.kept
        if found:
            shelf.drop(name)
        return found

    def _shelf(self, tenant: str | None) -> _Shelf:
        """What of a tenant's is young enough."""
        shelf = self._shelves.setdefault(tenant, _Shelf())
        while shelf.kept:
            oldest = next(iter(shelf.kept))
            if self._clock() - shelf.sizes[oldest][1] <= self._bounds.seconds:
                break
            shelf.drop(oldest)
        return shelf


def size_of(one: Stored) -> int:
    """Characters of a response as JSON, and of its whole conversation, though the responses of a chain share that."""
    items = len(json.dumps(one.input, default=str)) + len(json.dumps(one.events, default=str))
    return len(json.dumps(one.body, default=str)) + items + sum(map(_length, one.messages))


def _length(message: BaseMessage) -> int:
    said, beside = message.content, [message.additional_kwargs, getattr(message, "tool_calls", ())]
    words = len(said) if isinstance(said, str) else len(json.dumps(said, default=str))
    return words + len(json.dumps(beside, default=str))


def lost(name: str, param: str | None, status: int) -> Exception:
    """Of a response that is not there, whosever it is."""
    code = "previous_response_not_found" if param else "response_not_found"
    return unfit(f"there is no response '{name:.100}', or no longer", param, code, status)
