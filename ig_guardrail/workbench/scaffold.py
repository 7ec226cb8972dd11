"""A folder for a policy of one's own: a packaged policy under a new name, or one that extends it, and its cases.

Their schemas lie beside them, where their first lines tell editors to look: no network is needed for that.
"""

from __future__ import annotations

import re
import unicodedata
from importlib import resources
from pathlib import Path

from ig_guardrail.errors import RequestError
from ig_guardrail.policy import load_policy
from ig_guardrail.policy.language.names import NAME
from ig_guardrail.policy.language.policy import API_VERSION, KIND
from ig_guardrail.policy.reference.json_schema import json_schema
from ig_guardrail.policy.sources import CASES, CASES_SCHEMA, EDITOR, SCHEMA
from ig_guardrail.policy.yaml.scalars import read_as
from ig_guardrail.workbench.cases.recordings import SUFFIX
from ig_guardrail.workbench.schemas import cases_schema

CHILD = """\
# All that `{source}` says, and what is stricter here: write it below. `ig-guardrail policy show {source}` shows what
# there is to tighten, `ig-guardrail policy explain` which file says what.
apiVersion: {version}
kind: {kind}
metadata:
  name: {name}
  version: 1.0.0
  owners: []   # who answers for it, such as [you@example.org]
extends: {{policy: {source}, version: "{range}"}}

# budgets:
#   - {{id: harmful-help, threshold: 0.3}} # lower is stricter; what is not written is as `{source}` has it
"""


def write_policy(folder: Path, source: str, *, extend: bool = False) -> list[Path]:
    """Write `policy.yaml`, `policy_test.yaml`, its recorded scores and both schemas into a new folder; the files.

    extend: whether the policy extends the packaged one, and is no copy of it
    Raises RequestError where the folder is there already, or cannot be a policy's name.
    """
    if not folder.name:
        raise RequestError(
            "it names no new folder",
            where="NAME",
            why="the folder's name becomes the policy's",
            fix=f"write it like {NAME.example}",
        )
    name = folder.resolve().name
    if not re.fullmatch(NAME.pattern, name):
        near = re.sub("[^a-z0-9]+", "-", _plain(name.lower())).strip("-")
        fix = f"write {folder.parent / near}" if re.fullmatch(NAME.pattern, near) else f"write it like {NAME.example}"
        raise RequestError(f"'{name}' cannot be a policy's name", where="NAME", why="small letters, digits, -", fix=fix)
    if folder.exists():
        raise RequestError(
            f"{folder} is there already", where="NAME", why="nothing is overwritten", fix="choose another"
        )
    packaged = resources.files("ig_guardrail.policies")
    text = (packaged / f"{source}.yaml").read_text(encoding="utf-8")
    files = {
        "policy.yaml": _child(name, source) if extend else _named(text, name, source),
        f"policy{CASES}": f"{EDITOR}{CASES_SCHEMA}\n" + (packaged / f"{source}{CASES}").read_text(encoding="utf-8"),
        f"policy{SUFFIX}": (packaged / f"{source}{SUFFIX}").read_text(encoding="utf-8"),
        SCHEMA: json_schema(),
        CASES_SCHEMA: cases_schema(),
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


def _plain(text: str) -> str:
    """A text without accents."""
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))


def _written(name: str) -> str:
    """A name as YAML takes it for text."""
    return name if read_as(name) is None else f'"{name}"'


def _child(name: str, source: str) -> str:
    """A policy that extends another one, of the version that it has now, and all up to the next great change."""
    version = load_policy(source).version
    versions = f">={version},<{int(version.split('.')[0]) + 1}"
    return f"{EDITOR}{SCHEMA}\n" + CHILD.format(
        name=_written(name), source=source, range=versions, version=API_VERSION, kind=KIND
    )


def _named(text: str, name: str, source: str) -> str:
    """A policy under another name, in version 1.0.0, of nobody yet."""
    text = re.sub(rf"(?m)^  name: {source}$", f"  name: {_written(name)}", text, count=1)
    return re.sub(
        r"(?m)^  owners: .*$", "  owners: []   # who answers for it, such as [you@example.org]", text, count=1
    )
