"""What guarding costs where nothing is at risk: the default policy, strategy `none` and `generate` on equal text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.arms import Arms, arms_of
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Message, Receipt, Sampling
from speed.generate import Generate
from speed.stage import SEED, Say, Stage, answer
from speed.timing import Watch, count_row, in_turn, ratios, row

PART = "CPU time"
EQUAL = "tokens"
TOKENS = 64
TRIES = 40
RUNS = 2  # of each runner on each task, summed before they are compared
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

    turns: tuple[Message, ...]
    sampling: Sampling


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """One prompt a pair."""
    rail = stage.rail(stage.policy)
    say("  looking for calm answers of full length")
    tasks = [calm_task(arms_of(rail), PROMPTS[i % len(PROMPTS)]) for i in range(pairs)]
    generate = Generate(stage)
    greedy = sum(not same_when_greedy(rail, generate, task) for task in tasks)
    seconds = _seconds(rail, generate, tasks, say)
    none, guarded, base = seconds["none"], seconds["guarded"], seconds["generate"]
    return [
        row(PART, "none/generate", "strategy none / generate with a streamer", ratios(none, base), at_most=1.05),
        row(PART, "guarded/none", "guarded with nothing at risk / strategy none", ratios(guarded, none), at_most=1.02),
        row(PART, "guarded/generate", "guarded with nothing at risk / generate", ratios(guarded, base)),
        count_row(EQUAL, "greedy", "greedy answers that differ from generate (count)", greedy, pairs),
        count_row(EQUAL, "identical", "guarded answers that differ from strategy none (count)", 0, pairs),
    ]


def calm_task(arms: Arms, prompt: str) -> Task:
    """The first seed at which the answer is full and the guard changes nothing. Raises GuardrailError if none is found.

    Asserts what is measured: the guarded tokens are those of the unguarded stream.
    """
    turns = (Message("user", prompt),)
    for tried in range(1, TRIES + 1):
        sampling = Sampling(temperature=0.7, top_p=0.95, seed=SEED + tried, max_tokens=TOKENS)
        draft = arms.unguarded.answer(turns, sampling)
        if len(draft.ids) < TOKENS or draft.audit.peak > 1:
            continue
        guarded = arms.guarded.answer(turns, sampling)
        if guarded.generated == TOKENS:
            if guarded.ids != draft.ids:
                raise GuardrailError("an untouched answer differs from the unguarded one", where=prompt)
            return Task(turns, sampling)
    raise GuardrailError(
        f"no calm answer of {TOKENS} tokens in {TRIES} seeds", where=prompt, fix="choose another prompt"
    )


def same_when_greedy(rail: Guardrail, generate: Generate, task: Task) -> bool:
    """Whether strategy `none` at temperature 0 gives the text of `generate`. The answer may end early."""
    sampling = replace(task.sampling, temperature=0.0)
    chunks = rail.stream(GenerationRequest(task.turns, sampling, "none"))
    return "".join(chunk.text for chunk in chunks) == generate.text(task.turns, sampling)


def _seconds(rail: Guardrail, generate: Generate, tasks: Sequence[Task], say: Say) -> dict[str, list[float]]:
    """CPU seconds of every runner on every task, `RUNS` runs together."""
    count = len(tasks)
    runs = {
        "generate": lambda turn: generate.stream(tasks[turn % count].turns, tasks[turn % count].sampling),
        "none": lambda turn: _streamed(rail, tasks[turn % count], "none")[0],
        "guarded": lambda turn: _guarded(rail, tasks[turn % count]),
    }
    watches = in_turn(runs, RUNS * count, say)
    return {name: [sum(watch.whole for watch in own[i::count]) for i in range(count)] for name, own in watches.items()}


def _guarded(rail: Guardrail, task: Task) -> Watch:
    watch, receipt = _streamed(rail, task, None)
    if receipt.tokens["generated"] != receipt.tokens["released"] or not receipt.verdict.guarded:
        raise GuardrailError("a task that was calm is not calm any more", where=task.turns[0].text)
    return watch


def _streamed(rail: Guardrail, task: Task, strategy: str | None) -> tuple[Watch, Receipt]:
    watch = Watch()
    receipt = answer(rail, GenerationRequest(task.turns, task.sampling, strategy))
    return watch.stop(), receipt
