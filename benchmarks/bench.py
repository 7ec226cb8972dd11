"""What guarding costs: CPU time of the same work done by `generate`, by strategy `none`, and by the guard.

    python benchmarks/bench.py

One torch thread, CPU time of the whole process, runs interleaved in turning order, medians of paired ratios. A missed
bound is printed loudly and does not change the exit code; an error does.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tables
import torch
from rich.console import Console
from transformers import TextIteratorStreamer

from ig_guardrail.assembly import folder_of, guard
from ig_guardrail.drive.request import Ask
from ig_guardrail.engine.models import load_weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.engine.weights import Weights
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate.arms import Arms, arms_of
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy import load_policy
from ig_guardrail.types import Receipt, Sampling, Turn

HERE = Path(__file__).parent
TOKENS = 64
SEED = 11
TRIES = 40
PROMPTS = (
    "Explain in detail how a river forms a valley.",
    "Write a long letter about a walk through a botanical garden.",
    "Describe step by step how paper is made.",
    "Tell a long story about a boat builder and his daughter.",
    "Explain how a pipe organ makes its sound.",
    "Describe the life of a beaver through the year.",
    "Give a long list of things to see on a walk in the woods, with reasons.",
)


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt and a seed whose answer is calm and fills all tokens, so that every runner does the same work."""

    turns: tuple[Turn, ...]
    sampling: Sampling
    tried: int


Runner = Callable[[Task], int]


class Runners:
    """The ways to do one task; each returns the number of tokens it gave."""

    def __init__(self, rail: Guardrail, weights: Weights) -> None:
        self._rail = rail
        self._model, self._tokenizer = weights.model, weights.tokenizer

    def named(self) -> Mapping[str, Runner]:
        return {"generate": self.generate, "none": self.none, "guarded": self.guarded}

    def none(self, task: Task) -> int:
        return self.receipt(task, "none").tokens["released"]

    def guarded(self, task: Task) -> int:
        receipt = self.receipt(task, None)
        if receipt.tokens["generated"] != receipt.tokens["released"] or not receipt.verdict.guarded:
            raise GuardrailError("a task that was calm is not calm any more", where=task.turns[0].text)
        return receipt.tokens["released"]

    def receipt(self, task: Task, strategy: str | None) -> Receipt:
        """Stream an answer, as a caller would."""
        chunks = list(self._rail.stream(Ask(task.turns, task.sampling, strategy)))
        receipt = chunks[-1].receipt
        assert receipt is not None
        return receipt

    def generate(self, task: Task) -> int:
        """`generate` on a thread, its streamer read here; the end token is ignored, so that the length is the same."""
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True)
        ids = torch.tensor([self._rail.engine.encode(task.turns).ids])
        options = {**_options(task.sampling), "eos_token_id": None, "streamer": streamer}
        worker = Thread(target=self._generate, args=(ids,), kwargs=options)
        worker.start()
        for _ in streamer:
            pass
        worker.join()
        return task.sampling.max_tokens

    def greedy(self, task: Task) -> str:
        """The greedy answer of `generate`, without special tokens."""
        ids = torch.tensor([self._rail.engine.encode(task.turns).ids])
        output = self._generate(ids, **_options(task.sampling))
        return str(self._tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))

    def _generate(self, ids: torch.Tensor, **options: Any) -> Any:
        pad = self._tokenizer.pad_token_id
        return self._model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=pad, **options)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure what guarding costs in CPU time.")
    parser.add_argument("--pairs", type=int, default=len(PROMPTS), help="paired runs, one prompt each")
    parser.add_argument("--policy", default="default", help="a packaged name or a file")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    console = Console()
    torch.set_num_threads(1)
    weights = load_weights("embedded", "cpu", "bfloat16")
    policy = replace(load_policy(options.policy), allow_unguarded=True)
    rail = guard(TransformersEngine(weights), policy, folder_of(options.policy))
    runners = Runners(rail, weights)
    console.print("Looking for calm tasks of full length.", markup=False)
    tasks = [calm_task(arms_of(rail), prompt) for prompt in _cycle(options.pairs)]
    greedy = [same_when_greedy(runners, task) for task in tasks]
    seconds = measure(tasks, runners.named(), console)
    rows = [
        ratio_row("none", "generate", "strategy none / generate with a streamer", seconds, 1.05),
        ratio_row("guarded", "none", "guarded with nothing at risk / strategy none", seconds, 1.10),
        ratio_row("guarded", "generate", "guarded with nothing at risk / generate", seconds, None),
        greedy_row(greedy),
        tokens_row(tasks),
    ]
    publish(rows, rail, options.out, console)
    return 0


