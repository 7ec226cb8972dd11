"""What an operator sees of the requests: metrics, traces, log lines; and that no text is in any of them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import runpy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import Histogram
from prometheus_client.parser import text_string_to_metric_families

from ig_guardrail.engine.scripted.engine import Incidents
from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.integrations.openai_server.observing.lag import watch_lag
from ig_guardrail.integrations.openai_server.observing.lines import LOG, JsonLines, WordLines
from ig_guardrail.integrations.openai_server.observing.metrics import FAMILIES, Metrics, table
from ig_guardrail.integrations.openai_server.observing.settings import ObserveConfig
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeLimits
from ig_guardrail.integrations.openai_server.settings.serve_file import read_config
from tests.golden.conversations import CALM, CONVERSATIONS, KIND, LATE, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.server.serving import MODEL, http, running, server_of

ROOT = Path(__file__).parents[3]
PROMPT = "A question that nobody else may read."
BROKEN = Incidents(faults={("extend", 3): EngineError("the weights caught fire")})
SHADOW = POLITE.replace("every: 4}", "every: 4, mode: shadow}")
KEY = "scrape-me"


def server(**observe: Any) -> Server:
    guardrails = {
        "calm": scripted_guardrail({(0, 0): CALM}),
        "rescued": scripted_guardrail({(0, 0): RUDE, (1, 0): KIND}),
        "rude": scripted_guardrail({(0, 0): RUDE}),
        "late": scripted_guardrail({(0, 0): LATE}),
        "broken": scripted_guardrail({(0, 0): CALM}, incidents=BROKEN),
        "shadow": scripted_guardrail({(0, 0): RUDE}, compiled(SHADOW)),
    }
    return server_of(guardrails=guardrails, observe=ObserveConfig(**observe))


def ask(socket: str, policy: str = "calm", headers: Any = None, **options: Any) -> int:
    body = {"model": f"{MODEL}:{policy}", "messages": [{"role": "user", "content": PROMPT}], "seed": 7, **options}
    with http(socket) as plain:
        return plain.post("/v1/chat/completions", json=body, headers=headers).status_code


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and label values, in the order of the labels' names."""
    return {
        (one.name.removeprefix("ig_guardrail_"), *(one.labels[label] for label in sorted(one.labels))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.fixture(scope="module")
def scraped() -> str:
    with running(server()) as socket, http(socket) as plain:
        for policy in ("calm", "rescued", "rude", "late", "broken", "shadow"):
            ask(socket, policy, stream=policy in ("calm", "broken"))
        ask(socket, n=2)
        ask(socket, colour="blue")
        said = {"model": f"{MODEL}:late", "max_tokens": 64}
        plain.post("/v1/messages", json={**said, "messages": [{"role": "user", "content": PROMPT}]})
        plain.post("/v1/responses", json={"model": f"{MODEL}:rude", "input": PROMPT})
        plain.post("/v1/moderations", json={"input": PROMPT})
        plain.get("/v1/models/no/such/model")
        plain.get("/nothing")
        plain.get("/health")
        text: str = plain.get("/metrics").text
    return text


def test_requests_are_counted_by_endpoint_outcome_and_policy(scraped: str) -> None:
    found, chat = samples(scraped), "/v1/chat/completions"
    counted = {name[1:4]: value for name, value in found.items() if name[0] == "requests_total"}
    assert counted == {
        (chat, "completed", "calm"): 2,
        (chat, "completed", "rescued"): 1,
        (chat, "completed", "shadow"): 1,
        (chat, "refused", "rude"): 1,
        (chat, "ended", "late"): 1,
        (chat, "failed", "broken"): 1,
        (chat, "rejected", ""): 1,
        ("/v1/messages", "ended", "late"): 1,
        ("/v1/responses", "refused", "rude"): 1,
        ("/v1/moderations", "served", ""): 1,
        ("/v1/models/{model:path}", "rejected", ""): 1,
        ("other", "rejected", ""): 1,
    }
    assert found["answers_total", "completed", "calm"] == 3
    assert found["requests_in_flight",] == 0


def test_what_the_guard_did_is_counted(scraped: str) -> None:
    found = samples(scraped)
    assert found["rescues_total", "rescued"] == 1
    assert ("rescues_total", "rude") not in found
    assert found["refusals_total", "hte", "rude"] == 2
    assert found["unsafe_drafts_total", "rudeness", "rescued"] == 1
    assert found["width_count", "calm"] == 15
    assert found["width_sum", "rescued"] > found["width_count", "rescued"]
    assert found["first_delivered_seconds_count", "calm"] == 2
    assert ("first_delivered_seconds_count", "rude") not in found
    assert found["first_generated_seconds_count", "rude"] == 2
    assert found["tokens_total", "released", "calm", ""] == 51
    assert found["cost_model_calls_total", "rude"] > 10
    assert found["cost_model_slowest_seconds_count", "rude"] == 10


def test_a_budget_in_shadow_mode_tells_what_it_would_have_stopped(scraped: str) -> None:
    found = samples(scraped)
    assert found["shadow_answers_total", "rudeness", "shadow", "would_stop"] == 1
    assert found["remaining_budget_ratio_bucket", "rudeness", "0.0", "shadow", "shadow"] == 1
    assert found["remaining_budget_ratio_bucket", "rudeness", "0.9", "enforce", "calm"] == 0


def test_no_label_is_a_text(scraped: str) -> None:
    for text in (PROMPT, CALM, RUDE, KIND, LATE, "blue", "colour", "such", "nothing"):
        assert text not in scraped


def test_a_caller_who_leaves_is_counted_as_such() -> None:
    stuck = threading.Event()
    waiting = scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", 4): stuck}))
    made = server_of(guardrails={"calm": waiting})
    with running(made) as socket, http(socket) as plain:
        body = {"model": f"{MODEL}:calm", "messages": [{"role": "user", "content": PROMPT}], "stream": True}
        with plain.stream("POST", "/v1/chat/completions", json=body) as answer:
            next(answer.iter_bytes())
    stuck.set()
    assert made.metrics.registry.get_sample_value("ig_guardrail_requests_in_flight") == 0
    labels = {"endpoint": "/v1/chat/completions", "policy": "calm", "tenant": "", "outcome": "left"}
    assert made.metrics.registry.get_sample_value("ig_guardrail_requests_total", labels) == 1


def test_a_request_that_waits_for_its_turn_is_counted_as_such() -> None:
    stuck = threading.Event()
    waiting = scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", 4): stuck}))
    made = server_of(guardrails={"calm": waiting}, limits=ServeLimits(at_once=1))
    with running(made) as socket, http(socket) as plain, ThreadPoolExecutor(2) as callers:
        asked = [callers.submit(ask, socket) for _ in range(2)]
        while not (found := samples(plain.get("/metrics").text))["requests_waiting",]:
            assert not all(one.done() for one in asked)
        assert found["requests_in_flight",] == 2
        stuck.set()
        assert [one.result() for one in asked] == [200, 200]


def test_metrics_are_told_to_holders_of_their_key() -> None:
    digest = sha256(KEY.encode()).hexdigest()
    with running(server(metrics_key=digest)) as socket, http(socket) as plain:
        assert plain.get("/metrics").status_code == 401
        assert plain.get("/metrics", headers={"authorization": "Bearer guess"}).status_code == 401
        assert plain.get("/metrics", headers={"authorization": f"Bearer {KEY}"}).status_code == 200


@pytest.mark.parametrize("elsewhere", [{"metrics": False}, {"metrics_port": 9464}])
def test_metrics_are_not_told_where_they_have_another_port_or_none(elsewhere: dict[str, Any]) -> None:
    with running(server(**elsewhere)) as socket, http(socket) as plain:
        assert plain.get("/metrics").status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        {"traces": "all"},
        {"conventions": "2.0"},
        {"log_format": "xml"},
        {"metrics_key": KEY},
        {"metrics_key": "0" * 64, "metrics_port": 1},
        {"tenants": True},
    ],
)
def test_choices_that_there_are_not(given: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        ObserveConfig(**given)


# Log lines


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[logging.LogRecord]]:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    yield records
    LOG.removeHandler(handler)


