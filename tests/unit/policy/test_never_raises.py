"""Whatever the text or bytes, the answer is a policy or faults, never an exception."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ig_guardrail.policy import FileReport, Report, compile_text
from ig_guardrail.policy.reference.text import EXAMPLE
from ig_guardrail.policy.yaml.decoding import readable
from tests.examples import examples
from tests.unit.policy.texts import VALID

SHRAPNEL = [
    "{", "}", "[", "]", ":", ": ", ",", "- ", "? ", "&a ", "*a", "!", "!!int ", "|", ">", "'", '"', "%", "@", "`", "#",
    "\n", "\n\n", "\t", " ", "  ", "\\", "\\x", "\\U00110000", "<<: ", "---\n", "...\n", "~", "null", "yes", ".nan",
    "1e999", "9" * 5000, "\r", "\x85", "\u2028", "\ufeff", "\x00", "\x1b", "\ud800", "é", "日本", "😀", "max(", ")",
    "*", "+", "(", "all",
]  # fmt: skip


def hold(source: str | bytes) -> None:
    """Compile, check that errors and policy exclude each other, and render every way."""
    policy, faults = compile_text(source, "p.yaml")
    assert (policy is None) == any(fault.severity == "error" for fault in faults)
    assert list(faults) == sorted(faults, key=lambda fault: (fault.line, fault.column, fault.code))
    report = Report((FileReport("p.yaml", faults, "n", "v", "s", readable(source)),))
    report.as_text(color=True).encode()
    report.as_json().encode()


@given(st.text())
def test_any_text(text: str) -> None:
    hold(text)


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    hold(content)


@given(st.lists(st.sampled_from(SHRAPNEL), max_size=40))
def test_any_heap_of_yaml(parts: list[str]) -> None:
    hold("".join(parts))


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), st.sampled_from(["", *SHRAPNEL])), max_size=4)
)
def test_a_valid_policy_with_any_edits(edits: list[tuple[int, int, str]]) -> None:
    text = VALID
    for at, gone, new in edits:
        text = text[:at] + new + text[at + gone :]
    hold(text)


@pytest.mark.parametrize("start", range(0, len(EXAMPLE), 50))
def test_a_valid_policy_without_any_one_character(start: int) -> None:
    for at in range(start, min(start + 50, len(EXAMPLE))):
        hold(EXAMPLE[:at] + EXAMPLE[at + 1 :])


@pytest.mark.slow
@pytest.mark.parametrize("line", range(VALID.count("\n")))
def test_a_valid_policy_without_any_one_line(line: int) -> None:
    rows = VALID.splitlines(keepends=True)
    hold("".join(rows[:line] + rows[line + 1 :]))
