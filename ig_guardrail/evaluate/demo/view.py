"""How a scene looks: two panels side by side that fill as text is released, or plain lines where nobody watches.

The closing table holds every outcome of every scene, counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ig_guardrail.evaluate.answers import Answer
from ig_guardrail.evaluate.demo.cases import Played, Scene, Side
from ig_guardrail.evaluate.wording import shared_tokens


class LiveStage:
    """Panels on a terminal, redrawn while the scene plays. Use as a context; `listen` takes the released text."""

    def __init__(self, console: Console, scene: Scene) -> None:
        self._scene = scene
        self._heard: dict[Side, str] = {"unguarded": "", "guarded": ""}
        self._live = Live(self._draw(), console=console, refresh_per_second=12)

    def __enter__(self) -> LiveStage:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def listen(self, side: Side, text: str) -> None:
        self._heard[side] += text
        self._live.update(self._draw())

    def finish(self, played: Played) -> None:
        self._live.update(side_by_side(played), refresh=True)

    def _draw(self) -> RenderableType:
        panels = [Panel(Text(text), title=side, border_style="dim") for side, text in self._heard.items()]
        return _beside(self._scene, *panels)


def side_by_side(played: Played) -> RenderableType:
    """A finished scene as two panels, each with how it ended."""
    before = Panel(
        Text(played.unguarded.shown),
        title="unguarded",
        subtitle=said(played.unguarded),
        border_style="red" if played.over else "green",
    )
    after = Panel(
        Text(played.guarded.shown),
        title="guarded",
        subtitle=said(played.guarded),
        border_style="green" if played.guarded.completed else "yellow",
    )
    return _beside(played.scene, before, after)


def block(played: Played) -> str:
    """A finished scene as plain text."""
    return "\n".join(
        (
            f"--- {played.scene.title}",
            f"[unguarded: {said(played.unguarded)}]",
            played.unguarded.shown.strip(),
            f"[guarded: {said(played.guarded)}{'; a rescue' if played.rescued else ''}]",
            played.guarded.shown.strip(),
            "",
        )
    )


def said(answer: Answer) -> str:
    """How an answer ended, in a few words."""
    over = f", over budget '{answer.audit.over}' at token {answer.audit.at}" if answer.audit.over else ""
    drawn = f" of {answer.generated} drawn" if answer.generated != len(answer.ids) else ""
    return f"{answer.outcome}{over}, {len(answer.ids)} token{'s' * (len(answer.ids) != 1)}{drawn}"


def _beside(scene: Scene, *panels: Panel) -> RenderableType:
    grid = Table.grid(expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return Group(Text(scene.title, style="bold"), grid)


CAVEAT = (
    "Every scene above was run now, and none was left out. 'Within budget' is relative to the cost models, small "
    "classifiers that miss what they never learned. It does not mean safe. The judge is as small, and reads words "
    "alone, but learned from other texts. Other prompts, seeds and models give other outcomes."
)


def sentence(scenes: Sequence[Played]) -> str:
    """What was shown, in one sentence."""
    over = [scene for scene in scenes if scene.over]
    complete = sum(scene.guarded.completed and scene.guarded.over is None for scene in over)
    gentler = sum(scene.rescued for scene in over)
    benign = [scene for scene in scenes if not scene.risky]
    same = sum(scene.unguarded.ids == scene.guarded.ids for scene in benign)
    kept = f"{same} of {len(benign)} answers to harmless prompts stayed the same to the last token."
    if not over:
        return f"Of {len(scenes)} unguarded answers none went over budget, so there was nothing to replace; {kept}"
    return (
        f"Of {len(scenes)} unguarded answers {len(over)} went over budget; guarded, {complete} of these became another "
        f"complete answer within budget, {gentler} of them read less harmful by a judge that guided nothing, and {kept}"
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
        ("outcomes, harmless prompts", *_outcomes(benign)),
        ("answers over budget", str(len(over)), str(sum(scene.guarded.over is not None for scene in scenes))),
        ("rescued, of those over budget", "", f"{len(rescued)} of {len(over)}"),
        ("judge's mean score on the rescues", *_scores(rescued)),
        ("judged harmful, risky prompts", *_flagged(risky)),
        ("tokens of harmless answers that are the same", "", _identical(benign)),
        ("tokens drawn", *_totals(scenes)),
    ]


def _outcomes(scenes: Sequence[Played]) -> tuple[str, str]:
    return _counted(scene.unguarded.outcome for scene in scenes), _counted(scene.guarded.outcome for scene in scenes)


def _counted(outcomes: Iterable[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in Counter(outcomes).most_common())


def _scores(scenes: Sequence[Played]) -> tuple[str, str]:
    if not scenes:
        return "-", "-"
    return f"{fmean(s.before.opinion.score for s in scenes):.2f}", f"{fmean(s.after.opinion.score for s in scenes):.2f}"


def _flagged(scenes: Sequence[Played]) -> tuple[str, str]:
    return str(sum(s.before.opinion.harm for s in scenes)), str(sum(s.after.opinion.harm for s in scenes))


def _identical(scenes: Sequence[Played]) -> str:
    if not scenes:
        return "-"
    return f"{fmean(shared_tokens(s.unguarded.ids, s.guarded.ids) for s in scenes):.0%}"


def _totals(scenes: Sequence[Played]) -> tuple[str, str]:
    return str(sum(s.unguarded.generated for s in scenes)), str(sum(s.guarded.generated for s in scenes))
