"""What Schemathesis asks, so that some of it can be answered: a model that there is, and few tokens."""

from __future__ import annotations

import atexit
from collections import Counter
from typing import Any

import schemathesis

ASKED: dict[str, Any] = {
    "input": "Why is the sky blue?",
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
}
KEPT = (
    "instructions",
    "metadata",
    "reasoning",
    "store",
    "stream",
    "temperature",
    "text",
    "top_p",
    "truncation",
    "user",
)
STATUSES: Counter[int] = Counter()


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count what is answered."""
    STATUSES[response.status_code] += 1


@atexit.register
def tell_statuses() -> None:
    print("by status:", ", ".join(f"{status}: {STATUSES[status]}" for status in sorted(STATUSES)))


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Half of the bodies, by their own content, keep only what may well be served."""
    if not isinstance(body, dict):
        return body
    if len(str(body)) % 2:
        return {**body, "model": "scripted:calm"}
    asked = "messages" if "messages" in body else "input"
    kept = {name: body[name] for name in KEPT if name in body}
    return {**kept, asked: ASKED[asked], "model": "scripted:calm"}
