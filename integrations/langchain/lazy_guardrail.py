"""A guardrail that is opened when first needed, once, whichever thread comes first; it may follow its policy file.

With a canary there are two, on one model: each request is answered by the one that the names of its payer lead to.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ig_guardrail.canary import Arm
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import AccountKey
from ig_guardrail.spec import GuardrailSpec, folder_of
from ig_guardrail.threads import ForkSafeLock
from ig_guardrail.types import CompiledPolicy, GenerationDefaults

if TYPE_CHECKING:
    from ig_guardrail.reload import ReloadingGuardrail, Seen

NOBODY = AccountKey()


class LazyGuardrail:
    """Reads a policy at first use of either, the weights at first use of the guardrail; keeps both."""

    def __init__(self, spec: GuardrailSpec) -> None:
        self.spec = spec
        self._lock = ForkSafeLock(threading.RLock)
        self._policies: dict[Arm, CompiledPolicy] = {}
        self._guardrails: dict[Arm, Guardrail] = {}
        self._reloading: dict[Arm, ReloadingGuardrail] = {}
        self._seen: dict[Arm, Seen] = {}
        self._defaults: GenerationDefaults | None = None

    def policy(self, payer: AccountKey = NOBODY) -> CompiledPolicy:
        """The compiled policy that holds for a payer. Raises PolicyError with every fault.

        Raises RequestError where a file is needed.
        """
        return self._policy_of(self._arm(payer))

    def fault(self) -> str | None:
        """Why a policy's file, as it stands now, is not in force."""
        faults = [one.fault for one in self._reloading.values() if one.fault is not None]
        return "\n".join(faults) or None

    def defaults(self) -> GenerationDefaults:
        """How the model's makers would sample it, by its files; empty while these are not on this machine."""
        from ig_guardrail.engine.loading.generation import read_defaults

        with self._lock:
            if "stable" in self._guardrails:
                return self._guardrails["stable"].engine.info.defaults
            if self._defaults is None:
                self._defaults = read_defaults(self.spec.model, self.spec.revision)
            return self._defaults

    def guardrail(self, payer: AccountKey = NOBODY) -> Guardrail:
        """The guardrail for a payer, opened. Raises PolicyError, ModelError, HeadMismatch."""
        arm = self._arm(payer)
        if arm not in self._guardrails:
            with self._lock:
                self._open()
        return self._reloading[arm].current() if self.spec.reload else self._guardrails[arm]

    async def guardrail_async(self, payer: AccountKey = NOBODY) -> Guardrail:
        """The same; a thread does the loading, so that the event loop stays free."""
        arm = self._arm(payer)
        if arm not in self._guardrails or self.spec.reload:
            return await asyncio.to_thread(self.guardrail, payer)
        return self._guardrails[arm]

    def flush(self) -> None:
        """Wait a little until what is recorded and logged of answers is written."""
        for one in self._guardrails.values():
            one.flush()

    def _arm(self, payer: AccountKey) -> Arm:
        canary = self.spec.canary
        return "stable" if canary is None else canary.arm_of(payer.conversation, payer.tenant)

    def _spec_of(self, arm: Arm) -> GuardrailSpec:
        canary = self.spec.canary
        return self.spec if arm == "stable" or canary is None else replace(self.spec, policy=canary.policy)

    def _policy_of(self, arm: Arm) -> CompiledPolicy:
        from ig_guardrail.policy import load_policy
        from ig_guardrail.reload import path_of, state_of

        with self._lock:
            if arm in self._reloading:
                return self._reloading[arm].current().policy
            if arm not in self._policies:
                spec = self._spec_of(arm)
                if spec.reload:
                    self._seen[arm] = state_of(path_of(spec))
                self._policies[arm] = load_policy(spec.policy)
            return self._policies[arm]

    def _open(self) -> None:
        """Open all that the spec names, or nothing."""
        from ig_guardrail.assembly import guard_alike, open_guardrail
        from ig_guardrail.reload import ReloadingGuardrail

        if self._guardrails:
            return
        canary = self.spec.canary
        other = None if canary is None else self._policy_of("canary")
        stable = open_guardrail(self.spec, self._policy_of("stable"))
        opened: dict[Arm, Guardrail] = {"stable": stable}
        if canary is not None and other is not None:
            stable.arm = "stable"
            opened["canary"] = guard_alike(stable, other, folder_of(canary.policy), self.spec.cost_models)
            opened["canary"].arm = "canary"
        if self.spec.reload:
            self._reloading = {
                arm: ReloadingGuardrail(self._spec_of(arm), one, self._seen[arm]) for arm, one in opened.items()
            }
        self._guardrails = opened

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyGuardrail:
        return self

    def __reduce__(self) -> tuple[type[LazyGuardrail], tuple[GuardrailSpec]]:
        """Pickled by its spec alone; what it names is opened again."""
        return LazyGuardrail, (self.spec,)
