"""The model that is served, under each of the policies that keys may name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail
from ig_guardrail.integrations.openai_server.callers import Caller
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.ledger import AccountKey
from ig_guardrail.spec import GuardrailSpec

WITH = ":"  # between the name of a model and that of a policy


class ServedModel:
    """One model under several policies. Weights are loaded once; policies are opened by `open`, before any request.

    name        what requests call it
    guardrails  by what keys call their policies; those that are open are used as they are
    """

    def __init__(self, name: str, guardrails: Mapping[str, LazyGuardrail | Guardrail]) -> None:
        self.name = name
        self._opened = dict(guardrails)

    @property
    def policies(self) -> tuple[str, ...]:
        """What keys call them."""
        return tuple(self._opened)

    def open(self) -> None:
        """Load the weights and start every policy. Raises PolicyError, ModelError, HeadMismatch as `run` does."""
        for opened in self._opened.values():
            (opened if isinstance(opened, Guardrail) else opened.current()).approve()

    async def guardrail(self, policy: str, conversation: str | None, tenant: str | None) -> Guardrail:
        """What answers a request, by its policy and, where one is rolled out, by who asks."""
        opened = self._opened[policy]
        if isinstance(opened, Guardrail):
            return opened
        return await opened.current_async(AccountKey(conversation, tenant))

    def names_for(self, caller: Caller) -> tuple[str, ...]:
        """What a caller may put into `model`: the name alone, and with each of his policies."""
        return (self.name, *(f"{self.name}{WITH}{policy}" for policy in caller.policies))

    def policy_for(self, caller: Caller, model: str, policy: str | None) -> str:
        """The policy that a request is answered under. Raises Refused for a model or a policy that is not his."""
        if model not in self.names_for(caller):
            raise unfit(f"there is no model '{model:.100}'", "model", "model_not_found", 404)
        named = model.removeprefix(self.name).removeprefix(WITH) or policy or caller.policies[0]
        if named not in caller.policies or policy not in (None, named):
            raise unfit(f"there is no policy '{policy:.100}' for this key", "ig_guardrail.policy", "policy_not_found")
        return named

    def flush(self) -> None:
        """Wait until what is recorded and logged of the answers is written."""
        for opened in self._opened.values():
            opened.flush()


def served_by(name: str, spec: GuardrailSpec, policies: Mapping[str, str | Path]) -> ServedModel:
    """The model of a spec under policies: files or packaged names, by what keys call them. Nothing is opened yet."""
    return ServedModel(name, {called: LazyGuardrail(replace(spec, policy=one)) for called, one in policies.items()})
