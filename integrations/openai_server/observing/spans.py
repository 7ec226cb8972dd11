"""A trace span for each request, by OpenTelemetry's conventions for generative AI, where `opentelemetry-api` is there.

Nothing is exported unless who runs the server has set up an SDK: `opentelemetry-instrument ig-guardrail serve ...`.
The conventions are in development, so the names that changed stand under a version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ig_guardrail.extras import missing, require
from ig_guardrail.integrations.openai_server.observing.account import Account, Answered, Asking
from ig_guardrail.integrations.openai_server.observing.metrics import left_of_budgets

NAMES: Mapping[str, Mapping[str, str]] = {  # by version of the conventions, what has changed
    "1.36": {"provider": "gen_ai.system", "cached": "ig_guardrail.usage.cached_tokens"},
    "1.44": {"provider": "gen_ai.provider.name", "cached": "gen_ai.usage.cache_read.input_tokens"},
}
PROVIDER = "ig_guardrail"
ROLES = {"human": "user", "ai": "assistant"}
EVALUATION = "gen_ai.evaluation.result"
ASKED = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "max_tokens", "seed")


def spans_if_any(traces: str, conventions: str) -> Spans | None:
    """What makes spans; None where nothing is traced.

    Raises MissingExtra where texts are to be traced and the API is not installed; without texts its absence says that
    nobody is interested.
    """
    if traces == "texts":
        require("otel", by="`traces: texts`")
    return None if traces == "none" or missing(("opentelemetry-api",)) else Spans(conventions, traces == "texts")


class Spans:
    """Makes spans with the provider that the host set up; OpenTelemetry's own default makes none.

    texts: whether prompts and answers, as far as they were shown, are part of them
    """

    def __init__(self, conventions: str, texts: bool = False) -> None:
        self.texts = texts
        self._names = NAMES[conventions]

    def record(self, account: Account) -> None:
        """A span for a request that is over, if it asked for answers, beneath the caller's or the host's own."""
        from opentelemetry import propagate, trace

        asking = account.asking
        if asking is None:
            return
        here = trace.get_current_span().get_span_context().is_valid
        span = trace.get_tracer("ig_guardrail").start_span(
            f"chat {asking.model}",
            context=None if here else propagate.extract(account.headers),
            kind=trace.SpanKind.INTERNAL,
            attributes=dict(self._attributes(account, asking)),
            start_time=account.began_ns,
        )
        if span.is_recording():
            for answered in account.answers:
                for evaluation in _evaluations(answered, account.id):
                    span.add_event(EVALUATION, evaluation)
            if account.outcome == "failed":
                span.set_status(trace.StatusCode.ERROR)
        span.end(account.began_ns + int(account.seconds * 1e9))

    def _attributes(self, account: Account, asking: Asking) -> Iterator[tuple[str, Any]]:
        yield "gen_ai.operation.name", "chat"
        yield self._names["provider"], PROVIDER
        yield "gen_ai.request.model", asking.model
        for name in ASKED:
            if (value := getattr(asking.options, name)) is not None:
                yield f"gen_ai.request.{name}", value
        if asking.options.n != 1:
            yield "gen_ai.request.choice.count", asking.options.n
        if account.answers:
            receipts = [answered.receipt for answered in account.answers]
            yield "gen_ai.response.model", receipts[0]["model"]["name"]
            yield "gen_ai.response.finish_reasons", [one.finish or "error" for one in account.answers]
            yield "gen_ai.usage.input_tokens", max(one["tokens"]["prompt"] for one in receipts)
            yield "gen_ai.usage.output_tokens", sum(one["tokens"]["released"] for one in receipts)
            yield self._names["cached"], max(one["tokens"]["cached"] for one in receipts)
        if account.first_delivered is not None:
            yield "gen_ai.response.time_to_first_chunk", account.first_delivered
        if account.outcome == "failed":
            yield "error.type", "guard_failed"
        yield "ig_guardrail.request.id", account.id
        yield "ig_guardrail.outcome", account.outcome
        yield "ig_guardrail.policy.name", asking.policy
        yield "ig_guardrail.policy.sha256", asking.policy_sha256
        if self.texts:
            yield (
                "gen_ai.input.messages",
                _messages([(ROLES.get(one.type, one.type), one.text) for one in asking.texts]),
            )
            yield "gen_ai.output.messages", _messages([("assistant", one.receipt["text"]) for one in account.answers])


def _evaluations(answered: Answered, request: str) -> Iterator[dict[str, Any]]:
    """What each budget says of an answer: what was left of it, as a share."""
    for left in left_of_budgets(answered.receipt):
        yield {
            "gen_ai.evaluation.name": f"{left.budget} ({left.mode})",
            "gen_ai.evaluation.score.value": left.share,
            "gen_ai.evaluation.score.label": "within" if left.share >= 0 else "over",
            "gen_ai.response.id": request,
        }


def _messages(texts: Sequence[tuple[str, str]]) -> str:
    found = [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in texts]
    return json.dumps(found, ensure_ascii=False)
