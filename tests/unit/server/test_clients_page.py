"""The examples of docs/clients.md whose clients are installed here; `make test-clients` runs all."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.clients.examples import EXPECTED, IN_TESTS, adapted, examples
from tests.documents import ROOT
from tests.golden.conversations import CALM, RUDE, scripted_guardrail
from tests.unit.server.serving import running, server_of

PAGE = ROOT / "docs" / "clients.md"
KEY = 'api_key="none"'


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    guardrails = {name: scripted_guardrail({(0, 0): text}) for name, text in {"calm": CALM, "rude": RUDE}.items()}
    with running(server_of(guardrails=guardrails)) as socket:
        yield socket


@pytest.mark.parametrize("client", IN_TESTS)
@pytest.mark.parametrize("model", EXPECTED)
def test_an_example(socket: str, client: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = adapted(examples(PAGE)[client], "http://localhost/v1", model)
    assert KEY in text
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=socket), timeout=60) as plain:
        exec(text.replace(KEY, f"{KEY}, http_client=plain"), {"plain": plain})
    assert EXPECTED[model] in capsys.readouterr().out
