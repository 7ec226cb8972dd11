"""A process that ends while threads are busy, in C++ or in Python, ends as it would without them."""

from __future__ import annotations

import subprocess
import sys

import pytest

STATES = {
    "in C++, many times": "w.call(lambda: [search('a' * 3000) for _ in iter(int, 1)])",
    "in C++, for long": "w.call(search, 'a' * 10_000_000)",
    "waiting": "w.call(threading.Event().wait)",
    "in Python": "w.call(lambda: [None for _ in iter(int, 1)])",
    "deaf to exits": "w.call(deaf)",
    "abandoned": "c = w.call(threading.Event().wait); w.abandon(c); w.call(int).result()",
    "idle": "w.call(int).result()",
    "on a loop": "l = Loop('x'); l.submit(threading.Event().wait)",
}
PROGRAM = """
import re2, sys, threading, time
from ig_guardrail.costs.workers import Worker
from ig_guardrail.engine.loop import Loop

def deaf():
    while True:
        try:
            for _ in iter(int, 1): pass
        except BaseException:
            pass

search = re2.compile("(?s)a.{{0,900}}b").search
w = Worker("q")
{state}
while {busy} and w._lane.current is None: pass
threading.Event().wait(0.05)
{end}
"""
ENDS = {"sys.exit(3)": 3, "": 0, "raise SystemExit('no')": 1, "1 / 0": 1}


def ended(state: str, end: str) -> subprocess.CompletedProcess[str]:
    """What comes of a program that ends so while its threads are in that state."""
    program = PROGRAM.format(state=state, end=end, busy="submit" not in state and "(int)" not in state)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "state",
    [pytest.param(state, marks=[] if at < 2 else pytest.mark.slow) for at, state in enumerate(STATES.values())],
    ids=list(STATES),
)
def test_the_exit_code_is_the_programs_own(state: str) -> None:
    found = ended(state, "sys.exit(3)")
    assert (found.returncode, found.stderr) == (3, "")


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_so_it_is_however_the_program_ends(end: str) -> None:
    found = ended(STATES["in C++, many times"], end)
    assert found.returncode == ENDS[end], found.stderr
    assert "terminate" not in found.stderr
