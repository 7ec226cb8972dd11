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
PLACE = re.compile(r"\bline \d+|:\d+:\d+", re.IGNORECASE)


def try_all(envs: Path, file: Path) -> None:
    """Keep in a file, by product, its version of the edits (`of`), and by edit `stage`, `message`, `blocked`, `became`.

    What was tried already is not tried again. Raises GuardrailError where a base does not stop what it should.
    """
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for product, given in yaml.safe_load(FILE.read_text(encoding="utf-8")).items():
        of = sha256(json.dumps(given).encode()).hexdigest()
        if kept.get(product, {}).get("of") == of:
            continue
        texts = {"": given["base"], **{name: edited(given["base"], edit) for name, edit in given["edits"].items()}}
        told = {name: _told(product, text, envs) for name, text in track(texts.items(), product)}
        if told.pop("")["blocked"] is not True:
            raise GuardrailError(f"{product} as it stands stops nothing", where=str(FILE))
        edits = {name: one | {"became": became(one)} for name, one in told.items()}
        kept[product] = {"of": of, "form": given["form"], "edits": edits}
        file.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def edited(base: str, edit: Mapping[str, str]) -> str:
    """The text with an edit. Raises GuardrailError unless it is there once."""
    ((old, new),) = edit.items()
    if base.count(old) < 1:
        raise GuardrailError(f"there is no {old!r}", where="edits.yaml")
    return base.replace(old, new, 1)


def became(one: Mapping[str, Any]) -> str:
    """`line` or `refused` before anything is asked, `asked` (an error then), `kept` (it still stops), or `open`."""
    if one["stage"] in ("load", "start"):
        return "line" if PLACE.search(one["message"]) else "refused"
    if one["stage"]:
        return "asked"
    return "kept" if one["blocked"] else "open"


def _told(product: str, text: str, envs: Path) -> dict[str, Any]:
    """By `trying.py`, in a process of its own: some products remember."""
    python = str(envs / ENVS_OF[product] / "bin" / "python") if ENVS_OF[product] else sys.executable
    command = [python, str(Path(__file__).with_name("trying.py")), product]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    done = subprocess.run(command, input=json.dumps([text]), env=os.environ | QUIET, **pipes)
    told: dict[str, Any] = json.loads(done.stdout)
    return told
