"""`/health` and `/ready`, policies that are followed, and canaries, on one server."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.drive.records.auditor import Auditor
from ig_guardrail.engine.loading import models
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.integrations.openai_server.served import ServedModel
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.ledger import SQLiteLedger
from ig_guardrail.rollout.canary import Canary
from ig_guardrail.settings import AuditFile
from ig_guardrail.spec import GuardrailSpec
from tests.golden.conversations import CALM, POLITE
from tests.unit.server.asgi import app_of, ask, chat, key_in, server_over, toy_rail


async def ready(app: Any) -> tuple[int, Any]:
    replied = await ask(app, "/ready", method="GET")
    return replied.status, replied.json


async def test_ready_tells_what_is_wrong(tmp_path: Path) -> None:
    rail = toy_rail(SQLiteLedger(tmp_path / "ledger"))
    rail.auditor = Auditor(AuditFile(tmp_path / "log" / "audit.jsonl")) if (tmp_path / "log").mkdir() is None else None
    key_in(tmp_path / "keys.yaml", tenant="x")
    server = server_over({"open": rail}, tmp_path / "keys.yaml")
    app = app_of(server)
    assert (await ready(app))[0] == 200
    (tmp_path / "ledger").rename(tmp_path / "away")
    (tmp_path / "log").rename(tmp_path / "gone")
    status, told = await ready(app)
    assert status == 503
    assert told["checks"] == {"models": "ok", "ledger": "it cannot be read", "audit": "no line can be written"}
    assert str(tmp_path) not in str(told)
    (tmp_path / "away").rename(tmp_path / "ledger")
    (tmp_path / "gone").rename(tmp_path / "log")
    server.keys.fault = "x"  # type: ignore[union-attr]
    status, told = await ready(app)
    assert (status, told["faults"]) == (200, ["keys: their file was changed, and is not in force"])
    server.admission.drain(0)
    assert (await ready(app))[0] == 503
    assert (await ask(app, "/health", method="GET")).status == 200
    assert (await ready(app_of(Server(server.config, ServedModel("toy", {"open": rail})))))[0] == 503


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Server, list[str]]:
    """A server of two policies from files, one of which has a canary, and the models that were loaded for it."""
    loaded: list[str] = []
    engine = ScriptedEngine(Continuations({(0, 0): CALM}))
    monkeypatch.setattr(models, "load_engine", lambda model, **how: loaded.append(model) or engine)
    for name, version in {"usual": "1.0.0", "next": "2.0.0", "other": "3.0.0"}.items():
        (tmp_path / f"{name}.yaml").write_text(POLITE.replace("1.0.0", version))
    spec = GuardrailSpec("embedded", reload=True, audit=tmp_path / "audit.jsonl", ledger=tmp_path / "ledger")
    policies = {name: tmp_path / f"{name}.yaml" for name in ("usual", "other")}
    config = ServeConfig(spec, policies, "toy", {"usual": Canary(tmp_path / "next.yaml", 0.5, "conversation")})
    server = Server(config)
    server.served.open()
    return server, loaded


async def version_of(app: Any, model: str = "toy", **own: str) -> str:
    replied = await ask(app, body=chat(model=model, ig_guardrail=own))
    told: str = replied.json["ig_guardrail"]["policy"]["version"]
    return told


async def test_policies_share_one_model_and_are_followed(served: Any, tmp_path: Path) -> None:
    server, _ = served
    app = app_of(server)
    assert {await version_of(app, conversation=f"c{n}") for n in range(12)} == {"1.0.0", "2.0.0"}
    assert await version_of(app, "toy:other") == "3.0.0"
    assert len({id(rail.engine) for rail in server.served.guardrails()}) == 1

    def rewrite(text: str) -> None:
        (tmp_path / "other.yaml").write_text(text)
        long_ago = time.time() - 60  # so that the file counts as settled
        os.utime(tmp_path / "other.yaml", (long_ago, long_ago))
        for one in server.served._opened.values():
            one._reloading["stable"]._next = 0.0

    rewrite(POLITE.replace("1.0.0", "3.1.0"))
    assert await version_of(app, "toy:other") == "3.1.0"
    rewrite("broken: [")
    assert await version_of(app, "toy:other") == "3.1.0"
    status, told = await ready(app)
    assert (status, told["faults"]) == (200, ["policy 'other': its file was changed, and is not in force"])
