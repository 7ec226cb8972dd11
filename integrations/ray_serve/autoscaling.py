"""How many replicas there should be: as many as their queues, and the tokens that they are asked for, need."""

from __future__ import annotations

from typing import Any

from ray.serve.config import AutoscalingContext


class Work:
    """What Ray Serve asks. tokens: that the requests of one replica are to ask for together"""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens

    def __call__(self, ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        """How many replicas there should be, before Ray Serve's bounds and delays; and no state of ours."""
        asked = (ctx.aggregated_metrics or {}).get("tokens", {})
        by_requests = ctx.total_num_requests / ctx.config.get_target_ongoing_requests()
        return max(by_requests, sum(asked.values()) / self._tokens), {}
