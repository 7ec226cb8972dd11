"""Heads of a model's own: learned from labels or by a teacher, kept only where they are better, found by name."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from ig_guardrail.assembly import guard
from ig_guardrail.cli.commands.adopt import show
from ig_guardrail.costs.adoption import Adoption, adopted_numerics, adoption_folder, read_adoption
from ig_guardrail.costs.catalog import build_costs
from ig_guardrail.costs.heads.latent import LatentHead
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.learn import adopt as adopting
from ig_guardrail.learn import answers as answering
from ig_guardrail.learn import own_heads, teaching
from ig_guardrail.learn.adopt import AdoptionReport, adopt
from ig_guardrail.learn.data.near_copies import Learned
from ig_guardrail.learn.data.recipes import choose_own_rows, recipe_named
from ig_guardrail.learn.data.risky import risky_prompts
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.own_heads import Lessons, split_rows
from ig_guardrail.learn.thresholds import Calibration
from ig_guardrail.policy import load_policy
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.types import Budget, CompiledPolicy, CostModelSpec, Expression, Sampling
from tests.conformance.engine.tiny import tiny_weights
from tests.toys import ask
from tests.unit.learn.small import write_rows
from tests.unit.policy.texts import compiled

QUESTIONS = tuple(f"Name {number} {things}." for things in ("men", "rivers", "towns") for number in range(2, 62))
RISKY = tuple(f"Scold {name} {number} times." for name in ("a cook", "a king") for number in range(2, 82))
RATE = 0.3
POLICY = """apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: own-heads, version: 1.0.0, owners: [you@example.org]}
cost_models:
  tone: {kind: latent, head: toxic-tone, hazards: [hte], otherwise: tone-words}
  tone-words: {kind: lexical, model: words, hazards: [hte]}
  strict: {kind: pattern, hazards: [hte, ncr], patterns: ['[0-9]'], longest_match: 8}
  money: {kind: pattern, hazards: [x.money], patterns: ['money'], longest_match: 8}
budgets:
  - {id: tone, hazards: [hte], cost: tone, threshold: 0.6, budget: 1}
messages:
  refusal: {en: "Sorry, no."}
  closing: {en: "I stop here."}
"""


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_weights(context=512)


@pytest.fixture(scope="module")
def policy() -> CompiledPolicy:
    return compiled(POLICY)


@pytest.fixture(scope="module")
def said(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's answers, as an adoption keeps them: they are asked for once for all tests."""
    folder = tmp_path_factory.mktemp("said")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        adopting._answer(weights, folder, RATE, learning=True)
        teaching.write_risky_answers(weights, folder)
    return folder


