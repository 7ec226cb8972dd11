"""Log lines: one for each request, and what else is logged, as JSON or as words; no texts of anyone."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ig_guardrail.integrations.openai_server.observing.account import Account

LOG = logging.getLogger("ig_guardrail.requests")
TOKENS = ("prompt", "cached", "generated", "released")
REQUEST = "request"  # the attribute of a record that holds a request's facts


def log_request(account: Account) -> None:
    """One line for a request that is over."""
    facts = facts_of(account)
    if LOG.isEnabledFor(logging.INFO):
        LOG.info("%s", _words(facts), extra={REQUEST: facts})


def facts_of(account: Account) -> dict[str, Any]:
    """What the line of a request says."""
    asking = account.asking
    totals = {name: sum(one.receipt["tokens"][name] for one in account.answers) for name in TOKENS}
    return {
        "id": account.id,
        "method": account.method,
        "endpoint": account.endpoint,
        "status": account.status,
        "tenant": asking.tenant if asking else None,
        "policy": asking.policy if asking else None,
        "policy_sha256": asking.policy_sha256 if asking else None,
        "outcome": account.outcome,
        "answers": len(account.answers),
        "tokens": totals,
        "seconds": round(account.seconds, 4),
        "first_delivered": None if account.first_delivered is None else round(account.first_delivered, 4),
    }


def _words(facts: Mapping[str, Any]) -> str:
    policy = f" policy {facts['policy']}" if facts["policy"] else ""
    return (
        f"{facts['method']} {facts['endpoint']} {facts['status'] or '-'} {facts['outcome']}{policy}"
        f" {facts['tokens']['released']} tokens {facts['seconds']:.3f} s {facts['id']}"
    )


class JsonLines(logging.Formatter):
    """A record as one line of JSON. Of an error it tells type and place, and not its words, which may quote a text."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"at": _moment(record), "level": record.levelname.lower(), "logger": record.name}
        request = getattr(record, REQUEST, None)
        line |= {"event": "request", **request} if request else {"message": record.getMessage()}
        return json.dumps({**line, **_error(record)}, ensure_ascii=False)


class WordLines(logging.Formatter):
    """A record as words."""

    def format(self, record: logging.LogRecord) -> str:
        told = "".join(f"\n  {place}" for place in _error(record).get("places", ()))
        return f"{_moment(record)} {record.levelname:<7} {record.getMessage()}{told}"


def log_to_stderr(form: str) -> None:
    """All that the server logs, on standard error, in this form: `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else WordLines())
    for name in ("ig_guardrail", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _error(record: logging.LogRecord) -> dict[str, Any]:
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    kind, _, trace = record.exc_info
    places = [f"{one.filename}:{one.lineno} {one.name}" for one in traceback.extract_tb(trace)]
    return {"error": kind.__name__, "places": places}
