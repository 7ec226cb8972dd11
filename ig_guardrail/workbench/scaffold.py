"""A folder for a policy of one's own: a packaged policy under a new name, with its cases, ready to be changed.

The schema lies beside it, where the policy's first line tells editors to look: no network is needed for it.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from ig_guardrail.errors import RequestError
from ig_guardrail.policy.language import NAME
from ig_guardrail.policy.sources import CASES, SCHEMA
from ig_guardrail.workbench.cases.recordings import SUFFIX


def write_policy(folder: Path, source: str) -> list[Path]:
    """Write `policy.yaml`, `policy_test.yaml`, its recorded scores and the schema into a new folder; the files.

    Raises RequestError where the folder is there already, or cannot be a policy's name.
    """
    name = folder.resolve().name
    if not re.fullmatch(NAME.pattern, name):
        near = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
        fix = f"write {folder.parent / near}" if re.fullmatch(NAME.pattern, near) else f"write it like {NAME.example}"
        raise RequestError(f"'{name}' cannot be a policy's name", where="NAME", why="small letters, digits, -", fix=fix)
    if folder.exists():
        raise RequestError(
            f"{folder} is there already", where="NAME", why="nothing is overwritten", fix="choose another"
        )
    packaged = resources.files("ig_guardrail.policies")
    files = {
        "policy.yaml": _named((packaged / f"{source}.yaml").read_text(encoding="utf-8"), name, source),
        f"policy{CASES}": (packaged / f"{source}{CASES}").read_text(encoding="utf-8"),
        f"policy{SUFFIX}": (packaged / f"{source}{SUFFIX}").read_text(encoding="utf-8"),
        SCHEMA: (packaged / SCHEMA).read_text(encoding="utf-8"),
    }
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(
            "the folder cannot be written", where=str(folder), why=error.strerror or str(error)
        ) from error
    return [folder / file for file in files]


def _named(text: str, name: str, source: str) -> str:
    """A policy under another name, in version 1.0.0, of nobody yet."""
    text = re.sub(rf"(?m)^  name: {source}$", f"  name: {name}", text, count=1)
    return re.sub(
        r"(?m)^  owners: .*$", "  owners: []   # who answers for it, such as [you@example.org]", text, count=1
    )
