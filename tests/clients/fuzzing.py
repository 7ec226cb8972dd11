"""Odd requests by the public descriptions of the wires, bounded and seeded: no 5xx, no answer breaks its schema."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SPECS = {  # by file of llm-comply, paths and methods that there are
    "openresponses.json": {"/responses": ("post",)},
    "openai_chat.json": {
        "/chat/completions": ("post",),
        "/models": ("get",),
        "/models/{model}": ("get",),
        "/responses/{response_id}": ("get", "delete"),
    },
}
CHECKS = "not_a_server_error,response_schema_conformance"
ERROR = {  # as clients read it; the descriptions leave errors out, or their envelope
    "type": "object",
    "required": ["message", "type", "param", "code"],
    "properties": {
        "message": {"type": "string", "minLength": 1},
        "type": {"enum": ["invalid_request_error"]},
        "param": {"type": ["string", "null"]},
        "code": {"type": ["string", "null"]},
    },
}
REFUSED = {"type": "object", "required": ["error"], "properties": {"error": ERROR}}
ELSE = {"description": "refused", "content": {"application/json": {"schema": REFUSED}}}
EXAMPLES = 60  # for each method of each path


def check(address: str, folder: Path) -> None:
    """Raises SystemExit where something is found."""
    for name, paths in SPECS.items():
        spec = json.loads((folder / "llm-comply" / "llm_comply" / "specs" / name).read_text(encoding="utf-8"))
        spec["openapi"] = "3.1.0"
        spec["paths"] = {path: _only(spec["paths"][path], methods) for path, methods in paths.items()}
        place = folder / f"fuzzed-{name}"
        place.write_text(json.dumps(_without_discriminators(spec)), encoding="utf-8")
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(place), "--url", f"{address}/v1"]
        command += ["--checks", CHECKS, "--phases", "fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"]
        command += ["--suppress-health-check", "all", "--warnings", "off", "--no-color"]
        env = {
            **os.environ,
            "PYTHONPATH": str(folder / "schemathesis"),
            "SCHEMATHESIS_HOOKS": "tests.clients.fuzz_hooks",
        }
        ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=600)
        if ran.returncode:
            raise SystemExit(ran.stdout)
        statuses = re.search(r"^by status: (.*)$", ran.stdout, re.MULTILINE)
        if statuses is None or "200:" not in statuses[1]:
            raise SystemExit("nothing was answered")
        print(f"Schemathesis {name}: nothing found; requests by status: {statuses[1]}")


def _only(operations: Mapping[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """Some operations of a path, with bodies of JSON; whatever is no 200 is an error.

    The descriptions of streams are of their data, and not of their events; llm-comply reads those.
    """
    found = {method: operations[method] for method in methods}
    for operation in found.values():
        answer = operation["responses"]["200"]
        operation["responses"] = {"200": {**answer, "content": _json(answer)}, "default": ELSE}
        if "requestBody" in operation:
            operation["requestBody"]["content"] = _json(operation["requestBody"])
    return found


def _json(told: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: one for kind, one in told.get("content", {}).items() if kind == "application/json"}


def _without_discriminators(value: Any) -> Any:
    """A description without them: where they are not spelled out, they demand names of schemas for values."""
    if isinstance(value, dict):
        return {key: _without_discriminators(one) for key, one in value.items() if key != "discriminator"}
    return [_without_discriminators(one) for one in value] if isinstance(value, list) else value
