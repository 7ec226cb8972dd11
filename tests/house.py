"""How easy the package is to find one's way in: counts of its modules, folders, names and of the way of a prompt.

python -m tests.house           print the table
python -m tests.house --json    the same as values, for benchmarks/results/house.json
"""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("engine", "policy", "costs", "search", "drive", "learn")


@dataclass(frozen=True)
class Figure:
    """One measure of the house and its goal; what: which modules, folders or names stand behind the count."""

    title: str
    value: int
    goal: int | None
    what: tuple[str, ...] = ()


def main(arguments: list[str]) -> int:
    figures = measure()
    if "--json" in arguments:
        print(json.dumps([{"title": one.title, "value": one.value, "goal": one.goal} for one in figures], indent=1))
    else:
        for one in figures:
            goal = "" if one.goal is None else f"goal <= {one.goal}: {'met' if one.value <= one.goal else 'MISSED'}"
            print(f"{one.value:7}  {one.title}  {goal}")
            if "--names" in arguments:
                print("         " + ", ".join(one.what))
    return 0


def measure() -> list[Figure]:
    """Every figure. Opens the embedded model, for the way of a prompt."""
    modules = read_modules()
    lonely = [name for name, users in importers(modules).items() if len(users) == 1 and name.split(".")[1] in ROOMS]
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules.values() if path.stem != "__init__")
    full = [f"{folder} {count}" for folder, count in folders.most_common() if count > 16]
    doubled = names_with_two_meanings(modules)
    files, functions = way_of_a_prompt()
    return [
        Figure("files that a prompt passes from `ChatIGGuardrail._stream` to the chunk", len(files), 20, tuple(files)),
        Figure("functions on that way", functions, None),
        Figure("modules of six rooms with exactly one importer", len(lonely), 20, tuple(lonely)),
        Figure("files in the fullest folder", folders.most_common(1)[0][1], 16, tuple(full)),
        Figure("public names with two meanings across rooms", len(doubled), 0, tuple(doubled)),
        Figure("modules", len(modules), None),
        Figure("lines of the package that are not blank", sum(map(_lines, modules.values())), 25_000),
    ]


def _lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())


def read_modules() -> Mapping[str, Path]:
    """Every module of the package and its file, by the name it is imported by."""
    found = {}
    for folder in ("ig_guardrail", "integrations"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts if folder == "ig_guardrail" else ("ig_guardrail", *parts))
            found[name.removesuffix(".__init__")] = path
    return found


def importers(modules: Mapping[str, Path]) -> Mapping[str, set[str]]:
    """Which modules import each module; packages are left out of what is imported, not of who imports."""
    users: dict[str, set[str]] = {name: set() for name, path in modules.items() if path.stem != "__init__"}
    for name, path in modules.items():
        for imported in _imported(ast.parse(path.read_text())):
            if imported in users and imported != name:
                users[imported].add(name)
    return users


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def names_with_two_meanings(modules: Mapping[str, Path]) -> list[str]:
    """Public classes and type aliases that more than one room defines."""
    places = defaultdict(set)
    for name, path in modules.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].add(name)
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
                places[ast.unparse(node.target)].add(name)
    doubled = {one: rooms for one, rooms in places.items() if len(rooms) > 1 and not one.startswith("_")}
    return [f"{one} ({', '.join(sorted(rooms))})" for one, rooms in sorted(doubled.items())]


def way_of_a_prompt() -> tuple[list[str], int]:
    """The files of the package that run, on the caller's thread, for the second prompt of a chat model; functions."""
    from ig_guardrail import ChatIGGuardrail

    model = ChatIGGuardrail(model="embedded", policy="default", max_tokens=20, seed=1)
    model.invoke("Name a kind of tea.")
    seen: set[tuple[str, str]] = set()

    def follow(frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith((f"{ROOT}/ig_guardrail/", f"{ROOT}/integrations/")):
            seen.add((file.removeprefix(f"{ROOT}/"), frame.f_code.co_qualname))

    sys.setprofile(follow)
    try:
        list(model.stream("Name a kind of coffee."))
    finally:
        sys.setprofile(None)
    on_the_way = {place for place in seen if not place[1].split(".")[-1].startswith("<")}
    return sorted({file for file, _ in on_the_way}), len(on_the_way)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
