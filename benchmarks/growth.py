"""How time and memory grow with what callers and hosts send: for each kind of input, the slope over its sizes.

A slope of 1 is linear, one of 2 is the square. Every size is measured in a process of its own, so that peaks are its
own too; what a small one of the same kind takes is taken off.

python benchmarks/growth.py    measure; prints a table, and writes benchmarks/out/growth.json
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.messages.tool import tool_call_chunk
from rich.console import Console
from rich.table import Table

from ig_guardrail import GuardRunnable
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.policy import compile_text
from ig_guardrail.settings import Limits

OUT = Path(__file__).parent / "out" / "growth.json"
SMALL = 100  # of every kind; what is taken off
PIECES = (2_000, 4_000, 8_000, 16_000)
MESSAGES = (12_500, 25_000, 50_000, 100_000)
BOUND = 1.3  # a slope that is called linear

POLICY = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: growth, version: 1.0.0, owners: [benchmarks@example.org]}}
cost_models:
  {model}
budgets:
  - {{id: words, hazards: [prv], cost: words, threshold: 0.9, budget: 0}}
{tools}
messages: {{refusal: {{en: "No."}}, closing: {{en: "I stop."}}}}
"""
PATTERN = "words: {kind: pattern, hazards: [prv], patterns: ['codeword'], longest_match: 8}"
LIMITS = 'tools: {limits: [{id: payments, tool: "pay*", calls: 1}], deny: ["delete_*"]}'


def messages(count: int) -> None:
    """As many messages of one role, which become one turn."""
    messages_of([HumanMessage("x" * 30) for _ in range(count)])


def refused(count: int) -> None:
    """As many messages, looked at before they are read."""
    many = [HumanMessage("x" * 30)] * count
    try:
        messages_of(many, Limits(turns=SMALL - 1))
    except RequestError:
        return
    raise AssertionError("a conversation over the limit was read")


def words(count: int) -> Iterator[str]:
    """A text in as many pieces."""
    return (f" word{number % 1_000:05}" for number in range(count))


def call(count: int) -> Iterator[AIMessageChunk]:
    """One call, whose arguments come in as many pieces."""
    yield AIMessageChunk("", tool_call_chunks=[tool_call_chunk(name="save", args='{"text": "', id="1", index=0)])
    for word in words(count):
        yield AIMessageChunk("", tool_call_chunks=[tool_call_chunk(args=word, index=0)])
    yield AIMessageChunk("", tool_call_chunks=[tool_call_chunk(args='"}', index=0)])


def guarded(said: Callable[[int], Iterator[Any]], tools: str = "") -> Callable[[int], None]:
    """The work of guarding what is said."""

    def work(count: int) -> None:
        policy, faults = compile_text(POLICY.format(model=PATTERN, tools=tools), "growth.yaml")
        assert policy is not None, faults
        guard = GuardRunnable(policy, longest=4 * count + 1_000)
        for _ in guard.transform(said(count), {"configurable": {"thread_id": "growth"}}):
            pass

    return work


KINDS: Mapping[str, tuple[Callable[[int], None], Sequence[int]]] = {
    "messages of one role": (messages, MESSAGES),
    "messages over the limit": (refused, MESSAGES),
    "streamed pieces": (guarded(words), PIECES),
    "arguments of a call": (guarded(call), PIECES),
    "pieces under tools.limits": (guarded(words, LIMITS), PIECES),
    "a call under tools.limits": (guarded(call, LIMITS), PIECES),
}


@dataclass(frozen=True)
class Growth:
    """seconds of CPU time and bytes at the peak, by size, and their slopes."""

    kind: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    bytes: tuple[int, ...]

    @property
    def slopes(self) -> tuple[float, float]:
        """Of time and memory; 0 where nothing to speak of was taken."""
        return slope(self.sizes, self.seconds, 0.02), slope(self.sizes, self.bytes, 2**22)


def slope(sizes: Sequence[int], taken: Sequence[float], least: float) -> float:
    """The exponent that fits best: least squares of logarithms, of what is at least `least`."""
    points = [(math.log(size), math.log(value)) for size, value in zip(sizes, taken, strict=True) if value >= least]
    if len(points) < 2:
        return 0.0
    across, up = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - across) ** 2 for x, _ in points)
    return sum((x - across) * (y - up) for x, y in points) / spread


def measured(kind: str, size: int) -> tuple[float, int]:
    """Seconds and bytes that a size takes beyond a small one; in this process, once."""
    work, _ = KINDS[kind]
    work(SMALL)
    before, began = peak(), time.process_time()
    work(size)
    return time.process_time() - began, peak() - before


def peak() -> int:
    """Bytes of memory that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def apart(kind: str, size: int) -> tuple[float, int]:
    """`measured`, in a process of its own."""
    told = subprocess.run([sys.executable, __file__, "--one", kind, str(size)], check=True, capture_output=True)
    seconds, taken = json.loads(told.stdout)
    return seconds, taken


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure how time and memory grow with what is sent.")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SIZE"), help="measure one size, and print it as JSON")
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(measured(options.one[0], int(options.one[1]))))
        return 0
    found = []
    for kind, (_, sizes) in KINDS.items():
        seconds, taken = zip(*(apart(kind, size) for size in sizes), strict=True)
        found.append(Growth(kind, tuple(sizes), seconds, taken))
    show(found)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([{**asdict(one), "slopes": one.slopes} for one in found], indent=1) + "\n")
    return 0


def show(found: Sequence[Growth]) -> None:
    """The largest size of each kind, and its slopes."""
    table = Table("what grows", "up to", "seconds", "MiB", "slope of time", "slope of memory", "")
    for one in found:
        slopes = one.slopes
        verdict = "ok" if max(slopes) <= BOUND else "MISSED"
        figures = f"{one.seconds[-1]:.2f}", f"{one.bytes[-1] / 2**20:.0f}", *(f"{value:.2f}" for value in slopes)
        table.add_row(one.kind, f"{one.sizes[-1]:,}", *figures, verdict)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
