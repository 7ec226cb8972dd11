"""Every policy that README, docs and examples show is loaded, started and run once, as it stands.

A part of a policy takes the place of that part in the packaged default policy. What a part names outside of itself (an
index, a classifier, an endpoint, code of somebody's own) is made small and real beside it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ig_guardrail.assembly import guard
from ig_guardrail.costs.provenance.index import write_index
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.loading.models import load_engine, load_tokenizer
from ig_guardrail.learn.index import SourceDocument, index_texts
from ig_guardrail.policy import check_files, load_policy
from ig_guardrail.policy.sources import PolicySource, fetch
from ig_guardrail.types import Message, Piece, Prompt, Sampling
from tests.distributions import install
from tests.moderations import Reply, judged, serving
from tests.unit.costs.classifiers import classifier
from tests.unit.costs.guards import FAMILIES
from tests.unit.costs.guards import guard as tiny_guard
from tests.unit.costs.test_served_guards import told

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs" / "architecture.md"  # its policy needs what the recipe adds; tests/unit/test_recipes.py runs it
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page != RECIPES),
    *sorted((ROOT / "examples").glob("*.md")),
]
PROGRAMS = sorted((ROOT / "examples").glob("*.py"))
BASES = {"docs/fairness.md": "fairness"}
PLACES_OF_PARTS = (
    "cost_models",
    "budgets",
    "tools",
    "search",
    "messages",
    "metadata",
    "prompt",
    "output",
    "reasoning",
)

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Shown:
    """A block of YAML, and where it stands."""

    place: str
    text: str


def shown() -> Iterator[Shown]:
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^([ \t]*)```ya?ml\n(.*?)^\1```", content, re.DOTALL | re.MULTILINE):
            line = content[: found.start()].count("\n") + 1
            yield Shown(f"{page.relative_to(ROOT)}:{line}", textwrap.dedent(found[2]))
    for program in PROGRAMS:
        for found in re.finditer(r'"""\n?(apiVersion: ig-guardrail.*?)"""', program.read_text(), re.DOTALL):
            yield Shown(f"{program.relative_to(ROOT)}", found[1])


WRITTEN = [one for one in shown() if yaml.safe_load(one.text) is not None]  # one block is a comment for editors
BLOCKS = [one for one in WRITTEN if "waivers" not in yaml.safe_load(one.text)]


class Calm:
    """What a program might hand in for `kind: provided`."""

    hazards = ("hte",)
    sha256 = "1"
    granularity: Any = "block"
    reading: Any = "level"
    layers: tuple[int, ...] = ()
    longest_match = 0

    def start(self, prompt: Prompt) -> str:
        return ""

    def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
        return [(state, (0.1,)) for state, _ in steps]


def whole(block: Shown) -> dict[str, Any]:
    """The block itself, or a packaged policy with the block's sections in the place of its own."""
    part = yaml.safe_load(block.text)
    if "apiVersion" in part:
        return dict(part)
    packaged = fetch(BASES.get(block.place.partition(":")[0], "default"))
    assert isinstance(packaged, PolicySource)
    base: dict[str, Any] = yaml.safe_load(packaged.content)
    assert set(part) <= {*PLACES_OF_PARTS, *base}
    own = part.get("cost_models", {})
    if "cost_models" in part and "budgets" not in part:
        part["budgets"] = [
            {"id": f"of-{name}", "hazards": one["hazards"], "cost": name, "threshold": 0.9, "budget": 1}
            for name, one in own.items()
        ]
    words = {"words": {"kind": "lexical", "model": "words", "hazards": ["hte", "x.insult"]}}
    merged = {**base, **part, "cost_models": {**base["cost_models"], **words, **own}}
    merged["search"] = {**base["search"], **part.get("search", {})}
    return merged


def put_parts(policy: dict[str, Any], folder: Path, address: str) -> None:
    """Make what the policy names outside of itself."""
    for entry in policy["cost_models"].values():
        match entry["kind"]:
            case "provenance":
                for name, words in (("unsafe", "a secret recipe of plums"), ("reference", "a recipe of pears")):
                    index = index_texts(load_tokenizer("embedded"), [SourceDocument(name, words * 40)], "embedded")
                    (folder / entry[name]).mkdir(parents=True)
                    write_index(index, folder / entry[name])
            case "classifier":
                classifier(folder / entry["model"], ("hate", "insult"))
            case "guard" if "base_url" in entry:
                entry["base_url"] = address
            case "guard":
                tiny_guard(folder / entry["model"], FAMILIES[entry["format"]])
            case "openai":
                entry["base_url"] = address
    lexicon = '{"kin": {"words": [["she", "he"]], "nouns": [["sister", "brother"]]}}'
    (folder / "swaps.json").write_text(lexicon)


def calm(texts: Any) -> Reply:
    """An endpoint that finds nothing in any category, the documented ones of other hosts among them."""
    if isinstance(texts, dict):
        return Reply(body=told([("safe", {"safe": 0.99, "unsafe": 0.01})]))
    names = ("spam", "advertising", "self-harm", "self-harm/intent", "self-harm/instructions")
    return judged(texts, lambda text: dict.fromkeys(names, 0.01))


def test_there_are_documented_policies() -> None:
    assert len(BLOCKS) >= 10
    assert sum("apiVersion" in one.text for one in BLOCKS) >= 3


@pytest.mark.parametrize("block", BLOCKS, ids=lambda one: one.place)
def test_a_documented_policy_starts_and_answers(block: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = whole(block)
    monkeypatch.setenv("OPENAI_API_KEY", "for-tests")
    monkeypatch.setenv("GUARD_API_KEY", "for-tests")
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "house-rules", "1.0.0")
    with serving(calm) as served:
        put_parts(policy, tmp_path, served.address)
        file = tmp_path / "policy.yaml"
        file.write_text(block.text if "apiVersion" in block.text else yaml.safe_dump(policy))
        report = check_files([file])
        assert report.exit_code == 0, report.as_text(color=False)
        models = {name: Calm() for name, one in policy["cost_models"].items() if one["kind"] == "provided"}
        rail = guard(load_engine("embedded"), load_policy(file), tmp_path, cost_models=models)
        ask = GenerationRequest(
            (Message("user", "Name a kind of tea."),),
            Sampling(seed=1, max_tokens=8),
            conversation="one",
            tenant="one",
        )
        *_, last = rail.stream(ask)
    assert last.receipt is not None
    assert last.receipt.verdict.outcome in ("completed", "ended", "refused")
    assert last.receipt.verdict.guarded
