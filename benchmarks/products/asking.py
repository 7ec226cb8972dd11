"""Starts the host and the products, each a process in an environment of its own, and asks them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.errors import GuardrailError

HERE = Path(__file__).parent
QUIET = {  # nothing is told to the products' makers, and nothing is fetched
    "OTEL_SDK_DISABLED": "true",
    "GUARDRAILS_RUN_SYNC": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "LANGSMITH_TRACING": "false",
    "HF_HUB_OFFLINE": "1",
    "NEMO_GUARDRAILS_TELEMETRY": "0",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A way in which a product is run. env: the folder of its environment, "" for ours"""

    name: str
    env: str
    script: str
    arguments: tuple[str, ...] = ()

    def python(self, envs: Path) -> str:
        """What runs it."""
        return str(envs / self.env / "bin" / "python") if self.env else sys.executable


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader saw of an answer. pieces: of text; end: see `through/wire.py`"""

    pieces: Sequence[str]
    end: str
    said: str
    checks: int

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Host:
    """The process that answers and judges. envs: a folder with an environment for each product; logs: a folder"""

    url: str
    facts: Mapping[str, Any]
    envs: Path
    logs: Path

    def allows(self, prompt: str, text: str) -> bool:
        """What the policy makes of a text as the answer to a prompt."""
        body = json.dumps({"inputs": [{"prompt": prompt, "text": text}]}).encode()
        head = {"content-type": "application/json"}
        asked = urllib.request.Request(f"{self.url}/v1/guard/check", body, head)
        with urllib.request.urlopen(asked) as reply:
            return bool(json.load(reply)["allowed"])


class Product:
    """A process that answers one question after another."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process, self._name = process, name

    def ask(self, prompt: str, seed: int, max_tokens: int) -> Seen:
        """Raises GuardrailError where the process ends instead."""
        assert self._process.stdin is not None
        pieces: list[str] = []
        self._process.stdin.write(json.dumps({"prompt": prompt, "seed": seed, "max_tokens": max_tokens}) + "\n")
        self._process.stdin.flush()
        while "end" not in (told := self.told()):
            pieces.append(told["text"])
        return Seen(pieces, told["end"], told["said"], told["checks"])

    def told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise GuardrailError(f"{self._name} ended", where="benchmark", fix="read its log")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def hosting(model: str, envs: Path, logs: Path) -> Iterator[Host]:
    """The host, until it is not needed."""
    logs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(HERE / "host.py"), model, str(logs / "drafts.jsonl")]
    with _running(command, {}, logs / "host.log") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise GuardrailError("the host did not start", where="benchmark", fix=f"read {logs / 'host.log'}")
        facts = json.loads(line)
        yield Host(f"http://127.0.0.1:{facts['port']}", facts, envs, logs)


@contextmanager
def asking(setting: Setting, host: Host) -> Iterator[Product]:
    """A product in front of the host."""
    arguments = [argument.format(host=host.url) for argument in setting.arguments]
    command = [setting.python(host.envs), str(HERE / "through" / setting.script), *arguments]
    log = host.logs / f"{setting.name}.log"
    with _running(command, {"PRODUCT_HOST": host.url}, log) as process:
        product = Product(process, f"{setting.name} ({log})")
        product.told()
        yield product


@contextmanager
def _running(command: Sequence[str], facts: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": os.environ | QUIET | facts}
    with log.open("w", encoding="utf-8") as file, subprocess.Popen(command, stderr=file, **pipes) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
