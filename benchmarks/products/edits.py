"""Configurations with a mistake: which product refuses which, where it says the mistake is, and what still guards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import track

from ig_guardrail.errors import GuardrailError
from products.asking import QUIET

EDITS = "edits"
FILE = Path(__file__).with_name("edits.yaml")
MEANT = {
    "section": "a section's name misspelt",
    "option": "an option's name misspelt",
    "twice": "a key written twice",
    "indentation": "a line indented too little",
    "range": "a number or level outside its range",
    "type": "a value of the wrong type",
    "unknown": "a rail, check or cost model that does not exist",
    "word": "a word that the option does not know",
    "regex": "a pattern that is no regular expression",
    "empty": "nothing to look for: an empty list or pattern",
    "tool": "a tool's name misspelt",
}
ENVS_OF = {
    "ig-guardrail": "",
    "NeMo Guardrails": "nemo",
    "Guardrails AI": "guardrails",
    "OpenAI guardrails": "openai_checks",
    "LiteLLM proxy": "litellm",
    "LangChain middleware": "langchain",
}
LOGGED = re.compile("ERROR|WARNING|Warning:")
PLACE = re.compile(r"\bline \d+|:\d+:\d+", re.IGNORECASE)


def try_all(envs: Path, file: Path) -> None:
    """Keep in a file, by product, its version of the edits (`of`) and what `try_one` tells.

    What was tried already is not tried again. Raises GuardrailError where a base does not stop what it should.
    """
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for product, given in yaml.safe_load(FILE.read_text(encoding="utf-8")).items():
        of = sha256(json.dumps(given).encode()).hexdigest()
        if kept.get(product, {}).get("of") == of:
            continue
        kept[product] = {"of": of, "form": given["form"], "edits": try_one(product, given, envs)}
        file.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def outcomes(file: Path) -> dict[str, dict[str, Any]]:
    """By product: its `form`, and by edit what became of it, without messages."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {
        product: {"form": one["form"], "edits": {name: edit["became"] for name, edit in one["edits"].items()}}
        for product, one in kept.items()
    }


def try_one(product: str, given: Mapping[str, Any], envs: Path) -> dict[str, dict[str, Any]]:
    """By edit: what `trying.py` tells, what was `logged` that the base does not log, and what `became` of it."""
    base, usual = _told(product, given["base"], envs)
    if base["blocked"] is not True:
        raise GuardrailError(f"{product} as it stands stops nothing", where=str(FILE))
    found = {}
    for name, edit in track(given["edits"].items(), product, console=Console(stderr=True)):
        one, logged = _told(product, edited(given["base"], edit), envs)
        one |= {"logged": sorted(logged - usual)}
        found[name] = one | {"became": became(one)}
    return found


def edited(base: str, edit: Mapping[str, str]) -> str:
    """The text with an edit. Raises GuardrailError unless it is there once."""
    ((old, new),) = edit.items()
    if base.count(old) < 1:
        raise GuardrailError(f"there is no {old!r}", where="edits.yaml")
    return base.replace(old, new, 1)


def became(one: Mapping[str, Any]) -> str:
    """`line` or `refused` before anything is asked, `asked` (an error then); else `logged`, `kept` or `open`.

    logged  it starts, and logs a complaint: of what it then stops, `blocked` tells
    kept    it still stops what it should
    open    it stops nothing any more
    """
    if one["stage"] in ("load", "start"):
        return "line" if PLACE.search(one["message"]) else "refused"
    if one["stage"]:
        return "asked"
    if one["logged"]:
        return "logged"
    return "kept" if one["blocked"] else "open"


def _told(product: str, text: str, envs: Path) -> tuple[dict[str, Any], set[str]]:
    """By `trying.py`, each in a process of its own; and the errors and warnings that were logged, without numbers."""
    python = str(envs / ENVS_OF[product] / "bin" / "python") if ENVS_OF[product] else sys.executable
    command = [python, str(Path(__file__).with_name("trying.py")), product]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    done = subprocess.run(command, input=json.dumps([text]), env=os.environ | QUIET, **pipes)
    logged = {re.sub(r"\d+", "", line)[:200] for line in done.stderr.splitlines() if LOGGED.search(line)}
    told: dict[str, Any] = json.loads(done.stdout)
    return told, logged
