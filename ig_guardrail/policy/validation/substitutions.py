"""The swaps that a policy names, read while it is compiled: packaged ones, or those of a lexicon of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ig_guardrail.errors import ModelError
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.text.counterfactual import Swap, read_swaps

MOST = 16  # each is one more reading of every candidate


def swaps_of(draft: PolicyDraft, folder: Path) -> tuple[dict[str, Swap], list[Diagnostic]]:
    """The swaps by name, and a fault for every item that names none.

    folder: where relative paths of lexicons start
    """
    found: dict[str, Swap] = {}
    faults: list[Diagnostic] = []
    items = draft.value("search", "swaps") or []
    for index, item in enumerate(items):
        if item is None or item in items[:index]:
            continue
        spot = draft.spot("search", "swaps", index)
        named = _lexicon(item, folder, spot) if "/" in item else _packaged(item, spot)
        if isinstance(named, Diagnostic):
            faults.append(named)
            continue
        faults += [_twice(name, spot) for name in sorted(found.keys() & named.keys())]
        found |= named
    if len(found) > MOST:
        spot = draft.spot("search", "swaps")
        advice = f"leave out all but the {MOST} that matter most; each is one more reading of every candidate"
        faults.append(spot.fault("P027", f"there are {len(found)} swaps", label=f"at most {MOST}", help=advice))
    return found, faults


def _packaged(name: str, spot: Spot) -> Mapping[str, Swap] | Diagnostic:
    packaged = read_swaps()
    if name in packaged:
        return {name: packaged[name]}
    close = suggest(name, packaged)
    known = f"write one of {', '.join(map(quoted, packaged))}, or the path of a lexicon, which contains `/`"
    advice = f"did you mean {quoted(close)}?" if close else known
    return spot.fault("P039", f"there is no packaged swap {quoted(name)}", label="not known", help=advice)


def _lexicon(path: str, folder: Path, spot: Spot) -> Mapping[str, Swap] | Diagnostic:
    try:
        return read_swaps(folder / path)
    except ModelError as error:
        return spot.fault("P039", f"lexicon {quoted(path)} cannot be used", label=error.what, help=error.fix)


def _twice(name: str, spot: Spot) -> Diagnostic:
    message = f"two swaps are called {quoted(name)}"
    return spot.fault("P026", message, label="named before", help="leave out one, or rename it in its lexicon")
