"""A guardrail that is opened when first needed, once, whichever thread comes first; it may follow its policy file.

With a canary there are two, on one model.
"""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.rollout.rollout import Rollout
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import CompiledPolicy, GenerationDefaults


class LazyGuardrail(Rollout[Guardrail]):
    """Reads a policy at first use of either, the weights at first use of the guardrail; keeps both."""

    def __init__(self, spec: GuardrailSpec) -> None:
        self.spec, self._given = spec, (spec,)
        self._defaults: GenerationDefaults | None = None
        super().__init__(spec.policy, spec.canary, spec.reload)

    def defaults(self) -> GenerationDefaults:
        """How the model's makers would sample it, by its files; empty while these are not on this machine."""
        from ig_guardrail.engine.loading.generation import read_defaults

        with self._lock:
            if "stable" in self._opened:
                return self._opened["stable"].engine.info.defaults
            if self._defaults is None:
                self._defaults = read_defaults(self.spec.model, self.spec.revision)
            return self._defaults

    @property
    def known(self) -> bool:
        """Whether what names it was read: its policies, and how its model is sampled."""
        return self._policies.keys() == self._sources.keys() and (
            "stable" in self._opened or self._defaults is not None
        )

    def read(self) -> None:
        """Read what names it. Raises PolicyError with every fault of a policy."""
        for arm in self._sources:
            self._policy_of(arm)
        self.defaults()

    def flush(self) -> None:
        """Wait a little until what is recorded and logged of answers is written."""
        for one in self._opened.values():
            one.flush()

    @override
    def _open_under(self, policy: CompiledPolicy, folder: Path | None, arm: str, beside: Guardrail | None) -> Guardrail:
        from ig_guardrail.assembly import guard_alike, open_guardrail

        if beside is not None:
            return guard_alike(beside, policy, folder, self.spec.cost_models, arm)
        opened = open_guardrail(self.spec, policy)
        opened.arm = arm
        return opened
