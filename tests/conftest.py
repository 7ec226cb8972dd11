"""What all tests share: no network, no budgets spent before, and an option that records golden transcripts anew."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from pytest_socket import disable_socket

from ig_guardrail.ledger import process_ledger
from tests.examples import examples

PHASES = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain) or os.environ.get("IG_SHRINK") != "0"]
settings.register_profile(
    "share",
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=PHASES,
)
settings.load_profile("share")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden", action="store_true", help="Record the golden transcripts anew instead of comparing them."
    )


def pytest_configure(config: pytest.Config) -> None:
    """The servers that `make test-scale` tries, and no other tests."""
    if "IG_TEST_SCALE" in os.environ:
        config.pluginmanager.import_plugin("tests.scale.postgres")


def pytest_collection_finish() -> None:
    """What was imported stays: no search for garbage need look through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test, and processes that it starts, keep unpacked models, in place of this machine's user."""
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture(autouse=True)
def _no_network() -> None:
    """Every test runs without internet sockets; unix ones stay, since event loops are built on a pair of them."""
    disable_socket(allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _whole_budgets() -> None:
    """No test spends what another one, in the same process, has of a budget."""
    process_ledger().clear()


@pytest.fixture(autouse=True)
def _no_adopted_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test, nor a process it starts, finds what this machine's user has measured on a model."""
    monkeypatch.setenv("IG_GUARDRAIL_DATA", os.path.join(os.devnull, "none"))
