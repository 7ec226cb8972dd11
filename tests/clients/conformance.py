"""Conformance to the public descriptions of the wires, by llm-comply: nothing fails but what is declared here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

IMAGES = "answers are given to text; images are refused with 400"
FORMATS: Mapping[str, Mapping[str, str]] = {  # by format, the tests that fail, and why
    "openai-chat": {"chat-image-input": IMAGES},
    "open-responses": {"image-input": IMAGES},
    "anthropic": {"anth-image-input": IMAGES},
}
RUN = "from llm_comply.cli import main; main()"


def check(address: str, folder: Path) -> None:
    """Raises SystemExit where other tests fail than those that are declared."""
    for form, declared in FORMATS.items():
        command = [sys.executable, "-c", RUN, "-u", f"{address}/v1", "-k", "none", "-m", "scripted:obliging"]
        env = {**os.environ, "PYTHONPATH": str(folder / "llm-comply")}
        ran = subprocess.run([*command, "--format", form, "--json"], env=env, stdout=subprocess.PIPE, text=True)
        results = json.loads(ran.stdout)["results"]
        failed = {one["id"]: one["errors"] for one in results if one["status"] == "failed"}
        passed = sum(one["status"] == "passed" for one in results)
        if failed.keys() != declared.keys():
            raise SystemExit(f"llm-comply {form}: {json.dumps(failed, indent=2)}")
        skipped = len(results) - passed - len(failed)
        print(f"llm-comply {form}: {passed} passed, {len(failed)} failed as declared, {skipped} skipped")