def test_one_line_for_each_request(logged: list[logging.LogRecord]) -> None:
    with running(server()) as socket:
        for policy in ("calm", "rude", "broken"):
            ask(socket, policy, headers={"x-request-id": f"mine-{policy}"}, stream=True)
    lines = [json.loads(JsonLines().format(record)) for record in logged]
    assert [(line["id"], line["status"], line["outcome"]) for line in lines] == [
        ("mine-calm", 200, "completed"),
        ("mine-rude", 200, "refused"),
        ("mine-broken", 200, "failed"),
    ]
    assert lines[0]["tokens"] == {"prompt": 40, "cached": 0, "generated": 17, "released": 17}
    assert len(lines[0]["policy_sha256"]) == 64
    for record, line in zip(logged, lines, strict=True):
        for told in (WordLines().format(record), json.dumps(line)):
            assert "question" not in told
            assert "sky" not in told
            assert "blockhead" not in told


def test_an_error_is_named_and_not_quoted() -> None:
    try:
        raise ValueError("a text that nobody was shown")
    except ValueError as error:
        record = LOG.makeRecord(
            "x", logging.ERROR, __file__, 1, "it failed", (), (ValueError, error, error.__traceback__)
        )
    told = json.loads(JsonLines().format(record))
    assert told["error"] == "ValueError"
    assert told["places"][0].endswith("test_an_error_is_named_and_not_quoted")
    assert "nobody" not in JsonLines().format(record) + WordLines().format(record)


