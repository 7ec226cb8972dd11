"""The engines of this process, each loaded once: weights are too large to hold twice."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from ig_guardrail.errors import ModelError
from ig_guardrail.threads.locks import ForkSafeLock, Home


class Closable(Protocol):
    """An engine that may have been shut down."""

    @property
    def closed(self) -> bool: ...


E = TypeVar("E", bound=Closable)


class Slot(Generic[E]):
    """One engine of the registry, and the lock under which it is loaded."""

    def __init__(self) -> None:
        self.lock = ForkSafeLock()
        self.engine: E | None = None


class Registry(Generic[E]):
    """Engines by what they were opened by, each loaded at its first use, once, whoever asks first."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._home: Home | None = None
        self._slots: dict[Hashable, Slot[E]] = {}

    def get(self, key: Hashable, load: Callable[[], E]) -> E:
        """The engine of `key`; loaded if there is none, or if it was shut down.

        Raises ModelError if this process was forked from one that has loaded a model.
        """
        with self._lock:
            self._home = self._home or Home()
            if self._home.left:
                raise ModelError(
                    "this process was forked after a model was loaded, so it cannot load one",
                    where="model",
                    why="the threads that compute do not live in a fork, and it would wait for them for ever",
                    fix="load the first model after the fork, or start processes by 'spawn'",
                )
            slot = self._slots.setdefault(key, Slot())
        with slot.lock:
            if slot.engine is None or slot.engine.closed:
                slot.engine = load()
            return slot.engine
