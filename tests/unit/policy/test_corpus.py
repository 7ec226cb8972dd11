"""A thousand broken edits of policies are refused, at their line and with the word that was meant; valid ones are not.

`python -m tests.unit.policy.test_corpus` prints the figures as docs/workbench.md states them.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from ig_guardrail.fields.field import Section
from ig_guardrail.policy import Diagnostic, compile_text
from ig_guardrail.policy.diagnostics.diagnostic import Position, Spot
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.reference.json_schema import json_schema
from ig_guardrail.policy.waivers import LANGUAGE as WAIVERS
from ig_guardrail.policy.waivers import read_waivers
from ig_guardrail.workbench.cases.reading import FILE as CASES
from ig_guardrail.workbench.cases.reading import read_cases
from tests.unit.policy.corpus.bases import FILE, TOOLS, all_sections, grown, packaged
from tests.unit.policy.corpus.broken import Edit, broken, misnamed, sampled
from tests.unit.policy.corpus.places import Place, places
from tests.unit.policy.corpus.valid import ValidEdit, valid

PAGE = Path(__file__).parents[3] / "docs" / "workbench.md"
BROKEN, MISSPELT, MISNAMED, BESIDE, VALID, BY_SCHEMA = 700, 200, 60, 120, 400, 150
SEED = 2026
WAIVERS_TEXT = """\
waivers:
  - code: P103
    path: budgets
    file: observe.yaml
    reason: the first weeks only measure
    owner: trust-safety@bank.example
    expires: 2999-06-30
  - {code: P134, path: "tools.arguments[0].most", reason: reviewed, owner: you@example.org, expires: 2999-06-30}
"""
# What no schema sees: how a text is written, and whether words mean something beside each other.
UNSEEN = {
    "misspelt reference", "misspelt function", "bad expression", "bad pattern", "tag", "duplicate key", "merge key",
    "alias of nothing", "not YAML", "no colon", "no space after the colon", "two colons", "indentation", "tab",
    "quote without end", "text behind a quote", "bracket without end", "bracket too many", "no comma", "stray line",
    "second document", "control character", "not UTF-8", "UTF-16", "too large", "too deep", "aliases without end",
    "unknown directive", "another file", "list as key",
}  # fmt: skip


@dataclass
class Tally:
    """What became of edits, counted, and those with which it went wrong."""

    edits: int = 0
    refused: int = 0
    placed: int = 0
    misspelt: int = 0
    meant: int = 0
    wrong: list[tuple[str, str, tuple[int, ...], list[str]]] = field(default_factory=list)

    def take(self, edit: Edit, faults: Iterable[Diagnostic]) -> None:
        """Count one edit. A doubt is refused where a warning is told, as with `--strict`."""
        found = [one for one in faults if edit.doubt or one.severity == "error"]
        here = [one for one in found if one.line in edit.lines]
        meant = any(f"`{edit.word}" in one.help for one in here)
        self.edits += 1
        self.refused += bool(found)
        self.placed += bool(here)
        self.misspelt += bool(edit.word)
        self.meant += bool(edit.word) and meant
        if not here or (edit.word and not meant):
            self.wrong.append((edit.way, edit.base, edit.lines, [f"{one.line}: {one.message}" for one in found]))


@cache
def bases() -> dict[str, str]:
    return {**packaged(), **grown(), "rules for tools": TOOLS}


@cache
def broken_policies() -> list[Edit]:
    """The sample of broken edits of policies."""
    random = Random(SEED)
    edits = _each_once(edit for name, text in bases().items() for edit in broken(name, text, POLICY, random))
    words = [edit for edit in edits if edit.word]
    return [*sampled(edits, BROKEN, random), *sampled(words, MISSPELT, random)]


def _each_once(edits: Iterable[Edit]) -> list[Edit]:
    return list({edit.text: edit for edit in edits if edit.text != bases().get(edit.base)}.values())


@cache
def policies() -> Tally:
    """What the check makes of broken policies."""
    tally, random = Tally(), Random(SEED)
    for edit in broken_policies():
        tally.take(edit, compile_text(edit.text, FILE)[1])
    named = [edit for name, text in bases().items() for edit in misnamed(name, text, random)]
    for edit in sampled(_each_once(named), MISNAMED, random):
        tally.take(edit, compile_text(edit.text, FILE, look=True)[1])
    return tally


@cache
def files_beside() -> Tally:
    """What the commands make of broken files of waivers and of cases."""
    tally, random = Tally(), Random(SEED)
    cases = (resources.files("ig_guardrail.policies") / "default_test.yaml").read_text(encoding="utf-8")
    for text, language in ((WAIVERS_TEXT, WAIVERS), (cases, CASES)):
        edits = _each_once(broken("beside", text, language, random))
        with tempfile.TemporaryDirectory() as folder:
            for edit in sampled(edits, BESIDE, random):
                tally.take(edit, _told(Path(folder), edit.text, language))
    return tally


def _told(folder: Path, text: str | bytes, language: Section) -> Iterable[Diagnostic]:
    """The faults of a file beside a policy; one that names no place where it tells none."""
    file = folder / ("w.yaml" if language is WAIVERS else "default_test.yaml")
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    if language is WAIVERS:
        return read_waivers(str(file)).report.faults
    read = read_cases(str(file))
    unusable = Spot((), Position()).fault("P003", read.unusable)
    return read.faults or ((unusable,) if read.unusable else ())


@cache
def valid_policies() -> tuple[int, list[str], list[str]]:
    """How many valid edits were tried; those refused, and those of the same meaning with another hash."""
    random = Random(SEED)
    edits = [edit for name, text in bases().items() for edit in valid(name, text, POLICY, random)]
    hashes = {name: compile_text(text, FILE, warn=False)[0] for name, text in bases().items()}
    refused, changed = [], []
    tried: list[ValidEdit] = sampled(edits, VALID, random)
    for edit in tried:
        policy, before = compile_text(edit.text, FILE, warn=False)[0], hashes[edit.base]
        if policy is None or before is None:
            refused.append(f"{edit.way} of {edit.base}: {edit.text!r}")
        elif edit.keeps and policy.sha256 != before.sha256:
            changed.append(f"{edit.way} of {edit.base}: {edit.text!r}")
    return len(tried), refused, changed


@cache
def by_schema() -> tuple[int, Counter[str]]:
    """How many broken edits of what a schema sees were tried on the schema, and the ways of those that it accepts."""
    validator = Draft7Validator(json.loads(json_schema()))
    seen = [edit for edit in broken_policies() if edit.way not in UNSEEN]
    read = [(edit.way, _as_json(edit.text)) for edit in sampled(seen, BY_SCHEMA, Random(SEED))]
    tried = [(way, data) for way, data in read if data is not None]
    return len(tried), Counter(way for way, data in tried if validator.is_valid(data))


def _as_json(text: str | bytes) -> Any:
    """A text as an editor's YAML server hands it to the schema, its keys texts; None where it is not YAML."""
    try:
        return json.loads(json.dumps(yaml.safe_load(text), default=str))
    except yaml.YAMLError:
        return None


