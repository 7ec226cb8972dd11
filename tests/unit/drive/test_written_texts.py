"""Texts that were written already are charged by their tokens; the model reads them for its states alone."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from ig_guardrail.drive.charging import charge_text
from ig_guardrail.drive.runners import finish
from ig_guardrail.drive.scoring.approval import overdrawn_messages
from ig_guardrail.drive.scoring.cost_registry import bind_costs
from ig_guardrail.engine.decoding.contexts import ContextRequest, spell
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.types import AssistantMessage, Node, Prompt, Sampling
from tests.toys import LetterCost, letters, toy_budget, toy_policy

POLICY = toy_policy([toy_budget("b")])


class SpellingEngine(ScriptedEngine):
    """Cuts texts without reading them."""

    def spelled(self, prompt: Prompt, text: str, tokens: int) -> Future[Node]:
        asked, made = ContextRequest(prompt, Sampling(max_tokens=tokens), (), None), self._decoder
        vocabulary = made.script.vocabulary
        return self._call(
            "spelled", spell, self._tree, asked, text, vocabulary.ids, vocabulary.language, made.grammars, self.info
        )


@pytest.mark.parametrize("layers", [(), (1,)])
def test_a_model_reads_what_was_written_only_for_its_states(layers: tuple[int, ...]) -> None:
    script, costs = letters((1, 1, 1, 1)), bind_costs(POLICY, {"level": LetterCost("level", layers=layers)})
    engines = [kind(script, hidden=lambda prefix: (0.0,)) for kind in (ScriptedEngine, SpellingEngine)]
    said = [finish(charge_text(one, costs, None, "", AssistantMessage("abab bb"))) for one in engines]
    assert said[0].charges == said[1].charges
    assert said[0].left == said[1].left
    refused = [finish(overdrawn_messages(one, costs, tuple(POLICY.messages))) for one in engines]
    assert refused[0] == refused[1]
    spelling = engines[1]
    assert {name: spelling.calls(name) for name in ("spelled", "open", "append")} == (
        {"spelled": 0, "open": 2, "append": 3} if layers else {"spelled": 3, "open": 0, "append": 0}
    )
    assert spelling.live_nodes() == 0
