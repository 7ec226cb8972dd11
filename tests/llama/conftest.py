"""Engines by llama.cpp, each opened once. `make test-llama` installs it; elsewhere none of these tests is collected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.types import Draw, Message, Node, Prompt, Sampling

if "IG_TEST_LLAMA" not in os.environ:
    collect_ignore_glob = ["test_*.py"]

TALE = "The harbour was grey that morning, and the boats lay still beside the old stone pier. "
MODEL = os.environ.get("IG_TEST_GGUF") or "embedded"


def opened(model: str, **options: Any) -> Any:
    from ig_guardrail.engine.kinds import EngineChoice
    from ig_guardrail.engine.llama_cpp.opening import open_llama_cpp

    return open_llama_cpp(EngineChoice(model, options={"threads": 1, **options}))


def prompt(engine: Any, times: int = 1) -> Prompt:
    """A question of about 20 tokens for each time."""
    made: Prompt = engine.encode([Message("user", TALE * times + "Tell me what happened next.")])
    return made


def endless(engine: Any, **changes: Any) -> Sampling:
    bias = tuple((token, -1e9) for token in engine._operations.language.end)
    return Sampling(**{"seed": 11, "logit_bias": bias, "max_tokens": 400, **changes})


def lone(engine: Any, root: Node, blocks: int = 3, size: int = 8) -> Node:
    """The unguarded stream."""
    node = root
    for _ in range(blocks):
        (node,) = engine.extend([Draw(node)], size).result()
    return node


def logprobs(node: Node) -> list[float]:
    return [value for step in node.path() for value in step.logprobs]


@pytest.fixture(scope="session")
def real() -> Any:
    """The embedded model's file, or the one that $IG_TEST_GGUF names."""
    return opened(MODEL)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return opened(str(tiny_file(tmp_path_factory.mktemp("gguf"))))


@pytest.fixture(params=["packed", pytest.param("real", marks=pytest.mark.real)], scope="session")
def steady_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Files of which several tokens are read at once."""
    if request.param == "real":
        return MODEL
    return str(tiny_file(tmp_path_factory.mktemp("packed"), context=4000, packed=True))


@pytest.fixture(params=[1, 2], ids=["one-thread", "two-threads"], scope="session")
def steady(request: pytest.FixtureRequest, steady_model: str) -> Any:
    """Their engines, whose keys and values are float16 on one thread and bfloat16 on several."""
    return opened(steady_model, threads=request.param)


def tiny_file(folder: Path, **changes: Any) -> Path:
    from tests.conformance.engine.tiny_gguf import write_tiny

    return write_tiny(folder / "tiny.gguf", **changes)
