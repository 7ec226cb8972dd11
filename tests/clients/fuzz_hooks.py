"""What Schemathesis asks, so that some of it can be answered: a model that there is, and few tokens."""

from __future__ import annotations

import atexit
from collections import Counter
from typing import Any

import schemathesis

REFUSED = ("background", "previous_response_id", "prompt", "audio", "functions", "function_call", "web_search_options")
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
    """Half of the bodies, by their own content, keep what is refused by its name alone."""
    if not isinstance(body, dict):
        return body
    kept = dict(body) if len(str(body)) % 2 else {name: body[name] for name in body if name not in REFUSED}
    return {**kept, "model": "scripted:calm"}
