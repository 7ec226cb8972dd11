"""A guardrail that is opened when it is first needed, once, whichever thread comes first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ig_guardrail.costs.base import CostModel
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import Ledger, ledger_at
from ig_guardrail.threads import ForkSafeLock
from ig_guardrail.types import CompiledPolicy


@dataclass(frozen=True, slots=True)
class GuardrailSpec:
    """What to open: a model, how it runs, and a policy (a file, a packaged name, or a compiled value).

    cost_models: those that the policy leaves to the program
    reward, critic: judges that rank candidates, by name; see `open_values`
    """

    model: str
    policy: str | Path | CompiledPolicy
    device: str
    dtype: str
    weights: str
    ledger: str | Path | Ledger | None = None
    cost_models: Mapping[str, CostModel] = field(default_factory=dict)
    reward: str | None = None
    critic: str | None = None


class LazyGuardrail:
    """Reads the policy at first use of either, the weights at first use of the guardrail; keeps both."""

    def __init__(self, names: GuardrailSpec) -> None:
        self.names = names
        self._lock = ForkSafeLock(threading.RLock)
        self._policy: CompiledPolicy | None = None
        self._guardrail: Guardrail | None = None

    def policy(self) -> CompiledPolicy:
        """The compiled policy. Raises PolicyError with every fault."""
        from ig_guardrail.policy import load_policy

        with self._lock:
            if self._policy is None:
                self._policy = load_policy(self.names.policy)
            return self._policy

    def guardrail(self) -> Guardrail:
        """The guardrail, opened. Raises PolicyError, ModelError, HeadMismatch."""
        from ig_guardrail.assembly import folder_of, guard, open_engine, open_values

        with self._lock:
            if self._guardrail is None:
                policy = self.policy()
                names = self.names
                engine = open_engine(names.model, device=names.device, dtype=names.dtype, weights=names.weights)
                values = open_values(engine, names.reward, names.critic)
                ledger, folder = ledger_at(names.ledger), folder_of(names.policy)
                self._guardrail = guard(engine, policy, folder, values, ledger, names.cost_models)
            return self._guardrail

    async def guardrail_async(self) -> Guardrail:
        """The same; the first time, a thread does the loading, so that the event loop stays free."""
        if self._guardrail is None:
            return await asyncio.to_thread(self.guardrail)
        return self._guardrail

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyGuardrail:
        return self

    def __reduce__(self) -> tuple[type[LazyGuardrail], tuple[GuardrailSpec]]:
        """Pickled by its names alone; what they open is opened anew."""
        return LazyGuardrail, (self.names,)
