"""The counts of `tests/house.py`, on modules whose counts are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import importers, names_with_two_meanings, read_modules


@pytest.fixture
def modules(tmp_path: Path) -> dict[str, Path]:
    """Two rooms: `b` imports `a`, and both define `Twice`."""
    texts = {
        "ig_guardrail.one.a": "class Twice: ...\nclass _Own: ...\nclass Once: ...\n",
        "ig_guardrail.two.b": "from ig_guardrail.one import a\nfrom ig_guardrail.one.a import Once\nclass Twice: ...\n",
        "ig_guardrail.two.c": "import ig_guardrail.one.a\nclass _Own: ...\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    return {name: tmp_path / f"{name}.py" for name in texts}


def test_importers_are_counted_once_each(modules: dict[str, Path]) -> None:
    users = importers(modules)
    assert users["ig_guardrail.one.a"] == {"ig_guardrail.two.b", "ig_guardrail.two.c"}
    assert users["ig_guardrail.two.b"] == set()


def test_public_names_of_two_rooms_are_found(modules: dict[str, Path]) -> None:
    assert names_with_two_meanings(modules) == ["Twice (ig_guardrail.one.a, ig_guardrail.two.b)"]


def test_the_modules_of_the_package_are_read() -> None:
    modules = read_modules()
    assert modules["ig_guardrail.stream.gate"].name == "gate.py"
    assert modules["ig_guardrail.integrations.langchain.chat_model"].name == "chat_model.py"