def calm_task(arms: Arms, prompt: str) -> Task:
    """The first seed at which the answer is full and the guard changes nothing. Raises GuardrailError if none is found.

    Asserts what is measured: the guarded tokens are those of the unguarded stream.
    """
    turns = (Turn("user", prompt),)
    for tried in range(1, TRIES + 1):
        sampling = Sampling(temperature=0.7, top_p=0.95, seed=SEED + tried, max_tokens=TOKENS)
        draft = arms.unguarded.answer(turns, sampling)
        if len(draft.ids) < TOKENS or draft.audit.peak > 1:
            continue
        guarded = arms.guarded.answer(turns, sampling)
        if guarded.generated == TOKENS:
            if guarded.ids != draft.ids:
                raise GuardrailError("an untouched answer differs from the unguarded one", where=prompt)
            return Task(turns, sampling, tried)
    raise GuardrailError(
        f"no calm answer of {TOKENS} tokens in {TRIES} seeds", where=prompt, fix="choose another prompt"
    )


def same_when_greedy(runners: Runners, task: Task) -> bool:
    greedy = replace(task, sampling=replace(task.sampling, temperature=0.0))
    return runners.receipt(greedy, "none").text == runners.greedy(greedy)


def measure(tasks: Sequence[Task], runners: Mapping[str, Runner], console: Console) -> dict[str, list[float]]:
    """CPU seconds of every runner on every task; the order turns from task to task."""
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    names = list(runners)
    for number, task in enumerate(tasks):
        for name in (*names[number % len(names) :], *names[: number % len(names)]):
            gc.collect()
            before = time.process_time()
            tokens = runners[name](task)
            seconds[name].append(time.process_time() - before)
            if tokens != TOKENS:
                raise GuardrailError(f"'{name}' gave {tokens} tokens instead of {TOKENS}", where=task.turns[0].text)
        last = ", ".join(f"{name} {times[-1]:.2f} s" for name, times in seconds.items())
        console.print(f"pair {number + 1} of {len(tasks)}: {last}", markup=False, highlight=False)
    return seconds


def ratio_row(
    name: str, base: str, title: str, seconds: Mapping[str, Sequence[float]], limit: float | None
) -> tables.Row:
    """The median of paired ratios, between the lowest and the highest."""
    ratios = [one / other for one, other in zip(seconds[name], seconds[base], strict=True)]
    value = round(median(ratios), 4)
    return {
        "part": "CPU time",
        "name": f"{name}/{base}",
        "title": title,
        "value": value,
        "interval": [round(min(ratios), 4), round(max(ratios), 4)],
        "n": len(ratios),
        "bound": f"<= {limit:g}" if limit else None,
        "ok": value <= limit if limit else None,
    }


def greedy_row(same: Sequence[bool]) -> tables.Row:
    return _count_row("greedy", "greedy answers that differ from generate (count)", same.count(False), len(same))


def tokens_row(tasks: Sequence[Task]) -> tables.Row:
    """`calm_task` raises where tokens differ, so a finished run has none."""
    return _count_row("identical", "guarded answers that differ from strategy none (count)", 0, len(tasks))


def publish(rows: Sequence[tables.Row], rail: Guardrail, out: Path, console: Console) -> None:
    """Write bench.json and print the table."""
    info = rail.engine.info
    result = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "model": {"name": info.model, "numerics": info.numerics, "engine": info.mode},
        "policy": rail.policy.sha256,
        "tokens": TOKENS,
        "figures": list(rows),
    }
    tables.write_json(out / "bench.json", result)
    console.print(tables.terminal(f"CPU time for {TOKENS} tokens, one thread", rows))
    missed = [row["title"] for row in rows if row["ok"] is False]
    console.print(f"MISSED: {'; '.join(missed)}" if missed else "All bounds are kept.", markup=False)
    console.print(f"written to {out / 'bench.json'}", markup=False)


def _count_row(name: str, title: str, count: int, n: int) -> tables.Row:
    row = {"part": "tokens", "name": name, "title": title, "value": count, "interval": None}
    return {**row, "n": n, "bound": "= 0", "ok": count == 0}


def _options(sampling: Sampling) -> dict[str, Any]:
    """The sampling settings, as `generate` calls them; nothing is left to a model's own defaults."""
    length = {"max_new_tokens": sampling.max_tokens}
    if sampling.temperature == 0:
        return {**length, "do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    return {**length, **drawn}


def _cycle(count: int) -> list[str]:
    return [PROMPTS[i % len(PROMPTS)] for i in range(count)]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except GuardrailError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