def figures() -> str:
    """The figures in one sentence."""
    policy, beside = policies(), files_beside()
    edits, misspelt = policy.edits + beside.edits, policy.misspelt + beside.misspelt
    refused, placed, meant = (
        (getattr(policy, name) + getattr(beside, name)) / whole
        for name, whole in (("refused", edits), ("placed", edits), ("meant", misspelt))
    )
    tried, wrongly, changed = valid_policies()
    seen, accepted = by_schema()
    tenths = 10 * (seen - accepted.total()) // seen
    return (
        f"Of {edits:,} broken edits of policies, waivers and cases {refused:.1%} are refused and {placed:.1%} at the "
        f"line of the edit; of the misspelt words among them {meant:.1%} with the word that was meant. Of {tried} "
        f"valid edits {len(wrongly)} are refused, and {len(changed)} change a hash that they should not. Of broken "
        f"edits in keys and values the schema alone refuses {tenths} in 10."
    )


def test_the_corpus_reaches_every_key_of_the_language() -> None:
    written = {(one.section.title, str(one.path[-1])) for text in bases().values() for one in _keyed(text)}
    keys = {(section.title, key) for section in all_sections() for key in section.fields}
    assert len(written & keys) / len(keys) > 0.85, sorted(keys - written)


def _keyed(text: str) -> list[Place]:
    return [one for one in places(text, POLICY) if one.section is not None]


@pytest.mark.slow
def test_broken_policies_are_refused_at_their_line_with_the_word_that_was_meant() -> None:
    told = policies()
    assert told.edits >= 900
    assert told.misspelt >= 300
    assert told.refused == told.edits, told.wrong
    assert told.placed / told.edits >= 0.99, told.wrong
    assert told.meant / told.misspelt >= 0.98, told.wrong


def test_broken_files_beside_policies_are_refused_alike() -> None:
    told = files_beside()
    assert told.edits >= 200
    assert told.refused == told.edits, told.wrong
    assert told.placed / told.edits >= 0.99, told.wrong
    assert told.meant / told.misspelt >= 0.98, told.wrong


@pytest.mark.slow
def test_valid_edits_are_not_refused_and_keep_the_hash_where_they_mean_the_same() -> None:
    tried, refused, changed = valid_policies()
    assert tried >= 300
    assert refused == []
    assert changed == []


def test_the_schema_refuses_what_a_schema_can_see() -> None:
    tried, accepted = by_schema()
    assert tried >= 100
    assert accepted.total() / tried <= 0.2, accepted


def test_the_figures_of_the_page_are_those_of_the_corpus() -> None:
    told = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert figures() in told, f"run: python -m tests.unit.policy.test_corpus, and write it into {PAGE.name}"


if __name__ == "__main__":
    print(figures())
