"""Where policies come from: paths, folders of YAML files, and the policies that come with the package."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from ig_guardrail.fields.paths import expanded
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Position, Spot, clipped, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.yaml.decoding import MOST_BYTES
from ig_guardrail.types import CompiledPolicy

CASES = "_test.yaml"  # how the name of a file ends that has cases of a policy
SCHEMA = "schema.json"  # beside policies: what their first line has editors read
CASES_SCHEMA = "cases.schema.json"  # the same of files of cases
EDITOR = "# yaml-language-server: $schema="
WAIVERS = ("waivers.yaml", "waivers.yml")  # beside policies: the warnings that somebody answers for
STDIN = "-"
IN_STDIN = "<stdin>"  # how faults call what was read there
AN_ADDRESS = ("it is an address, and nothing is fetched", "keep a copy as a file, and name that")
_PACKAGE = "ig_guardrail.policies"


@dataclass(frozen=True, slots=True)
class PolicySource:
    """A policy's bytes, at most one past the size limit, and how to call them."""

    file: str
    content: bytes


def folder_of(policy: str | Path | CompiledPolicy) -> Path | None:
    """The folder of a policy file, where its relative paths start; None for packaged names and compiled values."""
    if isinstance(policy, CompiledPolicy):
        return None
    path = expanded(policy)
    return path.parent if path.is_file() else None


def is_policy(name: str) -> bool:
    """Whether a file of a folder of policies is one, by its name in letters of any case; none of cases or waivers."""
    return name.lower().endswith((".yaml", ".yml")) and not name.startswith(".") and not _is_beside(name)


def policies_among(paths: Iterable[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    """Paths without those of cases and waivers, which a shell's `*.yaml` names too; all of them if none is left."""
    named = list(paths)
    return [path for path in named if not _is_beside(Path(path).name)] or named


def is_cases(name: str) -> bool:
    """Whether a file has cases of a policy, by its name."""
    return name.lower().endswith((CASES, CASES.replace("yaml", "yml")))


def without_cases(name: str) -> str:
    """The name of a file of cases without its end, `_test.yaml` or `_test.yml`; of another file as it is."""
    return name[: name.lower().rindex("_test.")] if is_cases(name) else name


def _is_beside(name: str) -> bool:
    """Whether a file stands beside policies, by its name: one of cases or waivers."""
    return is_cases(name) or name in WAIVERS


def on_the_web(name: str) -> bool:
    """Whether a name is one of the web, which no file has."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name) is not None


def packaged_names() -> tuple[str, ...]:
    """The names of the policies that come with the package, sorted."""
    names = (entry.name for entry in resources.files(_PACKAGE).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if is_policy(name)))


def called(file: str) -> str:
    """A file in short: a packaged policy without its folder, anything else as it is named."""
    folder, name = os.path.split(file)
    return name if folder == str(resources.files(_PACKAGE)) else file


def fetch(source: str | os.PathLike[str]) -> PolicySource | Diagnostic:
    """The bytes of a policy, or why they cannot be had.

    A word without `/` and suffix is a packaged name before it is a file; everything else is a path.
    """
    name = os.fspath(source)
    if isinstance(source, str) and name in packaged_names():
        entry = resources.files(_PACKAGE) / f"{name}.yaml"
        return PolicySource(str(entry), entry.read_bytes())
    if not name:
        return _unreadable(name, "its name is empty", f"packaged policies: {', '.join(packaged_names())}")
    if on_the_web(name):
        return _unreadable(name, *AN_ADDRESS)
    path = expanded(name)
    name = str(path) if name.startswith("~") else name
    try:
        if not path.exists():
            return _missing(name)
        if not path.is_file():
            return _unreadable(name, "it is not a file", "name a YAML file")
        with path.open("rb") as file:
            return PolicySource(name, file.read(MOST_BYTES + 1))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return _unreadable(name, reason.lower(), "check the path and its permissions")


def expand(path: str | os.PathLike[str]) -> list[str | os.PathLike[str]] | Diagnostic:
    """The `*.yaml` and `*.yml` files of a folder and its folders, sorted; anything else as it is.

    Hidden files and folders stay out, and so do cases and waivers.
    """
    folder = expanded(os.fspath(path))
    if _is_beside(folder.name) and os.fspath(path) not in packaged_names():
        what, then = ("waivers", "check") if folder.name in WAIVERS else ("cases of a policy", "test")
        return _unreadable(
            os.fspath(path), f"it holds {what}", f"name the policy; `ig-guardrail policy {then}` reads this file"
        )
    try:
        if not os.fspath(path) or not folder.is_dir() or (isinstance(path, str) and path in packaged_names()):
            return [path]
        found = sorted(map(str, _below(folder)))
    except (OSError, ValueError) as error:
        reason, place = str(error), os.fspath(path)
        if isinstance(error, OSError) and error.strerror:
            reason, place = error.strerror.lower(), error.filename or place
        return _unreadable(os.fspath(path), reason, f"check {place} and its permissions")
    if not found:
        return _unreadable(
            os.fspath(path), "the folder holds no policy, *.yaml or *.yml", "name a folder with policies in it"
        )
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    """The policies of a folder and its folders; links to folders are not followed."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place) / name for name in files if is_policy(name))


def _raise(error: OSError) -> None:
    """A folder that cannot be looked into may hold policies: that it was left out must not pass in silence."""
    raise error


def read_stdin() -> PolicySource:
    """What standard input holds, at most one byte past the size limit; its paths start at the working directory."""
    return PolicySource(IN_STDIN, sys.stdin.buffer.read(MOST_BYTES + 1))


def _missing(name: str) -> Diagnostic:
    path = Path(name)
    if path.is_symlink():
        try:
            target = os.readlink(path)
        except OSError as error:
            return _unreadable(name, str(error), "check the path and its permissions")
        advice = f"there is no {quoted(target)}: point the link at a policy, or name the policy itself"
        return _unreadable(name, "it is a link that leads to no file", advice)
    known = packaged_names()
    stem = Path(name).name.removesuffix(".yaml").removesuffix(".yml")
    close = suggest(stem, known)
    if name.endswith((".yaml", ".yml")) and Path(name).parent.is_dir():
        beside = {one.stem: one.name for one in Path(name).parent.iterdir() if one.suffix in (".yaml", ".yml")}
        near = suggest(stem, beside)
        close = beside[near] if near else close
    guess = f"did you mean {quoted(close)}? " if close else ""
    return _unreadable(name, "there is no such file", f"{guess}Packaged policies: {', '.join(known)}")


def _unreadable(name: str, reason: str, advice: str) -> Diagnostic:
    fault = Spot((), Position()).fault(
        "P001", f"policy {quoted(name)} cannot be read", label=clipped(reason), help=advice
    )
    return replace(fault, file=name)
