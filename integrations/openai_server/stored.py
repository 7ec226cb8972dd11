"""Responses that are kept in memory, so that later ones may go on from them."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import BaseMessage

from ig_guardrail.integrations.openai_server.background import Given
from ig_guardrail.integrations.openai_server.faults import unfit

GIVEN = ("completed", "incomplete")  # the status of a response that came to its end


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept for each tenant: responses, bytes of them as JSON, and seconds after which one is forgotten."""

    count: int = 1_000
    bytes: int = 64_000_000
    seconds: float = 86_400.0


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


class ResponseStore:
    """Responses by tenant and id; no tenant finds another's. Past its bounds a tenant's oldest are forgotten.

    Used by the server's event loop alone.
    """

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._shelves: dict[str | None, _Shelf] = {}
        self._given: dict[tuple[str | None, str], Given] = {}

    @property
    def keeps(self) -> bool:
        """Whether anything is kept."""
        return self._bounds.count > 0

    def begin(self, tenant: str | None, name: str, given: Given) -> None:
        """Have a response that is being given be found; `keep` ends that."""
        self._given[tenant, name] = given

    def in_progress(self, tenant: str | None, name: str) -> Given | None:
        """A response that is being given in the background."""
        return self._given.get((tenant, name))

    def find(self, tenant: str | None, name: str) -> Stored | None:
        """A response that is kept."""
        return self._shelf(tenant).kept.get(name)

    def holder(self, tenant: str | None, item: str) -> Stored | None:
        """The response that is kept and has an item in its output."""
        shelf = self._shelf(tenant)
        return shelf.kept[shelf.holders[item]] if item in shelf.holders else None

    def keep(self, tenant: str | None, one: Stored) -> None:
        """Keep a response; one that alone is larger than the bounds is not kept."""
        shelf, name = self._shelf(tenant), one.body["id"]
        self._given.pop((tenant, name), None)
        size = _size(one)
        if size > self._bounds.bytes:
            return
        shelf.kept[name] = one
        shelf.sizes[name] = (size, self._clock())
        shelf.holders.update((item["id"], name) for item in one.body["output"])
        shelf.bytes += size
        while len(shelf.kept) > self._bounds.count or shelf.bytes > self._bounds.bytes:
            shelf.drop(next(iter(shelf.kept)))

    def forget(self, tenant: str | None, name: str) -> bool:
        """Forget a response; whether there was one. What it charged stays charged."""
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


def _size(one: Stored) -> int:
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
