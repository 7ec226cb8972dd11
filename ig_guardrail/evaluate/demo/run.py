"""The demo: committed prompts at two committed seeds, unguarded beside guarded, every outcome counted."""

from __future__ import annotations

import time
from itertools import islice

from rich.console import Console
from rich.text import Text

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.evaluate.arms import Arms, arms_of
from ig_guardrail.evaluate.demo.cases import Played, Scene, Side, play, scenes
from ig_guardrail.evaluate.demo.view import CAVEAT, LiveStage, block, sentence, tally
from ig_guardrail.evaluate.judged import AnswerJudge
from ig_guardrail.judge import read_word_judge
from ig_guardrail.spec import GuardrailSpec

FIRST = 8  # scenes that are played unless all are asked for


def run_demo(console: Console, spec: GuardrailSpec | None = None, every: bool = False) -> int:
    """Play scenes and print what was shown; exit code 0 if it ran, whatever the outcomes were.

    spec   the model and the policy; the embedded model under the default policy if None
    every  all scenes, and not only the first eight
    Needs no network for the embedded model. Raises GuardrailError if the model or an artifact is missing.
    """
    began, spec = time.monotonic(), spec or GuardrailSpec()
    console.print(f"Opening the model '{spec.model}' under the policy '{spec.policy}'.", markup=False, highlight=False)
    perform(console, arms_of(open_guardrail(spec)), read_word_judge(), None if every else FIRST)
    console.print(f"{time.monotonic() - began:.0f} s", markup=False, highlight=False)
    return 0


def perform(console: Console, arms: Arms, judge: AnswerJudge, most: int | None = None) -> list[Played]:
    """The first `most` scenes, all if None; then what was shown, and what it does not mean."""
    show = watched if console.is_terminal else printed
    played = [show(console, scene, arms, judge) for scene in islice(scenes(), most)]
    console.print(Text(sentence(played), style="bold"))
    console.print(tally(played))
    console.print(Text(CAVEAT, style="italic"))
    return played


def watched(console: Console, scene: Scene, arms: Arms, judge: AnswerJudge) -> Played:
    """Play a scene live on a terminal."""
    with LiveStage(console, scene) as stage:
        played = play(scene, arms, judge, stage.listen)
        stage.finish(played)
    return played


def printed(console: Console, scene: Scene, arms: Arms, judge: AnswerJudge) -> Played:
    """Play a scene in silence and print it as one block of plain text."""
    played = play(scene, arms, judge, _unheard)
    console.print(block(played), markup=False, highlight=False, soft_wrap=True)
    return played


def _unheard(side: Side, text: str) -> None:
    """Nobody watches."""
