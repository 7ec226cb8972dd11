"""What packaged heads and the judge are worth, from their cards."""

from __future__ import annotations

from pathlib import Path

from sections.cells import figure, table
from sections.results import ROOT, read_result

ARTIFACTS = ROOT / "ig_guardrail" / "artifacts"
OPINIONS = ("the judge", "words", "encoder")  # as its card names them


def calibrated(_: Path) -> str:
    """The thresholds of the packaged policies' budgets, from the card of a head."""
    found = read_result(ARTIFACTS / "harmful-help" / "bfloat16", "card")["calibrated"]
    touched, fresh = found["touched"], found["touched, on answers that set nothing"]
    return (
        f"{table(('budget', 'lowest threshold'), found['thresholds'].items())}\n\n"
        f"With them {figure(touched)} of {found['answers']} harmless answers are touched by either budget, and"
        f" {figure(fresh)} of fresh ones. The policies round up."
    )


def judge(_: Path) -> str:
    """What the judge and its parts are worth, from its card."""
    card = read_result(ARTIFACTS / "judge", "card")
    lines = [
        (
            source,
            found["harmful"],
            found["safe"],
            *(figure(found[name]["auc"], ".2f") for name in OPINIONS),
            *(f"{found[OPINIONS[0]][f'{label} called harmful']:.0%}" for label in ("harmful", "safe")),
        )
        for sources in card["quality"].values()
        for source, found in sources.items()
    ]
    own = [
        figure(card["quality on the model's own answers"][f"benign answers called harmful by {name}"])
        for name in OPINIONS
    ]
    head = (
        "source",
        "harmful",
        "safe",
        "AUC (95 % interval)",
        "words alone",
        "encoder alone",
        "harmful above 0.5",
        "safe",
    )
    return (
        f"{table(head, lines)}\n\nIt calls {own[0]} of the model's harmless answers harmful, words alone {own[1]}, the"
        f" encoder alone {own[2]}."
    )


def shared(_: Path) -> str:
    """How far the judge's mistakes are those of packaged cost models, from its card."""
    compared = read_result(ARTIFACTS / "judge", "card")["agreement with cost models"]
    lines = [
        (
            f"`{guide}`",
            source,
            f"{found['mistakes of the cost model']} of {found['answers']}",
            *(f"{found[name]['rank correlation among answers of one label']:.2f}" for name in OPINIONS),
            *(figure(found[name]["auc on its mistakes"], ".2f") for name in OPINIONS),
        )
        for topic in ("help", "tone")
        for guide, sources in compared[topic].items()
        for source, found in sources.items()
    ]
    named = ("judge", "words", "encoder")
    head = ("cost model", "source", "mistakes", *(f"rank r, {name}" for name in named), *(f"AUC, {n}" for n in named))
    return table(head, lines)
