"""The picture of a budget in words, and how long the walk of the first hour takes."""

from __future__ import annotations

from pathlib import Path

from sections.results import read_result


def budget(results: Path) -> str:
    """The picture of a budget, and in words what it shows."""
    found = read_result(results, "budget")
    draft, answer = next(one for one in found["draft"] if one["left"] < 0), found["answer"]
    spent = found["budget"] - answer[-1]["left"]
    charged = [f"{one['cost']:.3f} at token {one['at']}" for one in answer if one["cost"] > 0]
    return (
        f"![Scores over a threshold, what they spend, and what is left](images/budget.svg)\n\n"
        f"The draft scores {draft['score']:.2f} at token {draft['at']}. The threshold is {found['threshold']:g}, so it"
        f" would spend {draft['cost']:.2f} of a budget of {found['budget']:g}: denied. The search took another way. It"
        f" spends {' and '.join(charged)}, {spent:.3f} in all, which the budget covers."
    )


def first_hour(results: Path) -> str:
    """How long the machine works for the walk."""
    found = read_result(results, "first-hour")
    return (
        f"The machine takes {_minutes(found['wall'])} for all of it, {_minutes(found['processor'])} of them work of a"
        f" processor (measured {found['measured']}, {found['machine']}, {found['others']:.0f} other processes at work)."
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes"
