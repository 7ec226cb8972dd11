"""Real servers, each started once: `make test-servers` says where they are. Elsewhere no test here is collected."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_socket import enable_socket

from ig_guardrail.engine.kinds import EngineChoice
from ig_guardrail.engine.loading.embedded import embedded_model, packed_file
from ig_guardrail.engine.openai_compatible.engine import OpenAICompatibleEngine
from ig_guardrail.engine.openai_compatible.opening import open_choice

if "IG_TEST_SERVERS" not in os.environ:
    collect_ignore_glob = ["test_*.py"]

LOADED_S = 900  # in which a server has to have loaded the embedded model
OF_A_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}


@dataclass(frozen=True)
class Served:
    """A running server, and how the engine is told of it."""

    name: str
    url: str
    model: str

    def options(self) -> dict[str, Any]:
        return {"base_url": self.url, "tokenizer": "embedded", "context": 2048, "timeout_s": 600}

    def engine(self, **changes: Any) -> OpenAICompatibleEngine:
        return open_choice(EngineChoice(self.model, options=self.options() | changes))


def command_of(name: str, port: int, folder: Path) -> tuple[list[str], dict[str, str]] | None:
    """How a server of the embedded model is started, and in which environment; None where it is not installed."""
    packed = [] if name.startswith("vllm") else ["--model", str(packed_file())]
    match name:
        case "llama-server":
            found = shutil.which(os.environ.get("IG_TEST_LLAMA_SERVER", "llama-server"))
            settings = ["-c", "8192", "-np", "4", "-t", "1", "--no-webui"]
            return found and ([found, *packed, "--port", str(port), *settings], {})  # type: ignore[return-value]
        case "llama_cpp.server":
            python = os.environ.get("IG_TEST_LLAMA_PYTHON", "")
            settings = ["--n_ctx", "2048", "--n_threads", "1"]
            command = [python, "-m", "llama_cpp.server", *packed, "--port", str(port), *settings]
            return (command, {}) if shutil.which(python) else None
        case _:
            python = os.environ.get("IG_TEST_VLLM_PYTHON", "")
            if not shutil.which(python):
                return None
            settings = ["--enforce-eager", "--max-model-len", "2048", "--max-num-seqs", "16"]
            settings += ["--enable-scale-out"] if name == "vllm --enable-scale-out" else []
            served = ["serve", str(embedded_model("bfloat16")[0]), "--served-model-name", "embedded"]
            command = [str(Path(python).with_name("vllm")), *served, "--port", str(port), *settings]
            return command, OF_A_CPU | {"PYTHONPATH": _vllm_by_name(folder)}


def _vllm_by_name(folder: Path) -> str:
    """A folder by which the build for CPUs, which has another name, is found under vLLM's own."""
    told = folder / "vllm-0.32.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n")
    return str(folder)


SERVERS = ("vllm", "vllm --enable-scale-out", "llama-server", "llama_cpp.server")


@pytest.fixture(scope="session", params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    enable_socket()
    name, folder = request.param, tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = command_of(name, port, folder)
    if not found:
        pytest.skip(f"{name} is not installed")
    command, settings = found
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **settings})
        try:
            _wait(f"{url}/v1/models", process, folder / "log")
            yield Served(name, f"{url}/v1", "embedded" if name.startswith("vllm") else str(packed_file()))
        finally:
            process.terminate()
            process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + LOADED_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"the server did not come up: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(autouse=True)
def _no_network() -> None:
    """These tests talk to servers on this machine."""
    enable_socket()
