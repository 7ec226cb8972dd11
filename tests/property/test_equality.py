"""One answer, whichever way it is asked for: over many prompts that pass, are searched for, refused or ended."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

import pytest

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from tests.golden.conversations import CALM, compiled
from tests.ways import Told, every_way, outcome_of

PROMPTS = 200
BAD = " blockhead"

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


@cache
def mood(prompt: str) -> tuple[int, float]:
    """After how many words the bad one may come, and with which probability then."""
    dice = random.Random(prompt)
    return dice.randrange(12), dice.choice([0.0, 0.2, 0.5, 1.0])


@dataclass(frozen=True)
class Moody:
    """Says words by chance; how rude it is, the prompt decides."""

    vocabulary: Vocabulary = field(
        default_factory=lambda: Vocabulary([BAD, *(f" {word}" for word in dict.fromkeys(CALM.split()))])
    )

    def next_tokens(self, place: TokenPlace) -> Distribution:
        patience, rudeness = mood(place.prompt.turns[-1].text)
        bad = rudeness if len(place.prefix) >= patience else 0.0
        rest = range(1, self.vocabulary.end + 1)
        return [(0, bad), *((token, (1 - bad) / len(rest)) for token in rest)]


async def answers(strategy: str | None) -> list[Told]:
    """The one answer to each prompt, each with a seed of its own."""
    rail = guard(ScriptedEngine(Moody()), compiled())
    found = []
    for seed, prompt in enumerate(f"question {number}" for number in range(PROMPTS)):
        model = ChatIGGuardrail(guardrail=rail, seed=seed, temperature=1.0, max_tokens=24, strategy=strategy)
        found.append(outcome_of(await every_way(model, prompt), prompt))
    assert rail.engine.live_nodes() == 0
    return found


@pytest.mark.slow
async def test_all_ways_to_call_it_tell_the_same_answer_under_guard() -> None:
    found = await answers(None)
    outcomes = Counter(told.outcome for told in found)
    assert min(outcomes[name] for name in ("completed", "refused", "ended")) >= 5
    assert sum(told.searched and told.outcome == "completed" for told in found) >= PROMPTS // 20
    assert all(BAD not in text for told in found for _, text in told.blocks)


@pytest.mark.slow
async def test_all_ways_to_call_it_tell_the_same_answer_unguarded() -> None:
    found = await answers("none")
    assert {told.outcome for told in found} == {"completed"}
    assert {told.finish_reason for told in found} == {"stop", "length"}
    assert any(BAD in text for told in found for _, text in told.blocks)
    assert len({told.blocks for told in found}) > PROMPTS // 2
