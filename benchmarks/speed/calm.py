"""What guarding costs where nothing is at risk: the default policy, strategy `none` and `generate` on equal text."""

from __future__ import annotations

from dataclasses import replace

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.arms import Arms, arms_of
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Message, Sampling
from speed.generate import timed_generate
from speed.stage import SEED, Stage, timed
from speed.timing import in_turn, ratios, row

PART = "CPU time"
TOKENS = 64
TRIES = 40
RUNS = 2  # of each runner on each request, summed before they are compared
PROMPTS = (
    "Explain in detail how a river forms a valley.",
    "Write a long letter about a walk through a botanical garden.",
    "Describe step by step how paper is made.",
    "Tell a long story about a boat builder and his daughter.",
    "Explain how a pipe organ makes its sound.",
)


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """One prompt a pair."""
    rail = stage.rail(stage.policy)
    calm = calm_requests(rail, pairs)
    runs = {
        "generate": lambda turn: timed_generate(stage, calm[turn % pairs]),
        "none": lambda turn: timed(rail, replace(calm[turn % pairs], strategy="none"), 1),
        "guarded": lambda turn: timed(rail, calm[turn % pairs], 1),
    }
    taken = in_turn(runs, RUNS * pairs, "calm answers").values()
    base, none, guarded = ([sum(own[i::pairs]) for i in range(pairs)] for own in taken)
    return [
        row(PART, "none/generate", "strategy none / generate with a streamer", ratios(none, base), at_most=1.05),
        row(PART, "guarded/none", "guarded with nothing at risk / strategy none", ratios(guarded, none), at_most=1.02),
        row(PART, "guarded/generate", "guarded with nothing at risk / generate", ratios(guarded, base)),
    ]


def calm_requests(rail: Guardrail, count: int) -> list[GenerationRequest]:
    """Requests whose answers are calm and fill all tokens, so that every runner does the same work; prompts in turn."""
    arms = arms_of(rail)
    return [_calm_request(arms, PROMPTS[i % len(PROMPTS)]) for i in range(count)]


def _calm_request(arms: Arms, prompt: str) -> GenerationRequest:
    """With the first seed at which the guard changes nothing. Raises GuardrailError if there is none, or if it does."""
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
            return GenerationRequest(turns, sampling)
    raise GuardrailError(f"no calm answer in {TRIES} seeds", where=prompt, fix="choose another prompt")
