"""The judge is fitted on reserved rows only, and reads what heads do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ig_guardrail.costs.heads.judge import count_features, read_judge
from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn import judge as module
from ig_guardrail.learn.data.rows import read_rows
from ig_guardrail.learn.judge import train_judge
from tests.unit.learn.small import write_benign, write_rows


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data")
    return [
        write_rows(folder / "tone.jsonl", "HateCheck", count=40),
        write_rows(folder / "help.jsonl", "JailbreakBench-artifacts", seed=5, count=40),
        write_benign(folder / "benign.jsonl", count=250),
    ]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKETS", 2**10)


@pytest.mark.slow
def test_it_tells_rude_from_kind(data: list[Path], tmp_path: Path) -> None:
    judge = read_judge(train_judge(data, tmp_path / "judge").folder)
    assert judge.harmful("you zog, you blarg")
    assert not judge.harmful("here is a warm soup the garden is calm today")
    assert judge.score("x y z") == max(judge.scores("x y z").values())


@pytest.mark.slow
def test_it_is_fitted_on_reserved_rows_only(data: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    fit = module.fit_words

    def spy(looks, counts, buckets):  # type: ignore[no-untyped-def]
        seen.update(row.prompt for row in looks.rows)
        return fit(looks, counts, buckets)

    monkeypatch.setattr(module, "fit_words", spy)
    card = train_judge(data, tmp_path / "judge").card
    reserved = {row.prompt for row in read_rows(data).rows if row.reserved}
    assert seen
    assert seen <= reserved
    assert card["quality"]["tone"]["HateCheck"]["auc"]["value"] > 0.8


@pytest.mark.slow
def test_at_most_a_twentieth_of_the_reserved_benign_answers_is_called_harmful(data: list[Path], tmp_path: Path) -> None:
    folder = train_judge(data, tmp_path / "judge").folder
    card = json.loads((folder / "card.json").read_text())
    assert card["calibration"]["called harmful by either topic"]["value"] <= 0.05


def test_without_reserved_rows_of_both_labels_it_is_refused(data: list[Path], tmp_path: Path) -> None:
    with pytest.raises(GuardrailError, match="no reserved rows of both labels for the topic 'help'"):
        train_judge([data[2]], tmp_path / "judge")


def test_it_reads_runs_of_three_to_five_characters_words_and_pairs() -> None:
    counts = count_features("Ab cd", 2**16)
    assert sum(count for index, count in counts.items() if index < 2**15) == 5 + 4 + 3  # of " ab cd "
    assert sum(count for index, count in counts.items() if index >= 2**15) == 2 + 1
    assert count_features("A  b\n", 2**16) == count_features("a b", 2**16)
    assert count_features(" \n", 2**16) == {}
