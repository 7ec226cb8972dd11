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
LONGEST = 300  # lines that are not blank, beyond which a joined module is no easier to read
FEW = 2  # functions of a file that a prompt passes: mostly a question that has a short answer
REGISTRIES = ("registry", "catalog", "subjects")  # names of modules that list what plugs in: one file and one line each
LATER = (  # what came after the goals were set, on 2026-11-29
    *("workbench", "integrations.openai_server", "integrations.ray_serve", "schemas", "audit", "rollout", "database"),
    *("engine.openai_compatible", "engine.vllm", "engine.llama_cpp", "engine.compiled"),
)


@dataclass(frozen=True)
class Figure:
    """One measure of the house and its goal.

    why   what a count that misses its goal is made of
    what  which modules, folders or names stand behind the count
    """

    title: str
    value: int
    goal: int | None
    why: str = ""
    what: tuple[str, ...] = ()

    @property
    def missed(self) -> bool:
        return self.goal is not None and self.value > self.goal


def main(arguments: list[str]) -> int:
    figures = measure()
    if "--json" in arguments:
        told = [{"title": one.title, "value": one.value, "goal": one.goal, "why": one.why} for one in figures]
        print(json.dumps(told, indent=1))
    else:
        for one in figures:
            goal = "" if one.goal is None else f"goal <= {one.goal}: {'MISSED' if one.missed else 'met'}"
            print(f"{one.value:7}  {one.title}  {goal}")
            if one.why:
                print(f"         {one.why}")
            if "--names" in arguments:
                print("         " + ", ".join(one.what))
    return 0


def measure() -> list[Figure]:
    """Every figure. Opens the embedded model, for the way of a prompt."""
    modules = read_modules()
    sizes = {name: _lines(path) for name, path in modules.items()}
    lonely = {
        name: next(iter(users))
        for name, users in importers(modules).items()
        if len(users) == 1 and name.split(".")[1] in ROOMS
    }
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules.values() if path.stem != "__init__")
    full = [f"{folder} {count}" for folder, count in folders.most_common() if count > 16]
    doubled = names_with_two_meanings(modules)
    files = way_of_a_prompt()
    title = "files that a prompt passes from `ChatIGGuardrail._stream` to the chunk"
    return [
        Figure(title, len(files), 20, why_so_many_files(files, sizes, 20), tuple(sorted(files))),
        Figure("functions on that way", files.total(), None),
        Figure(
            "modules of six rooms with exactly one importer",
            len(lonely),
            20,
            why_so_lonely(lonely, modules, sizes),
            tuple(lonely),
        ),
        Figure("files in the fullest folder", folders.most_common(1)[0][1], 16, what=tuple(full)),
        Figure("public names with two meanings across rooms", len(doubled), 0, what=tuple(doubled)),
        Figure("modules", len(modules), None),
        Figure("lines of the package that are not blank", sum(sizes.values()), 25_000, why_so_many_lines(sizes)),
    ]


def why_so_many_files(files: Mapping[str, int], sizes: Mapping[str, int], goal: int) -> str:
    """Whose files a prompt passes, and how long they would be if they were as few as the goal says.

    files: of each, how many functions a prompt passes
    """
    names = [_module_of(file) for file in files]
    rooms = Counter(_room_of(name) for name in names)
    lines = [sizes[name] for name in names]
    return (
        f"{_listed(rooms)}. {sum(count <= FEW for count in files.values())} of them are passed in {FEW} functions at "
        f"most. They have {sum(lines):,} lines, {sum(lines) // len(lines)} each; {goal} files would have "
        f"{sum(lines) // goal} each, and the longest module of all has {max(sizes.values())}"
    )


def why_so_lonely(lonely: Mapping[str, str], modules: Mapping[str, Path], sizes: Mapping[str, int]) -> str:
    """Why modules stand beside the one that imports them, by what their importers are."""
    kinds = Counter(_why_apart(name, user, modules, sizes) for name, user in lonely.items())
    return _listed(kinds)


def _why_apart(name: str, user: str, modules: Mapping[str, Path], sizes: Mapping[str, int]) -> str:
    if user.split(".")[-1] in REGISTRIES:
        return "plug in by one line of a registry"
    if user.split(".")[1] == "cli":
        return "are the work of one command"
    if _is_late(name, modules[user]):
        return "are imported late, with heavy packages"
    if sizes[name] + sizes[user] > LONGEST:
        return f"would make a module of over {LONGEST} lines with their importer"
    return "hold an idea of their own"


def _is_late(name: str, user: Path) -> bool:
    """Whether a module is imported within functions alone."""
    top = ast.parse(user.read_text()).body
    return name not in {one for node in top if isinstance(node, ast.ImportFrom) for one in _named(node)}


def why_so_many_lines(sizes: Mapping[str, int]) -> str:
    """How the lines divide between what was there when the goal was set and what came later, and over the rooms."""
    later: Counter[str] = Counter()
    before: Counter[str] = Counter()
    for name, lines in sizes.items():
        own = name.removeprefix("ig_guardrail.")
        room = next((one for one in LATER if own == one or own.startswith(f"{one}.")), None)
        (later if room else before)[room or _room_of(name)] += lines
    return (
        f"{sum(later.values()):,} are of rooms that came after the goal was set ({_listed(later)}); of the others "
        f"{_listed(Counter(dict(before.most_common(10))))}, and {len(before) - 10} more"
    )


def _room_of(name: str) -> str:
    """The room of a module: a folder of the package, and of `integrations`; the package's own files are one."""
    parts = name.split(".")[1:]
    if parts[:1] == ["integrations"]:
        return ".".join(parts[:2])
    return parts[0] if len(parts) > 1 else "single files"


def _module_of(file: str) -> str:
    name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return name if name.startswith("ig_guardrail") else f"ig_guardrail.{name}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


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
        if isinstance(node, ast.ImportFrom):
            yield from _named(node)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _named(node: ast.ImportFrom) -> Iterator[str]:
    """What an import may mean: the module that it names, and those in it."""
    if node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


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


def way_of_a_prompt() -> Counter[str]:
    """The files of the package that run, on the caller's thread, for the second prompt of a chat model: how many of
    their functions do."""
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
    return Counter(file for file, function in seen if not function.split(".")[-1].startswith("<"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
