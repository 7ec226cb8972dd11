"""Without keys only this machine is served, and no page of another site that is open in a browser here."""

from __future__ import annotations

import pytest

from ig_guardrail.integrations.openai_server.access.local import demand_local
from ig_guardrail.integrations.openai_server.faults import Refused


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost"},
        {"host": "localhost:8000", "origin": "http://localhost:3000"},
        {"host": "127.0.0.1:8000"},
        {"host": "[::1]:8000", "origin": "http://127.0.0.1"},
    ],
)
def test_this_machine_is_served(headers: dict[str, str]) -> None:
    demand_local(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": ""},
        {"host": "elsewhere.example"},
        {"host": "localhost.elsewhere.example:8000"},
        {"host": "127.0.0.1@elsewhere.example"},
        {"host": "127.0.0.1:8000", "origin": "https://elsewhere.example"},
        {"host": "127.0.0.1:8000", "origin": "null"},
        {"host": "127.0.0.1:8000", "origin": "file://"},
        {"host": "[::1"},
    ],
)
def test_other_sites_are_not(headers: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        demand_local(headers)
    assert refused.value.fault.status == 403