# Traces


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


def words_of(span: ReadableSpan) -> str:
    return span.to_json()


def test_a_span_for_each_request_that_asks_for_answers(spans: InMemorySpanExporter) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with running(server()) as socket:
        ask(socket, "rescued", headers={"traceparent": parent}, temperature=0.5)
        ask(socket, "broken")
        ask(socket, colour="blue")
    rescued, broken = spans.get_finished_spans()
    told = dict(rescued.attributes or {})
    assert rescued.name == f"chat {MODEL}:rescued"
    assert rescued.parent is not None
    assert f"{rescued.parent.trace_id:032x}" in parent
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "ig_guardrail"
    assert told["gen_ai.request.temperature"] == 0.5
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert told["gen_ai.usage.output_tokens"] == 16
    assert told["ig_guardrail.outcome"] == "completed"
    (event,) = rescued.events
    assert event.name == "gen_ai.evaluation.result"
    assert dict(event.attributes or {})["gen_ai.evaluation.name"] == "rudeness (enforce)"
    assert dict(event.attributes or {})["gen_ai.evaluation.score.label"] == "within"
    assert broken.status.status_code is trace.StatusCode.ERROR
    for span in (rescued, broken):
        assert "question" not in words_of(span)
        assert "friend" not in words_of(span)
        assert "blockhead" not in words_of(span)


def test_texts_are_traced_where_asked_for_and_only_what_was_shown(spans: InMemorySpanExporter) -> None:
    with running(server(traces="texts", conventions="1.36")) as socket:
        ask(socket, "rescued")
    (span,) = spans.get_finished_spans()
    told = dict(span.attributes or {})
    assert told["gen_ai.system"] == "ig_guardrail"
    assert json.loads(str(told["gen_ai.input.messages"]))[0]["parts"][0]["content"] == PROMPT
    assert KIND in str(told["gen_ai.output.messages"])
    assert "blockhead" not in words_of(span)


def test_metrics_are_the_same_without_traces(spans: InMemorySpanExporter) -> None:
    with running(server(traces="none")) as socket, http(socket) as plain:
        ask(socket, "calm")
        assert samples(plain.get("/metrics").text)["answers_total", "completed", "calm"] == 1
    assert spans.get_finished_spans() == ()


def test_nothing_is_traced_where_the_interface_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.integrations.openai_server.observing.spans.missing", lambda names: names)
    assert ObserveConfig().traces == "spans"
    assert server().spans is None


# What is shipped beside the server


NAMED = re.compile(r"\big_guardrail_[a-z_]+|\bprocess_[a-z_]+")
SHIPPED = ("grafana/ig-guardrail.json", "prometheus/alerts.yml", "prometheus/alerts.test.yml")


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_names_metrics_that_there_are(name: str) -> None:
    known = {metric.removesuffix("_created") for metric in _scraped_names(server().metrics)}
    named = set(NAMED.findall((ROOT / "deploy" / name).read_text(encoding="utf-8")))
    assert named
    assert named <= known


def test_the_dashboard_is_as_its_script_writes_it() -> None:
    script = runpy.run_path(str(ROOT / "deploy" / "grafana" / "dashboard.py"))
    assert script["FILE"].read_text(encoding="utf-8") == script["text"]()


def _scraped_names(metrics: Metrics) -> Iterator[str]:
    """Names of all samples that there can be, and of their families."""
    for family in FAMILIES:
        yield family.full_name
        if family.kind is Histogram:
            yield from (f"{family.full_name}_{part}" for part in ("bucket", "sum", "count"))
    yield from (sample.name for family in metrics.registry.collect() for sample in family.samples)


def test_the_table_of_the_page_is_of_these_metrics() -> None:
    assert table() in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


async def test_how_late_the_loop_is_is_told_again_and_again() -> None:
    told: list[float] = []
    watching = asyncio.create_task(watch_lag(told.append, tick=0.0))
    while len(told) < 3:
        await asyncio.sleep(0)
    watching.cancel()
    assert min(told) >= 0


def test_receipts_tell_how_long_each_cost_model_took() -> None:
    *_, last = CONVERSATIONS["rescued"].guardrail().stream(CONVERSATIONS["rescued"].ask())
    assert last.receipt is not None
    (times,) = last.receipt.cost_times.values()
    assert times.calls == last.receipt.cost_calls
    assert 0 < times.slowest <= times.seconds


def test_the_choices_on_the_page_are_those_that_hold_where_none_is_made(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^observe: .*", page, re.MULTILINE)
    file = tmp_path / "serve.yaml"
    file.write_text(line, encoding="utf-8")
    assert read_config(file, {}).observe == ObserveConfig()
