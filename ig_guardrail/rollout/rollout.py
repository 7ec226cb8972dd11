"""What answers while policies change: opened under one policy, or with a canary under two, each following its file."""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, Self

from ig_guardrail.drive.failures import as_guard_failure
from ig_guardrail.errors import PolicyError
from ig_guardrail.ledger import AccountKey
from ig_guardrail.policy import load_policy
from ig_guardrail.policy.sources import folder_of
from ig_guardrail.rollout.canary import Canary, PolicyArm
from ig_guardrail.rollout.reload import Opened, Reloading, Seen, path_of, state_of
from ig_guardrail.threads.locks import ForkSafeLock
from ig_guardrail.types import CompiledPolicy

LOG = logging.getLogger(__name__)
NOBODY = AccountKey()


class Rollout(ABC, Generic[Opened]):
    """Reads its policies at first use, opens for all of them at once when one is first needed, and keeps both.

    Each request is answered in the arm that the names of its payer lead to. Safe to share between threads. A copy in
    this process is the same one; one that was pickled is made of `_given` again.
    """

    _given: tuple[Any, ...]

    def __init__(
        self,
        policy: str | Path | CompiledPolicy,
        canary: Canary | None = None,
        reload: bool = False,
    ) -> None:
        self._sources: dict[PolicyArm, str | Path | CompiledPolicy] = {"stable": policy}
        if canary is not None:
            self._sources["canary"] = canary.policy
        self._canary, self._reload = canary, reload
        self._lock = ForkSafeLock(threading.RLock)
        self._policies: dict[PolicyArm, CompiledPolicy] = {}
        self._seen: dict[PolicyArm, Seen] = {}
        self._opened: dict[PolicyArm, Opened] = {}
        self._reloading: dict[PolicyArm, Reloading[Opened]] = {}
        self._faults: dict[PolicyArm, str] = {}

    @abstractmethod
    def _open_under(self, policy: CompiledPolicy, folder: Path | None, arm: str, beside: Opened | None) -> Opened:
        """Open what answers under a policy.

        folder  where relative paths of the policy start
        arm     `stable` or `canary`; "" where there is no canary
        beside  what is open already, whose model, ledger and logs it shares; its messages are tried then. None at first
        """

    def policy(self, payer: AccountKey = NOBODY) -> CompiledPolicy:
        """The compiled policy that holds for a payer. Raises PolicyError with every fault.

        Raises GuardrailError where a file is needed.
        """
        return self._policy_of(self._arm(payer))

    def current(self, payer: AccountKey = NOBODY) -> Opened:
        """What answers a payer's request that begins now, opened. Raises PolicyError, ModelError, HeadMismatch."""
        arm = self._arm(payer)
        if arm not in self._opened:
            with self._lock:
                self._open()
        return self._reloading[arm].current() if self._reload else self._opened[arm]

    async def current_async(self, payer: AccountKey = NOBODY) -> Opened:
        """The same; a thread does the opening and reading, so that the event loop stays free."""
        arm = self._arm(payer)
        if arm not in self._opened or self._reload:
            return await asyncio.to_thread(self.current, payer)
        return self._opened[arm]

    def hold(self, arm: PolicyArm, policy: CompiledPolicy, fault: str | None = None) -> None:
        """Hold requests of an arm that begin later to a policy that was read elsewhere, tried as at start-up.

        One that is refused leaves the last good one in force, is logged, and stands in `fault`.

        fault: why one that is newer was refused where it was read
        """
        with self._lock:
            try:
                if arm in self._opened and policy.sha256 != self._opened[arm].policy.sha256:
                    self._opened[arm] = self._opened_for(arm, policy, self._opened[arm])
                    LOG.warning("policy '%s' %s is in force (%s)", policy.name, policy.version, policy.sha256[:12])
                self._policies[arm] = policy
            except Exception as error:  # whatever it is, there is a policy to answer under
                fault = str(as_guard_failure(error))
                LOG.error("policy '%s' %s stays in force: %s", policy.name, self._policies[arm].version, fault)
            self._faults.pop(arm, None)
            self._faults |= {} if fault is None else {arm: fault}

    @property
    def fault(self) -> str | None:
        """Why a policy's file, as it stands now, is not in force."""
        faults = [one.fault for one in self._reloading.values() if one.fault is not None]
        faults += self._faults.values()
        return "\n".join(faults) or None

    def _arm(self, payer: AccountKey) -> PolicyArm:
        return "stable" if self._canary is None else self._canary.arm_of(payer.conversation, payer.tenant)

    def _policy_of(self, arm: PolicyArm) -> CompiledPolicy:
        with self._lock:
            if arm in self._reloading:
                return self._reloading[arm].current().policy
            if arm not in self._policies:
                source = self._sources[arm]
                if self._reload:
                    self._seen[arm] = state_of(path_of(source))
                self._policies[arm] = load_policy(source)
            return self._policies[arm]

    def _open(self) -> None:
        """Open for all policies, or for none."""
        if self._opened:
            return
        policies = {arm: self._policy_of(arm) for arm in self._sources}
        opened: dict[PolicyArm, Opened] = {}
        for arm, policy in policies.items():
            opened[arm] = self._opened_for(arm, policy, opened.get("stable"))
        if self._reload:
            self._reloading = {arm: self._following(arm, one) for arm, one in opened.items()}
        self._opened = opened

    def _following(self, arm: PolicyArm, opened: Opened) -> Reloading[Opened]:
        def remake(old: Opened, policy: CompiledPolicy) -> Opened:
            return self._opened_for(arm, policy, old)

        return Reloading(path_of(self._sources[arm]), opened, self._seen[arm], remake)

    def _opened_for(self, arm: PolicyArm, policy: CompiledPolicy, beside: Opened | None) -> Opened:
        """With a canary, a policy must bear the name of the one beside it."""
        if self._canary is not None and beside is not None:
            demand_same_name(policy, beside.policy)
        told = "" if self._canary is None else arm
        return self._open_under(policy, folder_of(self._sources[arm]), told, beside)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Any], tuple[Any, ...]]:
        return type(self), self._given


def demand_same_name(canary: CompiledPolicy, stable: CompiledPolicy) -> None:
    """Raises PolicyError for a canary that bears another name than the policy in whose place it stands."""
    if canary.name != stable.name:
        raise PolicyError(
            f"the policy is called '{canary.name}', and the one beside it '{stable.name}'",
            where="canary",
            why="what conversations have spent is kept by the policy's name, and would begin again in the other arm",
            fix="give both the same `metadata.name`, and another `version`",
        )
