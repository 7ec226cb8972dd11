"""The judge of a comparison, which is never one that guides."""

from __future__ import annotations

from ig_guardrail.costs.judge import read_judge
from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate.config import Config
from ig_guardrail.evaluate.judging import Judge


def open_judge(config: Config) -> Judge:
    """Raises RequestError for a judge that is not known; ModelError if it cannot be read."""
    if config.judge == "packaged":
        return read_judge()
    raise RequestError(
        f"there is no judge '{config.judge}'",
        where="judge",
        why="the judge must be another model, trained on other rows, than those that guide",
        fix="write 'packaged'",
    )
