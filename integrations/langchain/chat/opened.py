"""The guardrail behind a chat model: opened by the model's settings when first needed, or handed in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import PrivateAttr
from typing_extensions import override

from ig_guardrail.costs.plugins import distribution_of
from ig_guardrail.errors import RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.chat.settings import ChatSettings
from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail
from ig_guardrail.ledger import AccountKey, MemoryLedger, process_ledger
from ig_guardrail.rollout.canary import canary_in
from ig_guardrail.rollout.rollout import NOBODY
from ig_guardrail.settings import Limits
from ig_guardrail.spec import GuardrailSpec

OPENINGS = 8  # models and policies that one chat model keeps open
KEPT = {
    "ledger": "a ledger",
    "cost_models": "cost models",
    "reward": "a reward",
    "critic": "a critic",
    "revision": "a revision",
    "context": "a context",
    "record": "a file of recordings",
    "audit": "an audit log",
    "canary": "a canary",
    "engine_options": "options of an engine",
}


class OpenedModel(ChatSettings):
    """A chat model that knows the guardrail its settings name."""

    _openings: list[LazyGuardrail] = PrivateAttr(default_factory=list)

    def __getstate__(self) -> dict[Any, Any]:
        """What is pickled: settings. Raises RequestError where the guardrail was handed in."""
        if self.guardrail is not None:
            raise RequestError(
                "a chat model that was given an open guardrail cannot be pickled",
                where="guardrail",
                why="weights, threads and ledger of what is open belong to this process",
                fix="make the chat model by name, with `model` and `policy`: such a one is opened where it arrives",
            )
        return super().__getstate__()

    @property
    def _memory(self) -> MemoryLedger:
        """Where conversations are kept while no ledger is given: with those of all other models of this process."""
        return process_ledger()

    def _given(self, model: str | None = None) -> Guardrail | None:
        """The guardrail that was handed in. Raises RequestError if model or policy were changed since.

        model: the one that a call asks for
        """
        if self.guardrail is not None:
            self._name_after(self.guardrail)
            if model not in (None, self.model):
                raise RequestError(
                    f"a call asks for model '{model}'",
                    where="model",
                    why=f"this chat model was given an open guardrail, which runs '{self.model}'",
                    fix="leave out `model`, or make the chat model by name",
                )
        return self.guardrail

    def _name_after(self, guardrail: Guardrail) -> None:
        """Carry the names of what is really used. Raises RequestError where others were given beside it."""
        from ig_guardrail.engine.loading.models import QUANTIZED

        facts = guardrail.engine.info
        kept = {"weights": facts.numerics} if facts.numerics in QUANTIZED else {"dtype": facts.numerics}
        actual = {"model": facts.model, "policy": guardrail.policy, "device": facts.device, **kept}
        actual["engine"] = facts.mode.partition("/")[0]
        for name, what in KEPT.items():
            if getattr(self, name):
                raise RequestError(
                    f"both a guardrail and {what} are given",
                    where=name,
                    why="an open guardrail keeps its own",
                    fix=f"give `{name}` where the guardrail is made",
                )
        for name in sorted(actual.keys() & self.model_fields_set):
            if getattr(self, name) != actual[name]:
                raise RequestError(
                    f"both a guardrail and another {name} are given",
                    where=name,
                    why="an open guardrail brings its own model and policy",
                    fix=f"leave out either `guardrail` or `{name}`",
                )
        for name, value in actual.items():
            setattr(self, name, value)

    @property
    def policy_fault(self) -> str | None:
        """Why the policy's file, as it was changed last, was refused, so that the one before is still in force."""
        return None if self.guardrail is not None else self._opened().fault

    @override
    def _limits(self) -> Limits:
        """Those that a guardrail of the caller's brings, else the usual ones."""
        return Limits() if self.guardrail is None else self.guardrail.limits

    def _opened(self, model: str | None = None) -> LazyGuardrail:
        """What the present names open: a model or policy that was changed since is opened again, and kept beside.

        model: the one that a call asks for in place of the usual one, under the same policy and ledger
        """
        spec = GuardrailSpec(
            model=model or self.model,
            policy=self.policy,
            device=self.device,
            dtype=self.dtype,
            weights=self.weights,
            ledger=self.ledger,
            cost_models=dict(self.cost_models),
            reward=self.reward,
            critic=self.critic,
            revision=self.revision if model in (None, self.model) else None,
            context=self.context,
            reload=self.reload,
            record=self.record,
            audit=self.audit,
            canary=canary_in(self.canary),
            engine=self.engine,
            engine_options=dict(self.engine_options),
        )
        found = next((opening for opening in self._openings if opening.spec == spec), None)
        if found is None:
            found = LazyGuardrail(spec)
            self._openings = [*self._openings, found][-OPENINGS:]
        return found

    @override
    async def _prepare(self, options: Mapping[str, Any]) -> None:
        if self.guardrail is not None:
            return
        named = options.get("model")
        for opening in (self._opened(), self._opened(named if isinstance(named, str) else None)):
            if self.reload or not opening.known:
                await asyncio.to_thread(opening.read)

    def _present(self, model: str | None = None, payer: AccountKey = NOBODY) -> Guardrail:
        """The guardrail of a call: the one that was handed in, or what the names open for whoever pays.

        model: the one that the call asks for
        """
        return self._given(model) or self._opened(model).current(payer)

    def _hashes(self) -> list[str]:
        """What tells an open guardrail's weights and cost models apart, or those that have more than a name."""
        if self.guardrail is None:
            specs = self._opened().policy().cost_models
            installed = [distribution_of(spec) for spec in specs if spec.kind == "python"]
            return [*installed, *(f"{name}={model.sha256}" for name, model in sorted(self.cost_models.items()))]
        return [self.guardrail.engine.info.model_sha256, *sorted(self.guardrail.costs.hashes.values())]

    def _temperature(self, given: Mapping[str, Any]) -> float:
        """At which a call draws: as it says, as set here, or as the model's files say. Loads nothing."""
        asked = given.get("temperature")
        asked = self.temperature if asked is None else asked
        own = (
            self._opened(given.get("model")).defaults()
            if self.guardrail is None
            else self.guardrail.engine.info.defaults
        )
        return own.sampling(temperature=asked).temperature
