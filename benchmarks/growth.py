"""How time and memory grow with what callers and hosts send: for each kind of input, the slope over its sizes.

A slope of 1 is linear, one of 2 is the square. Every size is measured in a process of its own, so that peaks are its
own too; what a small one of the same kind takes is taken off.

python benchmarks/growth.py    measure; prints a table, and writes benchmarks/out/growth.json
"""

from __future__ import annotations

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from command import publish, run
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.messages.tool import tool_call_chunk

from ig_guardrail import ChatIGGuardrail, GuardRunnable
from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate import tables
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.policy import compile_text

SMALL = 100  # of every kind; what is taken off
CHARACTERS = (31_250, 62_500, 125_000, 250_000)
PIECES = (2_000, 4_000, 8_000, 16_000)
OVER_CHARACTERS = (400_000, 600_000, 800_000, 1_000_000)
MESSAGES = (12_500, 25_000, 50_000, 100_000)
BOUND = 1.3  # a slope that is called linear
LEAST_S, LEAST_BYTES = 0.02, 2**22  # what is less tells of no slope

POLICY = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: growth, version: 1.0.0, owners: [benchmarks@example.org]}}
cost_models:
  words: {{kind: pattern, hazards: [prv], patterns: ['codeword'], longest_match: 8}}
budgets:
  - {{id: words, hazards: [prv], cost: words, threshold: 0.9, budget: 0}}
{tools}
messages: {{refusal: {{en: "No."}}, closing: {{en: "I stop."}}}}
"""
LIMITS = 'tools: {limits: [{id: payments, tool: "pay*", calls: 1}], deny: ["delete_*"]}'


def messages(count: int) -> None:
    """As many messages of one role, which become one turn."""
    messages_of([HumanMessage("x" * 30) for _ in range(count)])


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
        policy, faults = compile_text(POLICY.format(tools=tools), "growth.yaml")
        assert policy is not None, faults
        runnable = GuardRunnable(policy, longest=4 * count + 1_000)
        for _ in runnable.transform(said(count), {"configurable": {"thread_id": "growth"}}):
            pass

    return work


def keys(characters: int) -> dict[str, Any]:
    """A schema of so many characters: an object of many keys, none of which it must have."""
    told = {"type": "string", "description": "x" * 40}
    return {"title": "form", "type": "object", "properties": {f"key{at:06}": told for at in range(characters // 90)}}


def choices(characters: int) -> dict[str, Any]:
    """A schema of so many characters: one key with a choice of many words."""
    words = [f"choice{at:06}" for at in range(characters // 16)]
    return {"title": "form", "type": "object", "properties": {"chosen": {"enum": words}}}


def chains(characters: int) -> dict[str, Any]:
    """A schema of so many characters: parts that each refer to the next one."""
    count = characters // 75
    parts = {f"d{at}": {"type": "object", "properties": {"n": {"$ref": f"#/$defs/d{at + 1}"}}} for at in range(count)}
    first = {"$ref": "#/$defs/d0"}
    return {
        "title": "form",
        "type": "object",
        "properties": {"a": first},
        "$defs": {**parts, f"d{count}": {"type": "null"}},
    }


def answered(schema: Callable[[int], dict[str, Any]]) -> Callable[[int], None]:
    """The work of an answer in the form of a schema."""

    def work(characters: int) -> None:
        assert _asked(schema(characters)) == {}

    return work


def declined(schema: Callable[[int], dict[str, Any]]) -> Callable[[int], None]:
    """The work of refusing a schema that is too large or too deep; a small one is answered."""

    def work(characters: int) -> None:
        try:
            _asked(schema(characters))
        except RequestError:
            return
        assert characters <= SMALL, "a schema over the limit was read"

    return work


def _asked(schema: dict[str, Any]) -> Any:
    policy, faults = compile_text(POLICY.format(tools=""), "growth.yaml")
    assert policy is not None, faults
    engine = ScriptedEngine(Continuations({(0, 0): list("{}")}), context=10**7)
    chat = ChatIGGuardrail(guardrail=guard(engine, policy), seed=1, max_tokens=64)
    return chat.with_structured_output(schema).invoke("Go.")


KINDS: Mapping[str, tuple[Callable[[int], None], Sequence[int]]] = {
    "messages of one role": (messages, MESSAGES),
    "streamed pieces": (guarded(words), PIECES),
    "arguments of a call": (guarded(call), PIECES),
    "pieces under tools.limits": (guarded(words, LIMITS), PIECES),
    "a call under tools.limits": (guarded(call, LIMITS), PIECES),
    "keys of a schema": (answered(keys), CHARACTERS),
    "choices of a schema": (answered(choices), CHARACTERS),
    "keys of a schema over the limit": (declined(keys), OVER_CHARACTERS),
    "references that lead too deep": (declined(chains), CHARACTERS),
}


def main(_: Sequence[str]) -> int:
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        rows = [row for kind, (_, sizes) in KINDS.items() for row in slopes(pool, kind, sizes)]
    publish(Path(__file__).parent / "out" / "growth.json", "How time and memory grow", rows)
    return 0


def slopes(pool: Executor, kind: str, sizes: Sequence[int]) -> Iterator[tables.Row]:
    """The slopes of time and memory; 0 where nothing to speak of is taken."""
    seconds, taken = zip(*pool.map(partial(measured, kind), sizes), strict=True)
    part = f"{kind}, up to {sizes[-1]:,}"
    for title, values, least in (
        (f"slope of time, at last {seconds[-1]:.2f} s", seconds, LEAST_S),
        (f"slope of memory, at last {taken[-1] / 2**20:.0f} MiB", taken, LEAST_BYTES),
    ):
        points = [(math.log(s), math.log(value)) for s, value in zip(sizes, values, strict=True) if value >= least]
        slope = statistics.linear_regression(*zip(*points, strict=True)).slope if len(points) > 1 else 0.0
        yield tables.row(part, f"{kind}: {title}", title, slope, None, len(sizes), f"<= {BOUND}", slope <= BOUND)


def measured(kind: str, size: int) -> tuple[float, int]:
    """Seconds of CPU time and bytes that a size takes beyond a small one; in this process."""
    work, _ = KINDS[kind]
    work(SMALL)
    before, began = peak(), time.process_time()
    work(size)
    return time.process_time() - began, peak() - before


def peak() -> int:
    """Bytes of memory that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    run(main)
