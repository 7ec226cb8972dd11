"""docs/operators.md: its files are read, its commands run, its counts are those of the tests; and what deploys it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ig_guardrail.integrations.openai_server.access.callers import IN_VERDICT
from ig_guardrail.integrations.openai_server.access.keys import KeyEntry
from ig_guardrail.integrations.openai_server.settings.serve_file import ServeFile
from tests.documents import ROOT, blocks, same
from tests.golden.conversations import POLITE
from tests.unit.cli.conftest import Command, ig  # noqa: F401  (a fixture)
from tests.unit.server.asgi import key_in
from tests.unit.server.test_faults import LIARS

PAGE = ROOT / "docs" / "operators.md"
DEPLOY = ROOT / "deploy"
ELSEWHERE = ("grafana/ig-guardrail.json", "prometheus", "keys.yaml")  # of the dashboard's writers, and the reader's own


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page's commands find."""
    house = POLITE.replace("name: polite", "name: house")
    (tmp_path / "house.yaml").write_text(house)
    (tmp_path / "house-next.yaml").write_text(house.replace("1.0.0", "1.1.0"))
    key_in(tmp_path / "keys.yaml", tenant="school")
    (config,) = (one for one in blocks(PAGE, "text") if one.rest == "file=serve.yaml")
    (tmp_path / "serve.yaml").write_text(config.text)
    (tmp_path / "bad.yaml").write_text("modle: embedded\n\n\n\nlimits: {at_once: 0}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_commands_print_what_it_shows(ig: Command, folder: Path) -> None:  # noqa: F811
    shown = [block.text.removeprefix("$ ig-guardrail ").partition("\n") for block in blocks(PAGE, "console")]
    assert len(shown) == 2
    for line, _, output in shown:
        assert same(nameless(ig(*line.split()).out), nameless(output))
    told = next(block.text for block in blocks(PAGE, "text") if "modle" in block.text)
    assert ig("serve", "--config", "bad.yaml", "--check").err == told


def nameless(text: str) -> str:
    """Without what is drawn anew each time."""
    return re.sub(r"ig-[\w-]{43}|[0-9a-f]{64}", "NEW", text)


def test_its_tables_name_what_there_is() -> None:
    text = PAGE.read_text()
    for name in (*KeyEntry.model_fields, *ServeFile.model_fields):
        assert f"`{name}`" in text or f"\n{name}:" in text, name
    assert f"{len(LIARS) * 4}: at first and in the midst" in text
    assert IN_VERDICT == ("verdict", "policy")


def test_the_container_has_what_it_copies_and_mounts() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    docker = (DEPLOY / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*)", docker, re.M) for word in line.split()[:-1]]
    assert sorted(copied) == sorted(let_in)
    assert all((ROOT / name).exists() for name in copied)
    assert re.search(r"^USER 10001:10001$", docker, re.M)
    assert not re.search("(?i)key|secret|password|token", docker.replace("TOKENIZERS", ""))
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    server = compose["services"]["server"]
    assert server["read_only"]
    assert server["cap_drop"] == ["ALL"]
    mounts = [one.split(":")[0] for service in compose["services"].values() for one in service["volumes"]]
    files = [one.removeprefix("./") for one in mounts if one.startswith("./")]
    assert {one for one in mounts if not one.startswith("./")} == set(compose["volumes"])
    assert all((DEPLOY / name).exists() for name in files if name not in ELSEWHERE)
    served = ServeFile.model_validate(yaml.safe_load((DEPLOY / "serve.yaml").read_text()))
    assert float(server["stop_grace_period"].removesuffix("s")) > served.drain
    assert served.keys is not None
    assert served.audit is not None
    assert served.audit.path == served.ledger
    kept = compose["services"]["postgres"]
    user, database = (kept["environment"][name] for name in ("POSTGRES_USER", "POSTGRES_DB"))
    assert served.ledger == f"postgresql://{user}@postgres/{database}"
    assert server["environment"]["PGPASSWORD"] == kept["environment"]["POSTGRES_PASSWORD"]
    assert "ports" not in kept
