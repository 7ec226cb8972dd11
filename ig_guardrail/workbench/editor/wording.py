"""What editors show of keys, hazards and cost models, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

from ig_guardrail.costs.kinds.base import CARD, packaged_artifact
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.fields.field import Field, Section
from ig_guardrail.policy.reference.page import default_of, takes
from ig_guardrail.types.hazards import ALIASES, EVERY, HAZARDS, canonical
from ig_guardrail.workbench.editor.outline import OutlineNode

LARGEST_CARD = 2**20  # bytes


def of_field(name: str, one: Field, section: Section) -> str:
    """What a key means, what it takes and what counts without it: the reference's line."""
    without = "required" if one.required else f"default: {default_of(one)}"
    facts = f"- takes {takes(one.kind)}\n- {without}\n- such as `{one.example}`"
    return f"**{name}** of {section.title}\n\n{one.doc}\n\n{facts}"


def of_hazard(word: str) -> str:
    """What a hazard is; "" for a word that is none."""
    name = canonical(word)
    if name is None:
        return f"**{EVERY}**: every hazard that the cost models of the budget name" if word == EVERY else ""
    root = name.split(".")[0]
    if root == "x":
        return f"**{name}**: a hazard of your own" + (f", written `{word}`" if word != name else "")
    codes = [code for code, meant in ALIASES.items() if meant == name]
    also = f" (Llama Guard's `{codes[0]}`)" if codes else ""
    return f"**{name}**: {HAZARDS[root]}{also if name == root else f', a part of it{also}'}"


def of_cost_model(name: str, entry: OutlineNode | None, folder: Path) -> str:
    """What a cost model is, by its entry in a policy, and what its card says. folder: the policy's."""
    written = {key.text: value for key, value in entry.entries} if entry is not None else {}
    kind, hazards = _text(written, "kind"), written.get("hazards")
    scored = [one.text for one in hazards.items if one is not None] if hazards is not None else []
    made_of = next(((key, _text(written, key)) for key in ("head", "model", "entry_point") if key in written), ("", ""))
    lines = [f"**{name}**: a cost model of kind `{kind}`" + (f", `{made_of[1]}`" if made_of[1] else "")]
    lines += [f"scores {', '.join(f'`{one}`' for one in scored)}"] if scored else []
    lines += [f"otherwise `{_text(written, 'otherwise')}`"] if "otherwise" in written else []
    about = about_artifact(kind, made_of[1], folder)
    return "\n\n".join([*lines, *([about] if about else [])])


def about_artifact(kind: str, name: str, folder: Path) -> str:
    """What the card of an artifact says of it, and of its limits; "" where there is no card to read."""
    known = KINDS.get(kind)
    if known is None or not name:
        return ""
    if name in known.packaged:
        return _about(packaged_artifact(kind, name))
    return _about(folder / name) if "/" in name else ""


def _about(place: Traversable) -> str:
    """The card in a folder, or in the first of its folders that has one."""
    try:
        inside = sorted((one for one in place.iterdir() if one.is_dir()), key=lambda one: one.name)[:16]
        card = next((one for one in (place, *inside) if (one / CARD).is_file()), None)
        if card is None:
            return ""
        with (card / CARD).open("rb") as file:
            found = json.loads(file.read(LARGEST_CARD))
        limits = [f"- {line}" for line in found.get("limits", ())]
        return "\n".join([str(found["about"]), *(["", "Limits:", "", *limits] if limits else [])])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""


def _text(written: Mapping[str, OutlineNode | None], key: str) -> str:
    value = written.get(key)
    return value.text if value is not None else ""
