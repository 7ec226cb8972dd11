"""Where a pattern stands in a policy, and where a part of it does."""

from __future__ import annotations

from ig_guardrail.policy.diagnostics.diagnostic import Spot, Steps
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.yaml.tree import Scalar


class PatternPlace:
    """Where a pattern stands, and where a part of it does."""

    def __init__(self, draft: PolicyDraft, path: Steps) -> None:
        self.path = path
        self._node = draft.nodes[path]

    @classmethod
    def of_model(cls, draft: PolicyDraft, model: str, index: int) -> PatternPlace:
        short: Steps = ("cost_models", model, "patterns", index)
        return cls(draft, (*short, "pattern") if draft.written(*short, "pattern") else short)

    @property
    def escaped(self) -> bool:
        """Whether it is written with escapes of YAML."""
        return isinstance(self._node, Scalar) and self._node.style == '"' and not self._node.column

    def spot(self, at: int | None = None, length: int = 1) -> Spot:
        mark = self._node.mark
        if at is not None and isinstance(self._node, Scalar):
            mark = self._node.part(at, length)
        return Spot(self.path, mark)
