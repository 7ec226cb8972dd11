"""A guardrail that is opened when first needed, once, whichever thread comes first; it may follow its policy file."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.threads import ForkSafeLock
from ig_guardrail.types import CompiledPolicy, GenerationDefaults

if TYPE_CHECKING:
    from ig_guardrail.reload import ReloadingGuardrail, Seen


class LazyGuardrail:
    """Reads the policy at first use of either, the weights at first use of the guardrail; keeps both."""

    def __init__(self, spec: GuardrailSpec) -> None:
        self.spec = spec
        self._lock = ForkSafeLock(threading.RLock)
        self._policy: CompiledPolicy | None = None
        self._guardrail: Guardrail | None = None
        self._reloading: ReloadingGuardrail | None = None
        self._seen: Seen = None
        self._defaults: GenerationDefaults | None = None

    def policy(self) -> CompiledPolicy:
        """The compiled policy. Raises PolicyError with every fault, RequestError where a file is needed."""
        from ig_guardrail.policy import load_policy
        from ig_guardrail.reload import path_of, state_of

        with self._lock:
            if self._reloading is not None:
                return self._reloading.current().policy
            if self._policy is None:
                self._seen = state_of(path_of(self.spec)) if self.spec.reload else None
                self._policy = load_policy(self.spec.policy)
            return self._policy

    def fault(self) -> str | None:
        """Why the policy's file, as it stands now, is not in force."""
        return None if self._reloading is None else self._reloading.fault

    def defaults(self) -> GenerationDefaults:
        """How the model's makers would sample it, by its files; empty while these are not on this machine."""
        from ig_guardrail.engine.loading.generation import read_defaults

        with self._lock:
            if self._guardrail is not None:
                return self._guardrail.engine.info.defaults
            if self._defaults is None:
                self._defaults = read_defaults(self.spec.model, self.spec.revision)
            return self._defaults

    def guardrail(self) -> Guardrail:
        """The guardrail, opened. Raises PolicyError, ModelError, HeadMismatch."""
        from ig_guardrail.assembly import open_guardrail
        from ig_guardrail.reload import ReloadingGuardrail

        if self._reloading is not None:
            return self._reloading.current()
        with self._lock:
            if self._guardrail is None:
                self._guardrail = open_guardrail(self.spec, self.policy())
                if self.spec.reload:
                    self._reloading = ReloadingGuardrail(self.spec, self._guardrail, self._seen)
            return self._guardrail

    async def guardrail_async(self) -> Guardrail:
        """The same; a thread does the loading, so that the event loop stays free."""
        if self._guardrail is None or self._reloading is not None:
            return await asyncio.to_thread(self.guardrail)
        return self._guardrail

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyGuardrail:
        return self

    def __reduce__(self) -> tuple[type[LazyGuardrail], tuple[GuardrailSpec]]:
        """Pickled by its spec alone; what it names is opened again."""
        return LazyGuardrail, (self.spec,)
