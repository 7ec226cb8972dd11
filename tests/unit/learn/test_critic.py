"""A critic learns what can be foreseen, says how well, goes on where it was stopped, and belongs to one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ig_guardrail.budget import BudgetRule
from ig_guardrail.costs.heads.artifact import TENSORS
from ig_guardrail.costs.heads.base_model import BaseModel
from ig_guardrail.costs.rewards.catalog import critic_named, reward_named
from ig_guardrail.costs.rewards.latent_critic import LatentCritic
from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.engine.scripted.engine import Incidents
from ig_guardrail.errors import CostFailure, GuardrailError, HeadMismatch
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.learn.critic import prospects, train_critic, units_of
from ig_guardrail.learn.fitting.tensor_cache import TensorCache
from ig_guardrail.learn.heads import Trained
from ig_guardrail.learn.trajectories import TrajectoryRecorder
from ig_guardrail.types import Draw, Node
from tests.toys import reference_spend, toy_budget
from tests.unit.learn.foretelling import ASKED, BUDGET, LENGTH, SPEECH, Foretold, rail, trained

TOY = BaseModel("0" * 64, "float64")


class World:
    """What `reference_spend` wants to know."""

    granularity = "block"


def beginnings(guardrail: Guardrail) -> dict[str, Node]:
    """Half-way nodes, by their text."""
    engine = guardrail.engine
    root = engine.open(engine.encode(ASKED.of("test")[0].turns), SPEECH.sampling, (1,)).result()
    nodes = engine.extend([Draw(root, 40)], LENGTH // 2).result()
    return {node.text: node for node in nodes}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A critic of the world in which everything is foretold."""
    folder = tmp_path_factory.mktemp("learned")
    return trained(rail(Foretold()), folder / "kept", folder / "critic")


def load(folder: Path) -> LatentCritic:
    return critic_named(str(folder), TOY)


def test_a_rule_that_the_states_show_is_learned_before_it_costs_anything(learned: Trained) -> None:
    critic, halves = load(learned.folder), beginnings(rail(Foretold()))
    good, bad = critic.predict([halves["aaaa"], halves["bbbb"]], [{"b": 0.0}] * 2)
    assert good > 0.9 > 0.1 > bad
    assert learned.card["quality"]["under the policy's budgets"]["auc at 4 tokens"]["value"] == 1.0


def test_more_room_makes_the_same_beginning_likelier_to_last(learned: Trained) -> None:
    critic, halves = load(learned.folder), beginnings(rail(Foretold()))
    tight, wide = critic.predict([halves["bbbb"]] * 2, [{"b": 0.1}, {"b": 5.0}])
    assert tight < 0.5 < wide


@pytest.mark.slow
def test_the_reported_calibration_is_that_of_the_loaded_critic_against_the_definition_of_charging(
    tmp_path: Path,
) -> None:
    guardrail = rail(Foretold(first=(0.2, 0.2, 0.6)))
    card = trained(guardrail, tmp_path / "kept", tmp_path / "critic").card
    critic, halves = load(tmp_path / "critic"), beginnings(guardrail)
    gaps: dict[int, list[float]] = {}
    recorder = TrajectoryRecorder(guardrail, SPEECH)
    shelf = TensorCache(tmp_path / "kept", ["0" * 64, "float64", "scripted"])
    for one in recorder.record(ASKED.of("test"), shelf):
        half = "abc"[int(one.states[0, 0, 0].argmax())] * 4
        (chance,) = critic.predict([halves[half]], [{"b": 0.0}])
        text = half + ("b" if one.measures[-1].score > 0.3 else "a") * 4
        kept = reference_spend(World, BUDGET, text, ended=True) <= BUDGET.budget
        gaps.setdefault(min(9, int(chance * 10)), []).append(kept - chance)
    looks = sum(map(len, gaps.values()))
    error = sum(abs(sum(values)) for values in gaps.values()) / looks
    reported = card["quality"]["under the policy's budgets"]
    assert reported["looks"] == looks
    assert reported["expected calibration error"] == pytest.approx(error, abs=1e-3)


def test_what_is_known_is_not_guessed(learned: Trained) -> None:
    guardrail = rail(Foretold())
    critic, halves = load(learned.folder), beginnings(guardrail)
    (ended,) = guardrail.engine.extend([Draw(halves["bbbb"])], LENGTH).result()
    assert critic.predict([halves["aaaa"], ended], [{"b": -0.1}, {"b": 0.0}]) == [0.0, 1.0]