def shrink(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(adopting, "benign_prompts", lambda: QUESTIONS)
    patch.setattr(teaching, "risky_prompts", lambda: RISKY)
    patch.setattr(teaching, "TIMES", 1)
    patch.setattr(answering, "call_form", lambda question: None)
    patch.setattr(answering, "TOKENS", 12)
    patch.setattr(own_heads, "FEWEST", 3)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shrink(monkeypatch)
    monkeypatch.setenv("IG_GUARDRAIL_DATA", str(tmp_path / "data"))


@pytest.fixture
def kept(weights: Weights, said: Path) -> Path:
    """The folder of the model, with its answers in it."""
    folder = adoption_folder(weights.sha256, weights.numerics)
    shutil.copytree(said, folder)
    return folder


def rude(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rude.jsonl", "my own", count=40)


def meaningless(tmp_path: Path) -> Path:
    """The same words under both labels."""
    rows = [json.loads(line) for line in rude(tmp_path).read_text().splitlines()]
    for number, one in enumerate(rows):
        one["prompt"], one["response"] = f"question {number // 2}", f"the answer is {number // 2}"
    path = tmp_path / "meaningless.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def learned(weights: Weights, policy: CompiledPolicy, *data: Path, teachers: tuple[str, ...] = ()) -> AdoptionReport:
    return adopt(weights, policy, rate=RATE, lessons=Lessons(data, teachers))


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_head_that_is_better_than_the_words_serves_every_policy_by_its_name(
    weights: Weights, policy: CompiledPolicy, tmp_path: Path
) -> None:
    report = learned(weights, policy, rude(tmp_path))
    (head,) = report.heads
    assert head.kept, head
    assert head.comparison is not None
    assert head.comparison.lead.low > 0
    assert report.served == {"tone": "adopted:toxic-tone"}
    engine = TransformersEngine(weights)
    rail = guard(engine, load_policy("default"))
    assert dict(rail.costs.substitutes) == {"help": "help-text", "tone": "adopted:toxic-tone"}
    assert isinstance(rail.costs.by_name["tone"].model, LatentHead)
    rail = guard(engine, policy)
    assert rail.costs.by_name["tone"].spec.scale is not None
    chunks = list(rail.stream(ask(Sampling(max_tokens=4, seed=1))))
    receipt = chunks[-1].receipt
    assert receipt is not None
    assert receipt.substitutes["tone"] == "adopted:toxic-tone"
    engine.shutdown()
    assert adopted_numerics(weights.sha256) == ["float32"]


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_head_that_is_not_surely_better_is_put_aside_and_the_text_cost_goes_on_serving(
    weights: Weights, policy: CompiledPolicy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = learned(weights, policy, meaningless(tmp_path))
    (head,) = report.heads
    assert (head.kept, report.served) == (False, {"tone": "tone-words"})
    assert head.folder is not None
    assert (head.folder / "card.json").is_file()
    show(report, RATE)
    assert "put aside: not surely better than tone-words, by labels of the data" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_what_serves_cannot_be_beaten_by_its_own_labels_and_another_cost_model_s_can_tell(
    weights: Weights, policy: CompiledPolicy
) -> None:
    (own,) = learned(weights, policy, teachers=("tone-words",)).heads
    assert not own.kept
    assert own.comparison is None
    (other,) = learned(weights, policy, teachers=("money", "strict")).heads
    assert other.teacher is not None
    assert other.teacher["entry"] == "strict"
    assert other.comparison is not None
    assert other.comparison.by == "its teacher"
    assert other.kept == (other.comparison.lead.low > 0)
    assert other.agreement == other.comparison.head
    assert other.folder is not None
    card = json.loads((other.folder / "card.json").read_text())
    assert card["adopted"]["teacher"]["threshold"] >= 0.6
    assert card["adopted"]["learned from"]["harmful"] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_with_a_teacher_labelled_rows_decide_and_are_not_learned_from(
    weights: Weights, policy: CompiledPolicy, tmp_path: Path
) -> None:
    data = rude(tmp_path)
    (head,) = learned(weights, policy, data, teachers=("strict",)).heads
    assert head.comparison is not None
    assert head.comparison.by == "the data"
    assert head.folder is not None
    sources = json.loads((head.folder / "card.json").read_text())["sources"]
    assert set(sources) == {"benign-answers", "risky-answers"}


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_teacher_of_other_hazards_teaches_nothing_and_one_that_is_not_there_is_an_error(
    weights: Weights, policy: CompiledPolicy
) -> None:
    report = learned(weights, policy, teachers=("money",))
    assert report.heads[0].why == "none was learned: no teacher scores its hazards"
    assert report.served == {"tone": "tone-words"}
    with pytest.raises(RequestError, match="no cost model 'tonne' that could teach"):
        learned(weights, policy, teachers=("tonne",))


@pytest.mark.slow
def test_an_interrupted_run_asks_and_reads_nothing_twice(
    weights: Weights, policy: CompiledPolicy, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = rude(tmp_path)
    first = learned(weights, policy, data, teachers=("strict",))
    for place in (adopting, teaching):
        monkeypatch.setattr(place, "write_answers", None)
    monkeypatch.setattr("ig_guardrail.learn.fitting.states.read_means", None)
    monkeypatch.setattr("ig_guardrail.learn.thresholds._peak", None)
    again = learned(weights, policy, data, teachers=("strict",))
    assert again.record == first.record
    assert json.loads((kept / "report.json").read_text()) == json.loads(json.dumps(again.record))
    assert len(list((kept / "heads").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_head_stays_when_the_model_is_adopted_again_under_another_policy(
    weights: Weights, policy: CompiledPolicy, tmp_path: Path
) -> None:
    assert learned(weights, policy, rude(tmp_path)).heads[0].kept
    before = read_adoption(weights.sha256, "float32")
    report = adopt(weights, load_policy("default"), rate=RATE)
    assert report.served["tone"] == "adopted:toxic-tone"
    after = read_adoption(weights.sha256, "float32")
    assert after.heads == before.heads
    assert set(before.scales.items()) < set(after.scales.items())


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_head_under_which_the_policy_s_own_messages_fail_is_put_aside(weights: Weights, tmp_path: Path) -> None:
    unkind = POLICY.replace("Sorry, no.", "shut up zog you are a zog").replace("budget: 1", "budget: 0")
    report = learned(weights, compiled(unkind), rude(tmp_path))
    (head,) = report.heads
    assert head.comparison is not None
    assert head.comparison.lead.low > 0
    assert not head.kept
    assert head.why.startswith("put aside: messages.refusal.en is over budget 'tone' itself")
    assert report.served == {"tone": "tone-words"}


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_a_damaged_head_is_an_error_and_no_reason_for_the_text_cost_to_serve(
    weights: Weights, policy: CompiledPolicy, tmp_path: Path
) -> None:
    report = learned(weights, policy, rude(tmp_path))
    folder = report.heads[0].folder
    assert folder is not None
    (folder / "head.safetensors").write_bytes(b"")
    engine = TransformersEngine(weights)
    with pytest.raises(ModelError, match="not the file that its card describes"):
        guard(engine, policy)
    engine.shutdown()


def test_a_packaged_head_wins_where_it_fits() -> None:
    spec = CostModelSpec("tone", "latent", ("hte",), {"head": "toxic-tone"}, timeout_s=2.0)
    card = json.loads(Path("ig_guardrail/artifacts/toxic-tone/bfloat16/card.json").read_text())
    engine = EngineFacts(card["base_model"]["sha256"], "bfloat16")
    adoption = Adoption(heads={"toxic-tone": Path("there-is-none")})
    assert build_costs([spec], engine=engine, base_dir=None, adoption=adoption)["tone"].entry == "tone"


@pytest.mark.parametrize("folder", ["../elsewhere", "", "a/b", 7, None])
def test_a_record_can_name_heads_of_its_own_folder_only(weights: Weights, folder: object) -> None:
    place = adoption_folder(weights.sha256, "float32")
    place.mkdir(parents=True)
    model = {"sha256": weights.sha256, "numerics": "float32"}
    record = {"format": "ig-guardrail/adoption/v1", "model": model, "scales": [], "heads": {"toxic-tone": folder}}
    (place / "adoption.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match="a head has no proper name"):
        read_adoption(weights.sha256, "float32")


def test_rows_without_test_rows_are_divided_by_prompt_and_others_are_not() -> None:
    plain = [
        LabelledRow(f"question {number // 4}", f"answer {number}", "harmful" if number % 2 else "safe")
        for number in range(400)
    ]
    parts = split_rows(plain)
    by_prompt = {(one.prompt, one.split) for one in parts}
    assert {split for _, split in by_prompt} == {"train", "validation", "test"}
    assert len(by_prompt) == 100
    assert split_rows(parts) == parts


def test_a_user_s_harm_of_other_hazards_is_no_lesson_and_no_example_of_harmlessness() -> None:
    made = [
        LabelledRow("a", "1", "harmful", "hte", "mine"),
        LabelledRow("a", "2", "harmful", "ncr", "mine"),
        LabelledRow("a", "3", "harmful", None, "mine"),
        LabelledRow("a", "4", "safe", "ncr", "mine"),
        LabelledRow("a", "5", "harmful", None, "JailbreakBench-artifacts"),
        LabelledRow("a", "6", "harmful", None, "HateCheck"),
    ]
    assert not any(one.reserved for one in made)
    chosen = choose_own_rows(recipe_named("toxic-tone"), ("hte", "x.insult"), made)
    assert [one.response for one in chosen] == ["1", "3", "4", "6"]


def test_risky_questions_are_none_that_comparisons_ask_nor_near_copies_of_them() -> None:
    sets = Path(str(files("ig_guardrail.evaluate"))) / "prompt_sets"
    asked = [*sets.glob("*risky*.jsonl"), sets / "demo.jsonl", Path("benchmarks/prompts-tuning-risky.jsonl")]
    known = Learned(json.loads(line)["prompt"] for file in asked for line in file.read_text().splitlines())
    assert known.hold_copy_of("Write hate mail to a village mayor.")
    questions = risky_prompts()
    assert len(questions) > 300
    assert not [one for one in questions if known.hold_copy_of(one)]


def test_budgets_over_one_cost_model_share_a_scale_under_which_none_begins_too_low() -> None:
    cost = Expression("model", model="tone")
    budgets = [Budget("strict", ("hte",), cost, 0.3), Budget("lenient", ("hte",), cost, 0.6)]
    for own in ((0.5, 0.9), (0.9, 0.5), (0.8, 0.8)):
        thresholds = dict(zip(("strict", "lenient"), own, strict=True))
        (scale,) = adopting._scales(budgets, Calibration(thresholds, Estimate(0, 0, 0, 1), 1)).values()
        spec = CostModelSpec("tone", "lexical", ("hte",), {}, timeout_s=1.0, scale=scale)
        for budget in budgets:
            assert spec.counted(thresholds[budget.id]) <= budget.threshold + 1e-12
        assert any(spec.counted(thresholds[one.id]) > one.threshold - 1e-12 for one in budgets)
    assert adopting._scales(budgets[:1], Calibration({"strict": 0.7}, Estimate(0, 0, 0, 1), 1)) == {"tone": (0.7, 0.3)}
