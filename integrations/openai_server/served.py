"""The model that is served, under each of the policies that keys may name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.ledger import AccountKey
from ig_guardrail.rollout.canary import Canary, PolicyArm
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import CompiledPolicy

PolicyPlace: TypeAlias = tuple[str, PolicyArm]  # what keys call a policy, and in which arm it stands
_TOLD = 8  # names of models in an error
WITH = ":"  # between the name of a model and that of a policy


class ServedModel:
    """One model under several policies. Weights are loaded once; policies are opened by `open`, before any request.

    name        what requests call it
    guardrails  by what keys call their policies; those that are open are used as they are
    ready       whether all of it is open
    """

    def __init__(self, name: str, guardrails: Mapping[str, LazyGuardrail | Guardrail]) -> None:
        self.name = name
        self._opened = dict(guardrails)
        self.ready = False

    @property
    def policies(self) -> tuple[str, ...]:
        """What keys call them."""
        return tuple(self._opened)

    def open(self) -> None:
        """Load the weights and start every policy, once. Raises PolicyError, ModelError, HeadMismatch as `run` does."""
        if not self.ready:
            for guardrail in self.guardrails():
                guardrail.approve()
            self.ready = True

    def guardrails(self) -> Iterator[Guardrail]:
        """Those of all policies, opened."""
        for opened in self._opened.values():
            yield opened if isinstance(opened, Guardrail) else opened.current()

    def hold(self, place: PolicyPlace, policy: CompiledPolicy, fault: str | None = None) -> None:
        """Hold later requests to a policy that was read elsewhere; see `Rollout.hold`. What was given open stays so."""
        opened = self._opened[place[0]]
        if isinstance(opened, LazyGuardrail):
            opened.hold(place[1], policy, fault)

    def faults(self) -> dict[str, str]:
        """By policy, why its file, as it stands now, is not in force."""
        told = {name: one.fault for name, one in self._opened.items() if isinstance(one, LazyGuardrail)}
        return {name: fault for name, fault in told.items() if fault is not None}

    async def guardrail(self, policy: str, conversation: str | None, tenant: str | None) -> Guardrail:
        """What answers a request, by its policy and, where one is rolled out, by who asks."""
        opened = self._opened[policy]
        if isinstance(opened, Guardrail):
            return opened
        return await opened.current_async(AccountKey(conversation, tenant))

    def names_for(self, caller: Caller) -> tuple[str, ...]:
        """What a caller may put into `model`: the name alone, and with each of his policies."""
        return (self.name, *(f"{self.name}{WITH}{policy}" for policy in caller.policies))

    def demand(self, caller: Caller, model: str) -> None:
        """Raises Refused, with the names that there are, for one that a caller may not put into `model`."""
        names = self.names_for(caller)
        if model not in names:
            there = ", ".join(f"'{one}'" for one in names[:_TOLD]) + (", ..." if len(names) > _TOLD else "")
            raise unfit(f"there is no model '{model:.100}'; there are {there}", "model", "model_not_found", 404)

    def policy_for(self, caller: Caller, model: str, policy: str | None) -> str:
        """The policy that a request is answered under. Raises Refused for a model or a policy that is not his."""
        self.demand(caller, model)
        named = model.removeprefix(self.name).removeprefix(WITH) or policy or caller.policies[0]
        if named not in caller.policies or policy not in (None, named):
            raise unfit(f"there is no policy '{policy:.100}' for this key", "ig_guardrail.policy", "policy_not_found")
        return named

    def flush(self) -> None:
        """Wait until what is recorded and logged of the answers is written."""
        for opened in self._opened.values():
            opened.flush()


def served_by(
    name: str, spec: GuardrailSpec, policies: Mapping[str, str | Path], canaries: Mapping[str, Canary]
) -> ServedModel:
    """The model of a spec under policies: files or packaged names, by what keys call them. Nothing is opened yet.

    Weights are loaded once for all of them; those that are files are followed, where the spec says so.
    """

    def lazy(called: str, policy: str | Path) -> LazyGuardrail:
        canary = canaries.get(called)
        followed = [policy, *([] if canary is None else [canary.policy])]
        reload = spec.reload and all(Path(str(one)).is_file() for one in followed)
        return LazyGuardrail(replace(spec, policy=policy, canary=canary, reload=reload))

    return ServedModel(name, {called: lazy(called, policy) for called, policy in policies.items()})