@pytest.mark.slow
def test_an_interrupted_recording_goes_on_to_the_same_critic(tmp_path: Path) -> None:
    stopped = rail(Foretold(), Incidents(faults={("extend", 9): RuntimeError("the power went out")}))
    with pytest.raises(GuardrailError, match="the power went out"):
        trained(stopped, tmp_path / "kept", tmp_path / "first")
    assert not (tmp_path / "first").exists()
    assert list((tmp_path / "kept").glob("*.safetensors"))
    again = trained(rail(Foretold()), tmp_path / "kept", tmp_path / "first")
    whole = trained(rail(Foretold()), tmp_path / "other", tmp_path / "second")
    assert again.card == whole.card
    assert (again.folder / TENSORS).read_bytes() == (whole.folder / TENSORS).read_bytes()


@pytest.mark.slow
def test_what_was_recorded_is_not_recorded_again(tmp_path: Path) -> None:
    trained(rail(Foretold()), tmp_path / "kept", tmp_path / "critic")
    silent = rail(Foretold(), Incidents(faults={("open", 1): RuntimeError("the model was asked again")}))
    trained(silent, tmp_path / "kept", tmp_path / "critic")


def test_a_look_at_an_overdrawn_budget_is_no_example(tmp_path: Path) -> None:
    recorder = TrajectoryRecorder(rail(Foretold()), SPEECH)
    found = recorder.record(ASKED.of("test"), TensorCache(tmp_path, []))
    for one in found:
        for prospect in prospects(one, recorder.rules):
            assert min(prospect.left.values()) >= 0
            assert prospect.look < len(one.at) - 1


def test_a_ban_has_the_largest_single_cost_as_its_unit() -> None:
    ban = BudgetRule(toy_budget("ban", threshold=0.25, weight=2.0), "block", "level")
    some = BudgetRule(toy_budget("some", budget=0.5), "block", "level")
    assert units_of([ban, some]) == {"ban": 1.5, "some": 0.5}


def test_answers_that_all_end_well_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(GuardrailError, match="all end within the budgets"):
        trained(rail(Foretold(first=(1.0, 0.0, 0.0))), tmp_path / "kept", tmp_path / "critic")


@pytest.mark.parametrize("loaded", [BaseModel("1" * 64, "float64"), BaseModel("0" * 64, "bfloat16")])
def test_a_critic_of_another_model_is_refused(learned: Trained, loaded: BaseModel) -> None:
    with pytest.raises(HeadMismatch, match="train critic"):
        critic_named(str(learned.folder), loaded)
    with pytest.raises(HeadMismatch, match="train critic"):
        reward_named(str(learned.folder), loaded)


def test_a_critic_of_another_policy_is_no_judge(learned: Trained) -> None:
    with pytest.raises(CostFailure, match="the critic foresees the budgets"):
        load(learned.folder).predict([beginnings(rail(Foretold()))["aaaa"]], [{"other": 0.0}])


@pytest.mark.slow
def test_the_second_head_foresees_the_task_value(tmp_path: Path) -> None:
    class PrefersB:
        layers = ()

        def predict(self, nodes: list[Node]) -> list[float]:
            return [float(node.text.count("b")) for node in nodes]

    guardrail = rail(Foretold())
    guardrail.values = Values(reward=PrefersB())
    card = train_critic(TrajectoryRecorder(guardrail, SPEECH), ASKED, tmp_path / "kept", tmp_path / "critic").card
    halves = beginnings(guardrail)
    low, high = reward_named(str(tmp_path / "critic"), TOY).predict([halves["aaaa"], halves["bbbb"]])
    assert (low, high) == (pytest.approx(0, abs=0.5), pytest.approx(LENGTH, abs=0.5))
    assert card["quality"]["task value, share of variance explained"]["at 4 tokens"] > 0.98


def test_the_artifact_holds_vectors_of_numbers_only(learned: Trained) -> None:
    from safetensors.numpy import load_file

    folder = learned.folder
    assert all(value.dtype == np.float32 and value.ndim == 1 for value in load_file(folder / TENSORS).values())
    assert sorted(path.name for path in folder.iterdir()) == ["CARD.md", "card.json", "head.safetensors"]
