"""The one place that reads policies for all replicas, on the machine where the cluster's head is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ray

from ig_guardrail.policy import load_policy
from ig_guardrail.rollout.reload import Reloading, state_of
from ig_guardrail.types import CompiledPolicy


@dataclass(frozen=True, slots=True)
class Read:
    """A policy as it was read."""

    policy: CompiledPolicy


@ray.remote(num_cpus=0)
class PolicyFiles:
    """Follows the files of policies."""

    def __init__(self, files: Mapping[tuple[str, str], Path]) -> None:
        """files: by the policy's name and its arm. Raises PolicyError for what cannot be read."""
        self._followed = {place: _follow(path) for place, path in files.items()}

    def newest(
        self, told: Mapping[tuple[str, str], tuple[str, str | None]]
    ) -> dict[tuple[str, str], tuple[CompiledPolicy, str | None]]:
        """What a replica was not told yet: policies, and why one that is newer was refused.

        told: what it was told last, policies by their hashes
        """
        found = {}
        for place, followed in self._followed.items():
            policy = followed.current().policy
            if told[place] != (policy.sha256, followed.fault):
                found[place] = policy, followed.fault
        return found


def _follow(path: Path) -> Reloading[Read]:
    seen = state_of(path)
    return Reloading(path, Read(load_policy(path)), seen, lambda old, policy: Read(policy))
