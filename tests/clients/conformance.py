"""Conformance to the public descriptions of the wires, by llm-comply: nothing fails but what is declared here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

IMAGES = "answers are given to text; images are refused with 400"
STRANGE = "`reasoning` is no field of chat completions; it is refused by its name"
DECLARED: Mapping[str, Mapping[str, str]] = {  # by format, the tests that fail, and why
    "openai-chat": {"chat-image-input": IMAGES, "chat-reasoning-summary": STRANGE},
    "open-responses": {"image-input": IMAGES},
    "anthropic": {"anth-image-input": IMAGES},
}
THINKING = ("chat-reasoning-summary", "reasoning-summary", "anth-thinking-display")  # asked of models of certain names
THINKER = "scripted:o1-claude-sonnet-4"
RUN = "from llm_comply.cli import main; main()"


def check(address: str, folder: Path) -> None:
    """Raises SystemExit where other tests fail than those that are declared."""
    env = {**os.environ, "PYTHONPATH": str(folder / "llm-comply")}
    for form, declared in DECLARED.items():
        told: dict[str, Sequence[str] | None] = {}
        for asked in (["-m", "scripted:obliging"], ["-m", THINKER, "-f", ",".join(THINKING)]):
            command = [sys.executable, "-c", RUN, "-u", f"{address}/v1", "-k", "none", "--format", form, "--json"]
            ran = subprocess.run([*command, *asked], env=env, stdout=subprocess.PIPE, text=True)
            results = [one for one in json.loads(ran.stdout)["results"] if one["status"] != "skipped"]
            told |= {one["id"]: one["errors"] if one["status"] == "failed" else None for one in results}
        failed = {name: errors for name, errors in told.items() if errors is not None}
        if failed.keys() != declared.keys():
            raise SystemExit(f"llm-comply {form}: {json.dumps(failed, indent=2)}")
        print(f"llm-comply {form}: {len(told) - len(failed)} passed, {len(failed)} failed as declared")
