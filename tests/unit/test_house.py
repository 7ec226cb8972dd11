"""The counts of `tests/house.py`, on modules whose counts are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import (
    importers,
    names_with_two_meanings,
    read_modules,
    why_so_lonely,
    why_so_many_files,
    why_so_many_lines,
)


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


def test_modules_with_one_importer_are_told_by_what_imports_them(tmp_path: Path) -> None:
    texts = {
        "ig_guardrail.search.registry": "from ig_guardrail.search import one, two\n",
        "ig_guardrail.cli.commands.train": "from ig_guardrail.learn.three import train\n",
        "ig_guardrail.engine.models": "def load():\n    from ig_guardrail.engine.four import heavy\n",
        "ig_guardrail.drive.server": "from ig_guardrail.drive import five, six\n",
    }
    modules = {name: tmp_path / f"{name}.py" for name in texts}
    for name, text in texts.items():
        modules[name].write_text(text)
    lonely = {
        "ig_guardrail.search.one": "ig_guardrail.search.registry",
        "ig_guardrail.search.two": "ig_guardrail.search.registry",
        "ig_guardrail.learn.three": "ig_guardrail.cli.commands.train",
        "ig_guardrail.engine.four": "ig_guardrail.engine.models",
        "ig_guardrail.drive.five": "ig_guardrail.drive.server",
        "ig_guardrail.drive.six": "ig_guardrail.drive.server",
    }
    sizes = {**dict.fromkeys([*lonely, *texts], 20), "ig_guardrail.drive.server": 250, "ig_guardrail.drive.six": 60}
    assert why_so_lonely(lonely, modules, sizes) == (
        "2 plug in by one line of a registry, 1 are the work of one command, 1 are imported late, with heavy packages, "
        "1 hold an idea of their own, 1 would make a module of over 300 lines with their importer"
    )


def test_files_on_the_way_are_told_by_room() -> None:
    files = {"ig_guardrail/drive/run.py": 1, "ig_guardrail/guardrail.py": 2, "integrations/langchain/chat_model.py": 3}
    names = ("ig_guardrail.drive.run", "ig_guardrail.guardrail", "ig_guardrail.integrations.langchain.chat_model")
    why = why_so_many_files(files, dict(zip(names, (300, 200, 400), strict=True)), 2)
    assert why.startswith(
        "1 drive, 1 single files, 1 integrations.langchain. 2 of them are passed in 2 functions at most"
    )
    assert "They have 900 lines, 300 each; 2 files would have 450 each" in why


def test_lines_are_told_by_when_their_rooms_came() -> None:
    rooms = {f"ig_guardrail.{room}.one": 10 for room in "abcdefghijk"}
    why = why_so_many_lines({"ig_guardrail.workbench.one": 5, "ig_guardrail.engine.vllm.two": 7, **rooms})
    assert why.startswith("12 are of rooms that came after the goal was set (7 engine.vllm, 5 workbench)")
    assert why.endswith("and 1 more")
