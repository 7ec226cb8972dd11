"""Tries refusals as teams write them under packaged policies: which a start would let pass, and what denies the others.

python benchmarks/refusals.py    beside the embedded model; about half a minute
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import yaml
from command import run

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.drive.scoring.approval import OverdrawnMessage
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Messages

TEXTS = Path(__file__).with_name("refusals.yaml")
POLICIES = ("default", "strict")


def messages() -> Messages:
    """The texts, each under a tag of its own: `refusal.de-3` is the third German one."""
    by_language = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    texts = {f"{tag}-{place}": text for tag, own in by_language.items() for place, text in enumerate(own, 1)}
    return Messages(texts, {})


def refused(guardrail: Guardrail) -> tuple[OverdrawnMessage, ...]:
    """Those of the texts that are over a budget of a guardrail's policy."""
    guardrail.policy = replace(guardrail.policy, messages=messages())
    return guardrail.overdrawn_messages()


def main(_: Sequence[str]) -> int:
    for name in POLICIES:
        found = refused(open_guardrail(GuardrailSpec(policy=name)))
        print("\n".join(_told(name, found, messages().refusal)))
    return 0


def _told(name: str, found: Sequence[OverdrawnMessage], texts: Mapping[str, str]) -> Iterator[str]:
    over = {one.name.partition(".")[2] for one in found}
    asked, passed = (Counter(tag.partition("-")[0] for tag in tags) for tags in (texts, texts.keys() - over))
    by_language = ", ".join(f"{tag} {passed[tag]} of {count}" for tag, count in asked.items())
    yield f"{name}: {len(texts) - len(over)} of {len(texts)} pass ({by_language})"
    yield from (f"  {one}" for one in found)


if __name__ == "__main__":
    run(main)
