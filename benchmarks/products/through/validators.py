"""Guardrails AI (guardrails-ai): a validator of one's own on the answer.

python validators.py stream|fix|reask

stream  streamed, `on_fail` exception
fix     streamed, `on_fail` fix: each sentence is judged by itself before it is shown, and left out if it fails
reask   not streamed, `on_fail` reask, up to REASKS times, then nothing is given
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import wire
from guardrails import Guard, settings
from guardrails.errors import ValidationError
from guardrails.validators import FailResult, PassResult, ValidationResult, Validator, register_validator

HOW = sys.argv[1]
REASKS = 4
settings.disable_tracing = True


@register_validator(name="keep-budget", data_type="string")
class KeepBudget(Validator):
    """The validator."""

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        if wire.VERDICT.allows(str(value)):
            return PassResult()
        LEFT_OUT.append(str(value))
        return FailResult(error_message="This answer is unkind, or helps with harm.", fix_value="")


LEFT_OUT: list[str] = []
GUARD = Guard().use(KeepBudget(on_fail={"stream": "exception"}.get(HOW, HOW)))
GUARD.configure(allow_metrics_collection=False, num_reasks=REASKS if HOW == "reask" else 0)


async def answer(asked: wire.Asked) -> AsyncIterator[wire.Told]:
    """By calling the guard, which calls the model through LiteLLM."""
    options = {"model": f"openai/{wire.MODEL}", "base_url": wire.PLAIN, "api_key": "none", "max_retries": 0}
    options |= {"messages": wire.messages(asked), **wire.sampled(asked)}
    LEFT_OUT.clear()
    try:
        if HOW != "reask":
            for outcome in GUARD(stream=True, **options):
                if outcome.validated_output:
                    yield wire.text(outcome.validated_output)
        else:
            outcome = GUARD(**options)
            if not outcome.validation_passed:
                yield wire.end("error", "validation_passed is false")
                return
            yield wire.text(outcome.validated_output)
    except ValidationError as error:
        yield wire.end("error", type(error).__name__)
    else:
        yield wire.end("parts" if HOW == "fix" and LEFT_OUT else "whole")


wire.serve(answer)
