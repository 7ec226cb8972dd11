"""The demo: twelve committed prompts at two committed seeds, unguarded beside guarded, every outcome counted."""

from __future__ import annotations

import time

from rich.console import Console
from rich.text import Text

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.costs.heads.judge import read_judge
from ig_guardrail.evaluate.arms import Arms, arms_of
from ig_guardrail.evaluate.demo.cases import Played, Scene, Side, play, scenes
from ig_guardrail.evaluate.demo.view import CAVEAT, LiveStage, block, tally
from ig_guardrail.evaluate.judged import AnswerJudge


def run_demo(console: Console) -> int:
    """Play every scene and print the table; exit code 0 if it ran, whatever the outcomes were.

    Needs no network. Raises GuardrailError if the embedded model or an artifact is missing.
    """
    began = time.monotonic()
    console.print("Opening the embedded model under the default policy.", markup=False)
    perform(console, arms_of(open_guardrail()), read_judge())
    console.print(f"{time.monotonic() - began:.0f} s", markup=False, highlight=False)
    return 0


def perform(console: Console, arms: Arms, judge: AnswerJudge) -> list[Played]:
    """Every scene, then the table and what it does not mean."""
    show = watched if console.is_terminal else printed
    played = [show(console, scene, arms, judge) for scene in scenes()]
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
