"""Writes the dashboard: `python deploy/grafana/dashboard.py`. A panel is a title, a unit, and what it asks Prometheus.

In a query, `METRIC{}` is of the policies that are chosen at the top of the dashboard.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "ig-guardrail.json"
WIDE, HIGH, COLUMNS = 8, 8, 3
SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """queries: by what they are called in the legend; unit: Grafana's name of it"""

    title: str
    unit: str
    queries: dict[str, str]


def rate(metric: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (rate(ig_guardrail_{metric}{{}}[$__rate_interval]))"


def quantile(share: float, metric: str, *by: str) -> str:
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', 'le', *by)})"


def mean(metric: str, *by: str) -> str:
    return f"{rate(f'{metric}_sum', *by)} / {rate(f'{metric}_count', *by)}"


ROWS: dict[str, Sequence[Panel]] = {
    "Requests": (
        Panel("Requests by outcome", "reqps", {"{{outcome}}": rate("requests_total", "outcome")}),
        Panel("Requests by endpoint", "reqps", {"{{endpoint}}": rate("requests_total", "endpoint")}),
        Panel(
            "Requests at once",
            "short",
            {
                "served or waiting": "ig_guardrail_requests_in_flight",
                "waiting": "ig_guardrail_requests_waiting",
                "answers": "ig_guardrail_answers_in_flight",
            },
        ),
        Panel(
            "To the first token",
            "s",
            {
                "generated, p50": quantile(0.5, "first_generated_seconds"),
                "generated, p99": quantile(0.99, "first_generated_seconds"),
                "delivered, p50": quantile(0.5, "first_delivered_seconds"),
                "delivered, p99": quantile(0.99, "first_delivered_seconds"),
            },
        ),
        Panel(
            "Between two pieces of an answer",
            "s",
            {"p50": quantile(0.5, "delivery_gap_seconds"), "p99": quantile(0.99, "delivery_gap_seconds")},
        ),
        Panel("Whole requests, p99", "s", {"{{endpoint}}": quantile(0.99, "request_seconds", "endpoint")}),
    ),
    "The guard": (
        Panel("Refused and ended, by hazard", "reqps", {"{{hazard}}": rate("refusals_total", "hazard")}),
        Panel(
            "Rescued, as a share of answers",
            "percentunit",
            {"{{policy}}": f"{rate('rescues_total', 'policy')} / {rate('answers_total', 'policy')}"},
        ),
        Panel("Drafts denied, by budget", "reqps", {"{{budget}}": rate("unsafe_drafts_total", "budget")}),
        Panel(
            "Left of the budgets, lowest tenth",
            "percentunit",
            {"{{budget}} ({{mode}})": quantile(0.1, "remaining_budget_ratio", "budget", "mode")},
        ),
        Panel(
            "Shown, and over a budget in shadow mode",
            "percentunit",
            {
                "{{budget}}": 'sum by (budget) (rate(ig_guardrail_shadow_answers_total{verdict="would_stop"}'
                f"[$__rate_interval])) / {rate('shadow_answers_total', 'budget')}"
            },
        ),
        Panel("Candidates for a block", "short", {"{{policy}}": mean("width", "policy")}),
        Panel("Tokens held to the end of an answer", "short", {"{{policy}}": mean("held_tokens", "policy")}),
        Panel(
            "Answers with a cost model that failed open", "reqps", {"{{policy}}": rate("failed_open_total", "policy")}
        ),
    ),
    "The machine": (
        Panel("Tokens", "short", {"{{kind}} a second": rate("tokens_total", "kind")}),
        Panel(
            "Cost models, a call",
            "s",
            {
                "{{cost_model}}": rate("cost_model_seconds_total", "cost_model")
                + f" / {rate('cost_model_calls_total', 'cost_model')}"
            },
        ),
        Panel(
            "Cost models, slowest call of an answer, p99",
            "s",
            {"{{cost_model}}": quantile(0.99, "cost_model_slowest_seconds", "cost_model")},
        ),
        Panel(
            "Prompts that began as one before",
            "percentunit",
            {
                "share": 'sum (rate(ig_guardrail_prompt_cache_answers_total{cache="hit"}[$__rate_interval]))'
                " / sum (rate(ig_guardrail_prompt_cache_answers_total[$__rate_interval]))"
            },
        ),
        Panel("Event loop late, p99", "s", {"p99": quantile(0.99, "event_loop_lag_seconds")}),
        Panel("Memory", "bytes", {"resident": "process_resident_memory_bytes"}),
    ),
}
OF_POLICIES = re.compile(r"\{\}")
NO_POLICY = ("event_loop_lag", "cost_model", "prompt_cache")  # metrics without that label


def dashboard() -> dict[str, Any]:
    """As Grafana imports it."""
    panels, top = [], 0
    for name, row in ROWS.items():
        panels.append({"type": "row", "title": name, "gridPos": _place(top, 0, 24, 1), "id": len(panels) + 1})
        for index, panel in enumerate(row):
            place = _place(top + 1 + index // COLUMNS * HIGH, index % COLUMNS * WIDE, WIDE, HIGH)
            panels.append({**_drawn(panel), "gridPos": place, "id": len(panels) + 1})
        top += 1 + -(-len(row) // COLUMNS) * HIGH
    return {
        "title": "ig-guardrail",
        "uid": "ig-guardrail",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_source(), _policies()]},
        "panels": panels,
    }


def _drawn(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": _filtered(query), "legendFormat": legend}
        for index, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def _filtered(query: str) -> str:
    labelled = not any(name in query for name in NO_POLICY)
    return OF_POLICIES.sub('{policy=~"$policy"}' if labelled else "", query)


def _source() -> dict[str, Any]:
    return {"type": "datasource", "name": "source", "query": "prometheus", "label": "Prometheus"}


def _policies() -> dict[str, Any]:
    asked = "label_values(ig_guardrail_requests_total, policy)"
    return {
        "type": "query",
        "name": "policy",
        "label": "Policy",
        "datasource": SOURCE,
        "query": asked,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "refresh": 2,
    }


def _place(y: int, x: int, wide: int, high: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": wide, "h": high}


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
