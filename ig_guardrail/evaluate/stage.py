"""How a scene looks: two panels side by side that fill as text is released, or plain lines where nobody watches."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ig_guardrail.evaluate.answers import Answer
from ig_guardrail.evaluate.scenes import Played, Scene, Side


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
