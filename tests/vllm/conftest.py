"""Tests on a real vLLM, in an environment of its own: `make test-vllm`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy import load_policy
from ig_guardrail.spec import GuardrailSpec

collect_ignore_glob = [] if "IG_TEST_VLLM" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def rail() -> Iterator[Guardrail]:
    """The embedded model in vLLM, under the default policy."""
    policy = replace(load_policy("default"), allow_unguarded=True)
    rail = open_guardrail(
        GuardrailSpec(policy=policy, engine="vllm", engine_options={"max_num_seqs": 64, "kv_cache_memory_bytes": 2**29})
    )
    yield rail
    rail.engine.shutdown()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def usual() -> Guardrail:
    """The same in `transformers`."""
    return open_guardrail(GuardrailSpec(policy=replace(load_policy("default"), allow_unguarded=True)))
