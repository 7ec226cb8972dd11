"""Configurations with a mistake: which product refuses which, where it says the mistake is, and what still guards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

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


def tried(envs: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """By product and edit: `stage`, `message` and `blocked` as `trying.py` tells them, and `became`."""
    found = {}
    for product, given in yaml.safe_load(FILE.read_text(encoding="utf-8")).items():
        names = ["", *given["edits"]]
        texts = [given["base"], *(edited(given["base"], given["edits"][name]) for name in names[1:])]
        told = dict(zip(names, _told(product, texts, envs), strict=True))
        if told.pop("")["blocked"] is not True:
            raise GuardrailError(f"{product} as it stands stops nothing", where="edits.yaml")
        found[product] = {name: one | {"became": became(one)} for name, one in told.items()}
        print(product, {name: one["became"] for name, one in found[product].items()})
    return found


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


def _told(product: str, texts: Sequence[str], envs: Path) -> Iterator[dict[str, Any]]:
    python = str(envs / ENVS_OF[product] / "bin" / "python") if ENVS_OF[product] else sys.executable
    command = [python, str(Path(__file__).with_name("trying.py")), product]
    for text in texts:  # each in a process of its own: some products remember
        done = subprocess.run(
            command, input=json.dumps([text]), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | QUIET,
        )  # fmt: skip
        yield json.loads(done.stdout)
