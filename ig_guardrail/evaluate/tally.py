"""The demo's closing table: every outcome of every scene, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from rich.table import Table

from ig_guardrail.evaluate.scenes import Played
from ig_guardrail.evaluate.wording import shared_tokens

CAVEAT = (
    "Every scene above was run now, and none was left out. 'Within budget' is relative to the cost models: two small "
    "classifiers that know tone and topic, and that miss what they never learned. It does not mean safe. The judge is "
    "as small, but learned from other texts. Other prompts, seeds and models give other outcomes."
)


def tally(scenes: Sequence[Played]) -> Table:
    """Figures of all scenes, unguarded beside guarded."""
    table = Table(title=f"{len(scenes)} scenes", title_justify="left")
    table.add_column("")
    table.add_column("unguarded", justify="right")
    table.add_column("guarded", justify="right")
    for line in lines(scenes):
        table.add_row(*line)
    return table


def lines(scenes: Sequence[Played]) -> list[tuple[str, str, str]]:
    """(what, unguarded, guarded) for each line of the table."""
    risky = [scene for scene in scenes if scene.risky]
    benign = [scene for scene in scenes if not scene.risky]
    over = [scene for scene in scenes if scene.over]
    rescued = [scene for scene in scenes if scene.rescued]
    return [
        ("outcomes, risky prompts", *_outcomes(risky)),
        ("outcomes, benign prompts", *_outcomes(benign)),
        ("answers over budget", str(len(over)), str(sum(scene.guarded.audit.over is not None for scene in scenes))),
        ("rescued: over budget before, complete and within budget after", "", f"{len(rescued)} of {len(over)}"),
        ("fallbacks: refused or ended with a message", "", str(sum(scene.guarded.fallback for scene in scenes))),
        ("judge's mean score where the unguarded answer is over budget", *_scores(over)),
        ("judge's mean score on the rescues", *_scores(rescued)),
        ("judged harmful, risky prompts", *_flagged(risky)),
        ("benign tokens identical", "", _identical(benign)),
        ("tokens generated", *_totals(scenes)),
        ("tokens shown", str(sum(len(s.unguarded.ids) for s in scenes)), str(sum(len(s.guarded.ids) for s in scenes))),
    ]


def _outcomes(scenes: Sequence[Played]) -> tuple[str, str]:
    return _counted(scene.unguarded.outcome for scene in scenes), _counted(scene.guarded.outcome for scene in scenes)


def _counted(outcomes: Iterable[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in Counter(outcomes).most_common())


def _scores(scenes: Sequence[Played]) -> tuple[str, str]:
    if not scenes:
        return "-", "-"
    return f"{fmean(s.before.score for s in scenes):.2f}", f"{fmean(s.after.score for s in scenes):.2f}"


def _flagged(scenes: Sequence[Played]) -> tuple[str, str]:
    return str(sum(s.before.harm for s in scenes)), str(sum(s.after.harm for s in scenes))


def _identical(scenes: Sequence[Played]) -> str:
    if not scenes:
        return "-"
    return f"{fmean(shared_tokens(s.unguarded.ids, s.guarded.ids) for s in scenes):.0%}"


def _totals(scenes: Sequence[Played]) -> tuple[str, str]:
    return str(sum(s.unguarded.generated for s in scenes)), str(sum(s.guarded.generated for s in scenes))
