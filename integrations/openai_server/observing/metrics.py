"""The server's metrics: what they are, and what a finished request adds to them.

All is read off accounts of requests and the receipts in them. Every label has few values: what the config, the policies
and this module name, never what a caller wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from ig_guardrail.integrations.openai_server.observing.account import Account

PREFIX = "ig_guardrail"
SHORT = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds to a first token, between two pieces
LONG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)  # seconds of a request
QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)  # seconds of a cost model, of a late loop
TOKENS = (0.0, 1.0, 4.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0)
WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # of a budget
SHOWN = ("completed", "ended")  # outcomes of answers of which text was shown


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. buckets: of a histogram; none for others"""

    kind: type[Counter] | type[Gauge] | type[Histogram]
    name: str
    says: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is scraped."""
        return f"{PREFIX}_{self.name}{'_total' if self.kind is Counter else ''}"


FAMILIES = (
    Family(Counter, "requests", "requests that ended", ("endpoint", "policy", "outcome", "tenant")),
    Family(Counter, "answers", "answers that ended; a request may ask for several", ("policy", "outcome")),
    Family(Gauge, "requests_in_flight", "requests that are being served, or wait"),
    Family(Gauge, "requests_waiting", "of these, those that wait for their turn"),
    Family(Gauge, "answers_in_flight", "answers that they asked for, and that have not ended"),
    Family(Histogram, "request_seconds", "from a request to the end of its response", ("endpoint", "policy"), LONG),
    Family(
        Histogram,
        "first_generated_seconds",
        "from the start of decoding to the first drafted token",
        ("policy",),
        SHORT,
    ),
    Family(
        Histogram, "first_delivered_seconds", "from a request to the first text given to the wire", ("policy",), SHORT
    ),
    Family(Histogram, "delivery_gap_seconds", "between two pieces of one answer", ("policy",), SHORT),
    Family(Counter, "tokens", "tokens, by what became of them", ("policy", "kind", "tenant")),
    Family(Counter, "prompt_cache_answers", "answers, by whether the prompt's beginning was known", ("cache",)),
    Family(Histogram, "held_tokens", "tokens accepted and never shown, at the end of an answer", ("policy",), TOKENS),
    Family(Histogram, "width", "candidates judged for a block", ("policy",), WIDTHS),
    Family(Counter, "rescues", "answers that were completed after a draft was denied", ("policy",)),
    Family(Counter, "unsafe_drafts", "drafts that were denied, by the budget that they overdrew", ("policy", "budget")),
    Family(Counter, "refusals", "answers refused or ended, by the most severe hazard", ("policy", "hazard")),
    Family(
        Histogram,
        "remaining_budget_ratio",
        "z over the budget at the end of an answer; below 0: overdrawn",
        ("policy", "budget", "mode"),
        SHARES,
    ),
    Family(
        Counter,
        "shadow_answers",
        "answers that were shown, by whether a budget in shadow mode would have stopped them",
        ("policy", "budget", "verdict"),
    ),
    Family(Counter, "cost_model_calls", "calls of cost models", ("cost_model",)),
    Family(Counter, "cost_model_seconds", "seconds that these calls took", ("cost_model",)),
    Family(
        Histogram, "cost_model_slowest_seconds", "the slowest call of a cost model in an answer", ("cost_model",), QUICK
    ),
    Family(Counter, "failed_open", "answers for which a cost model failed that a policy allows to", ("policy",)),
    Family(Histogram, "event_loop_lag_seconds", "how late the server's event loop is", (), QUICK),
)


class Metrics:
    """The metrics of one server, in a registry of its own.

    waiting: how many requests wait for their turn
    tenants: whether requests and tokens are told tenant by tenant; otherwise the label is empty, so it is none
    """

    def __init__(self, waiting: Callable[[], int], tenants: bool = False) -> None:
        self.registry = CollectorRegistry()
        self._tenants = tenants
        self._made: dict[str, Any] = {family.name: self._make(family) for family in FAMILIES}
        self._open: set[Account] = set()
        self._made["requests_waiting"].set_function(waiting)
        self._made["requests_in_flight"].set_function(lambda: len(self._open))
        self._made["answers_in_flight"].set_function(lambda: sum(one.unended for one in tuple(self._open)))
        ProcessCollector(registry=self.registry)

    def begin(self, account: Account) -> None:
        """A request came."""
        self._open.add(account)

    def end(self, account: Account) -> None:
        """A request is over."""
        self._open.discard(account)
        asking = account.asking
        policy, tenant = (asking.policy, self._tenant(asking.tenant)) if asking else ("", "")
        self._made["requests"].labels(account.endpoint, policy, account.outcome, tenant).inc()
        self._made["request_seconds"].labels(account.endpoint, policy).observe(account.seconds)
        if account.first_delivered is not None:
            self._made["first_delivered_seconds"].labels(policy).observe(account.first_delivered)
        gap = self._made["delivery_gap_seconds"].labels(policy)
        for seconds in account.gaps:
            gap.observe(seconds)
        for answered in account.answers:
            self._add(answered.receipt, policy, tenant)

    @property
    def asked_tokens(self) -> int:
        """How many tokens were asked for by requests that are being served, over all of their answers."""
        asked = [one.asking.options for one in tuple(self._open) if one.asking is not None]
        return sum(one.max_tokens * one.n for one in asked)

    def late(self, seconds: float) -> None:
        """The event loop came so much later than it was asked to."""
        self._made["event_loop_lag_seconds"].observe(seconds)

    def _add(self, receipt: Mapping[str, Any], policy: str, tenant: str) -> None:
        made, outcome = self._made, receipt["verdict"]["outcome"]
        made["answers"].labels(policy, outcome).inc()
        for kind, tokens in receipt["tokens"].items():
            made["tokens"].labels(policy, kind, tenant).inc(tokens)
        made["prompt_cache_answers"].labels("hit" if receipt["tokens"]["cached"] else "miss").inc()
        made["held_tokens"].labels(policy).observe(receipt["tokens"]["held"])
        if receipt["seconds"]["first_generated"] is not None:
            made["first_generated_seconds"].labels(policy).observe(receipt["seconds"]["first_generated"])
        width = made["width"].labels(policy)
        for block in receipt["blocks"]:
            width.observe(block["candidates"])
        for budget, unsafe in receipt["unsafe"].items():
            made["unsafe_drafts"].labels(policy, budget).inc(unsafe["drafts"])
        if outcome == "completed" and receipt["unsafe"]:
            made["rescues"].labels(policy).inc()
        if outcome in ("refused", "ended"):
            made["refusals"].labels(policy, next(iter(receipt["denied"]), "none")).inc()
        if receipt["fail_open"]:
            made["failed_open"].labels(policy).inc()
        for name, times in receipt["cost_times"].items():
            made["cost_model_calls"].labels(name).inc(times["calls"])
            made["cost_model_seconds"].labels(name).inc(times["seconds"])
            made["cost_model_slowest_seconds"].labels(name).observe(times["slowest"])
        for left in left_of_budgets(receipt):
            made["remaining_budget_ratio"].labels(policy, left.budget, left.mode).observe(left.share)
            if left.mode == "shadow" and outcome in SHOWN:
                verdict = "would_stop" if left.share < 0 else "agrees"
                made["shadow_answers"].labels(policy, left.budget, verdict).inc()

    def _tenant(self, tenant: str | None) -> str:
        return (tenant or "") if self._tenants else ""

    def _make(self, family: Family) -> Counter | Gauge | Histogram:
        name, says = f"{PREFIX}_{family.name}", f"{family.says[0].upper()}{family.says[1:]}."
        if family.kind is Histogram:
            return Histogram(name, says, family.labels, registry=self.registry, buckets=family.buckets)
        return family.kind(name, says, family.labels, registry=self.registry)


@dataclass(frozen=True, slots=True)
class LeftOfBudget:
    """What an answer left of a budget. share: z over the budget; of a budget of 0, 1 if nothing was charged, else -1"""

    budget: str
    mode: str
    share: float


def left_of_budgets(receipt: Mapping[str, Any]) -> Iterator[LeftOfBudget]:
    """Of every budget. z is that of its last charge; of shared budgets, what the ledger left."""
    charged: dict[str, float] = {}
    for charge in receipt["charges"]:
        charged[charge["budget"]] = charge["z_after"]
    for budget, spend in receipt["spend"].items():
        left = charged.get(budget, spend["of"] - spend["spent"])
        share = left / spend["of"] if spend["of"] > 0 else 1.0 if left >= 0 else -1.0
        yield LeftOfBudget(budget, spend["mode"], share)


def table(families: Sequence[Family] = FAMILIES) -> str:
    """The metrics as a table in Markdown."""
    lines = [
        f"| `{one.full_name}` | {one.kind.__name__.lower()} | {', '.join(f'`{label}`' for label in one.labels)} |"
        f" {one.says} | {' '.join(f'{bucket:g}' for bucket in one.buckets)} |"
        for one in families
    ]
    return "\n".join(("| metric | kind | labels | what it counts | buckets |", "|---|---|---|---|---|", *lines))
