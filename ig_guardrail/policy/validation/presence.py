"""Whether what cost models are made of is there: packaged names, folders, files, installed code. Nothing is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ig_guardrail.costs.base import GROUP
from ig_guardrail.costs.kinds.base import ARTIFACT, CARD
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.fields.field import FormatKind
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, listed, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation.semantics import formulas, model_names

_MOST = 1 << 20  # bytes of a card that are read


def check_presence(draft: PolicyDraft, folder: Path) -> Iterator[Diagnostic]:
    """What is not there: an error where a guardrail needs it to start, else a warning. folder: where paths start."""
    models = draft.value("cost_models") or {}
    substitutes = {draft.value("cost_models", name, "otherwise") for name in models}
    named = {name for _, formula in formulas(draft) for name in formula.expression.models()}
    for name in model_names(draft):
        model = models[name]
        code = "P044" if name in named or name not in substitutes else "P149"
        for key, field in KINDS[model["kind"]].fields.items() if model is not None else ():
            value = model.get(key)
            if isinstance(field.kind, FormatKind) and isinstance(value, str):
                spot = draft.spot("cost_models", name, key)
                yield from _absent(model["kind"], key, field.kind, value, folder, spot, code)


def offered_names(kind: str, key: str) -> tuple[str, ...]:
    """The names that come with the package for a key of a kind of cost model; () where there are none."""
    field = KINDS[kind].fields.get(key)
    if field is not None and field.kind is ARTIFACT:
        return tuple(KINDS[kind].packaged)
    if (kind, key) == ("guard", "format"):
        from ig_guardrail.costs.guards.format import packaged_formats

        return packaged_formats()
    return ()


def _absent(
    kind: str, key: str, form: FormatKind, value: str, folder: Path, spot: Spot, code: str
) -> Iterator[Diagnostic]:
    if form.is_a_path(value):
        path = folder / value
        if not path.exists():
            message, label = f"{quoted(value)} is not there", f"{_said(path)} does not exist"
            advice = "correct the path; it starts at the policy's own folder"
            yield spot.fault(code, message, label=label, help=advice)
        elif form is ARTIFACT:
            yield from _unfit(kind, path, value, spot, code)
    elif key == "entry_point":
        yield from _among(value, {entry.name for entry in entry_points(group=GROUP)}, "installed", spot, code)
    elif offered := offered_names(kind, key):
        yield from _among(value, offered, "packaged", spot, code)


def _among(value: str, known: Any, how: str, spot: Spot, code: str) -> Iterator[Diagnostic]:
    names: Sequence[str] = sorted(known)
    if value not in names:
        close = suggest(value, names)
        offered = f"{how}: {', '.join(names)}" if names else f"nothing is {how}"
        label = f"no {how} name of this kind"
        advice = f"did you mean {quoted(close)}?" if close else f"write a name that is {how}; {offered}"
        others = [kind for kind, one in KINDS.items() if how == "packaged" and value in one.packaged]
        if others:
            label, advice = f"it is of kind {listed(others)}", f"write `kind: {others[0]}`, or another name; {offered}"
        yield spot.fault(code, f"there is no {quoted(value)}", label=label, help=advice)


def _unfit(kind: str, path: Path, value: str, spot: Spot, code: str) -> Iterator[Diagnostic]:
    """Folders that hold no artifact, or one of another kind; heads have one for each numerics."""
    try:
        cards = [place / CARD for place in (path, *sorted(path.iterdir())) if (place / CARD).is_file()]
        with cards[0].open("rb") as file:
            found = json.loads(file.read(_MOST)).get("kind")
    except (OSError, ValueError, AttributeError, IndexError, RecursionError):
        label = f"it holds no {CARD} that can be read"
        advice = "name the folder that a `ig-guardrail train` command wrote"
        yield spot.fault(code, f"{quoted(value)} is no artifact", label=label, help=advice)
        return
    if found != kind:
        label = f"its card says {listed([str(found)])}"
        advice = f"write `kind: {found}`, or name another folder" if found in KINDS else "name another folder"
        yield spot.fault(code, f"{quoted(value)} is not of kind `{kind}`", label=label, help=advice)


def _said(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 80 else f"...{text[-77:]}"
