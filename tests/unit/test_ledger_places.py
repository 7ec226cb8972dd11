"""Where a ledger may be kept, and that its password is told nowhere. Charges in PostgreSQL: `make test-scale`."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from ig_guardrail import extras
from ig_guardrail.database.connections import Database
from ig_guardrail.errors import LedgerError, MissingExtra
from ig_guardrail.integrations.openai_server.settings.serve_file import read_config
from ig_guardrail.ledger import SQLiteLedger, ledger_at
from ig_guardrail.ledger.postgres import PURPOSE
from ig_guardrail.spec import GuardrailSpec

SECRET = "pA55-w0rd"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (f"postgresql://guard:{SECRET}@db.example/rails", "postgresql://guard@db.example/rails"),
        (
            f"postgres://guard:{SECRET}@db.example:6432/rails?sslmode=require",
            "postgresql://guard@db.example:6432/rails",
        ),
        (f"postgresql://db.example/rails?password={SECRET}&user=guard", "postgresql://guard@db.example/rails"),
        (f"postgresql://guard:{SECRET}%40%2F@one,other/rails", "postgresql://guard@one,other/rails"),
        (f"postgresql://guard:{SECRET}@/rails?host=/run/pg", "postgresql://guard@/rails?host=/run/pg"),
        ("postgresql:///", "postgresql:///"),
    ],
)
def test_a_database_is_named_without_its_secrets(address: str, name: str) -> None:
    assert Database(address, PURPOSE).name == name


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://guard:a@{SECRET}@db.example/rails",
        f"postgresql://guard:a@b/{SECRET}@db.example/rails",
        f"postgresql://guard:{SECRET}/b@db.example/rails",
        f"postgresql://guard:12/{SECRET}@db.example/rails",
        f"postgresql://gu@rd:{SECRET}@db.example/rails",
        f"postgresql://guard:%{SECRET}@db.example/rails",
        f"postgresql://guard@db.example/rails?pasword={SECRET}",
        f"postgresql://guard@db.example:{SECRET}/rails",
    ],
)
def test_an_address_that_is_cut_in_the_wrong_place_is_not_told(address: str) -> None:
    with pytest.raises(LedgerError, match="the address of the ledger cannot be read") as raised:
        ledger_at(address)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("begins", ["postgresql:/", "postgres:", "PostgreSQL:/"])
def test_an_address_without_its_slashes_is_no_path_and_is_not_told(kind: type[str | Path], begins: str) -> None:
    with pytest.raises(LedgerError, match="the address of the ledger is not written whole") as raised:
        ledger_at(kind(f"{begins}guard:{SECRET}@db.example/rails"))
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_a_database_that_cannot_be_reached_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="the ledger cannot be used: connection") as raised:
        ledger_at(f"postgresql://guard:{SECRET}@/rails?host={tmp_path}")
    assert raised.value.where == f"postgresql://guard@/rails?host={tmp_path}"
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_another_kind_of_address_is_refused() -> None:
    with pytest.raises(LedgerError, match="a ledger cannot be kept at an address of the kind 'mysql'"):
        ledger_at("mysql://guard@db.example/rails")


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_there", lambda module: module != "psycopg_pool")
    with pytest.raises(MissingExtra, match=r"a ledger in PostgreSQL cannot be used without psycopg-pool") as raised:
        ledger_at("postgresql://guard@db.example/rails")
    assert raised.value.fix == "run `pip install 'ig-guardrail[postgres]'`"


def test_a_path_is_a_file_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("postgresql", tmp_path / "ledger.db"):
        assert isinstance(ledger_at(place), SQLiteLedger)


def test_an_address_in_serve_yaml_is_no_path(tmp_path: Path) -> None:
    file, address = tmp_path / "serve.yaml", f"postgresql://guard:{SECRET}@db.example/rails"
    file.write_text(f"ledger: {address}\n")
    config = read_config(file, {})
    assert config.spec.ledger == address
    assert SECRET not in f"{config!r} {config}"
    file.write_text("ledger: ledger.db\n")
    assert read_config(file, {}).spec.ledger == str(tmp_path / "ledger.db")


def test_what_is_opened_does_not_tell_the_address() -> None:
    assert SECRET not in repr(GuardrailSpec(ledger=f"postgresql://guard:{SECRET}@db.example/rails"))
