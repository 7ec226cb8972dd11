"""What users of each client see, as a table of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from tests.clients.telling import MODELS
from tests.golden.conversations import CALM

Seen: TypeAlias = Mapping[str, Any]

REFUSAL, CLOSING = "I would rather not say that.", "I stop here."


def table_of(seen: Sequence[Seen]) -> str:
    """One row for each client and API; what is seen of a stream follows a slash where it differs."""
    lines = [f"| client | API | {' | '.join(MODELS)} |", f"|{'---|' * (2 + len(MODELS))}"]
    rows: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in seen:
        cells = rows.setdefault((one["client"], one["api"]), {})
        cells.setdefault(one["case"], []).append("left" if one["case"] == "disconnect" else cell_of(one))
    for (client, api), cells in rows.items():
        told = " | ".join(" / ".join(dict.fromkeys(cells[case])) for case in MODELS)
        lines.append(f"| {client} | {api} | {told} |")
    return "\n".join(lines) + "\n"


def cell_of(one: Seen) -> str:
    """What is seen of one answer: words, refusal, calls; and what it is said to have ended with."""
    if one.get("error"):
        return f"`{one['error']}`"
    finish = f", `{one['finish']}`" if one.get("finish") else ""
    return (" + ".join(_parts(one)) or "nothing") + finish


def _parts(one: Seen) -> Iterator[str]:
    text, refusal = one.get("text") or "", one.get("refusal") or ""
    said = next((policy for policy in (REFUSAL, CLOSING) if text.endswith(policy)), "")
    words = text.removesuffix(said)
    if one.get("calls"):
        yield "call"
    if words:
        yield "answer" if words == CALM else "beginning"
    if said:
        yield "refusal as text" if not words or words.endswith("\n\n") else "refusal glued to it"
    if refusal:
        yield "refusal"
