"""The public names: what `import ig_guardrail` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ig_guardrail

NAMES = {
    "AnswerRefused",
    "ChatIGGuardrail",
    "CompiledPolicy",
    "GenerationFailed",
    "GuardInput",
    "GuardRunnable",
    "GuardedChatModel",
    "Guardrail",
    "GuardrailError",
    "GuardrailMiddleware",
    "PolicyError",
    "Receipt",
    "Sampling",
    "Message",
    "__version__",
    "init_guarded_chat_model",
    "load_policy",
}
HEAVY = ("torch", "transformers", "langchain_core", "numpy", "pydantic")


def _modules_after(statement: str) -> set[str]:
    """Top-level modules loaded in a fresh interpreter after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_the_public_names_are_these() -> None:
    assert set(ig_guardrail.__all__) == NAMES
    assert set(dir(ig_guardrail)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(ig_guardrail, name) is not None


def test_an_unknown_name_tells_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Guardrial'; it offers .*Guardrail"):
        ig_guardrail.Guardrial  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _modules_after("import ig_guardrail").isdisjoint(HEAVY)


@pytest.mark.slow
def test_importing_the_guardrail_loads_no_torch() -> None:
    assert _modules_after("from ig_guardrail import Guardrail").isdisjoint(("torch", "transformers", "langchain_core"))


@pytest.mark.slow
def test_importing_and_making_a_chat_model_loads_no_torch() -> None:
    loaded = _modules_after("from ig_guardrail import ChatIGGuardrail; ChatIGGuardrail()")
    assert loaded.isdisjoint(("torch", "transformers"))


def test_the_outside_systems_are_installed_below_the_package_only() -> None:
    import ig_guardrail.integrations.langchain as langchain

    assert langchain.__name__ == "ig_guardrail.integrations.langchain"
    assert langchain.ChatIGGuardrail is ig_guardrail.ChatIGGuardrail
    assert "integrations" not in sys.modules


@pytest.mark.parametrize("before", ["enable", "disable", "freeze"])
def test_the_collector_of_garbage_is_left_as_it_was(before: str) -> None:
    code = f"""
import gc
gc.{before}()
was = gc.isenabled(), gc.get_freeze_count()
from ig_guardrail import CompiledPolicy
assert (gc.isenabled(), gc.get_freeze_count() > 0) == (was[0], was[1] > 0)
assert {before!r} != "enable" or len(gc.get_objects(generation=0)) < 5_000  # all of it counts as old
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_policy_is_loaded_without_what_only_its_author_or_an_audit_needs() -> None:
    code = """
import sys
from ig_guardrail import ChatIGGuardrail, load_policy
load_policy("default")
print(*sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("ig_guardrail.") for name in ran.stdout.split()}
    assert "policy.compiler" in loaded
    unneeded = ("policy.validation.cautions.", "policy.validation.regex", "audit.", "drive.records.auditor")
    assert [name for name in loaded if name.startswith(unneeded)] == []
