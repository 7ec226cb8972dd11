"""The comparison: every cell once, whatever stops it; figures that can be recomputed by hand; mistakes told at once."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate.comparison import runner as comparison
from ig_guardrail.evaluate.comparison.columns import COLUMNS, TableRow, rows_of
from ig_guardrail.evaluate.comparison.config import PRESETS, Config, policy_of, read_config, read_set
from ig_guardrail.evaluate.comparison.plots import draw_front
from ig_guardrail.evaluate.comparison.records import Record, as_fields, from_fields
from ig_guardrail.evaluate.comparison.report import (
    comma_separated,
    markdown,
    rows_from,
    values,
    write_figures,
    write_report,
)
from ig_guardrail.evaluate.comparison.runner import RECORDS, run_comparison, setting_of, tasks_of
from ig_guardrail.evaluate.replay import Audit
from ig_guardrail.policy import load_policy
from ig_guardrail.search.needs import INDEX
from ig_guardrail.search.registry import METHODS
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.types import SearchSettings
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy
from tests.unit.evaluate.records import answer
from tests.unit.evaluate.records import record as record_of

METHODS_HERE = ("none", "cut", "inference_guard", "best_of_n")


class CountsB:
    """A judge that calls every answer with a b harmful."""

    def __init__(self, sha256: str = "b", **parts: CountsB) -> None:
        self.sha256 = sha256
        self.parts = parts

    def score(self, answer: str) -> float:
        return answer.count("b") / max(1, len(answer))

    def harmful(self, answer: str) -> bool:
        return "b" in answer


class Never(CountsB):
    """A judge that calls nothing harmful."""

    def harmful(self, answer: str) -> bool:
        return False


class CountsA:
    """A task value: the share of a."""

    layers = ()

    def predict(self, nodes: Any) -> list[float]:
        return [node.text.count("a") / max(1, len(node.text)) for node in nodes]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    for kind in ("risky", "benign"):
        rows = [{"id": f"{kind}-{i}", "topic": "toys", "prompt": f"{kind} {i}"} for i in range(6)]
        (tmp_path / f"{kind}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that says a, b and c, in place of one that would be loaded by name."""
    search = SearchSettings(block=4, hold=4, candidates=4, shortest=0, steer=None)
    policy = toy_policy([toy_budget("rude", budget=0.1)], search)
    rail = guardrail(letters((3, 1, 1, 0.2)), policy, {"level": LetterCost("level")}, values=Values(reward=CountsA()))
    monkeypatch.setattr(comparison, "_opened", lambda *names: rail)
    comparison._arm.cache_clear()


def config(folder: Path, **keys: Any) -> Config:
    sets = [{"name": kind, "kind": kind, "file": str(folder / f"{kind}.jsonl")} for kind in ("risky", "benign")]
    fields = {"name": "toy", "strategies": [{"name": name} for name in METHODS_HERE], "prompts": sets}
    return Config.model_validate({**fields, "sampling": {"max_tokens": 12, "temperature": 1.0, "top_p": 1.0}, **keys})


def ran(asked: Config, out: Path, done: Callable[[], None] = lambda: None, streams: int = 1) -> list[Record]:
    return run_comparison(tasks_of(asked), out, 0, streams, done)


def table(asked: Config, records: list[Record]) -> str:
    untimed = [column for column in COLUMNS if column not in ("seconds", "slower", "first")]
    return markdown(rows_of(records, {one.name: one.kind for one in asked.prompts}, CountsB()), untimed)


@pytest.mark.slow
def test_every_cell_is_run_once_and_the_guard_is_never_over_budget(toy: None, prompts: Path) -> None:
    records = ran(config(prompts), prompts / "out")
    assert len(records) == 2 * 6 * len(METHODS_HERE)
    assert len({record.cell.key for record in records}) == len(records)
    assert any(record.over for record in records if record.cell.strategy == "none")
    assert not any(record.over for record in records if record.cell.strategy != "none")


def test_a_filter_can_be_asked_only_where_the_unguarded_answer_is_over_budget(toy: None, prompts: Path) -> None:
    asked = config(prompts, strategies=[{"name": "cut", "where_over": True}, {"name": "none"}])
    counted: list[None] = []
    records = ran(asked, prompts / "out", lambda: counted.append(None))
    over = [record.cell.prompt for record in records if record.cell.strategy == "none" and record.over]
    assert over
    assert [record.cell.prompt for record in records if record.cell.strategy == "cut (where over)"] == over
    assert len(counted) == 24
    assert ran(asked, prompts / "out") == records


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 7, 23])
def test_a_comparison_that_was_killed_goes_on_to_the_same_table(toy: None, prompts: Path, stop: int) -> None:
    asked = config(prompts)
    whole = table(asked, ran(asked, prompts / "whole"))

    class Killed(BaseException):
        """Nothing catches it."""

    seen: list[None] = []

    def kill() -> None:
        seen.append(None)
        if len(seen) == stop:
            raise Killed

    with pytest.raises(Killed):
        ran(asked, prompts / "cut", kill)
    with (prompts / "cut" / RECORDS).open("a") as file:
        file.write('\n{"setting": "torn')
    counted: list[None] = []
    assert table(asked, ran(asked, prompts / "cut", lambda: counted.append(None))) == whole
    assert len(counted) == 48
    lines = [json.loads(line) for line in (prompts / "cut" / RECORDS).read_text().splitlines() if line[-2:] == "}}"]
    assert len(lines) == 48


@pytest.mark.slow
def test_records_of_other_settings_are_not_taken_up(toy: None, prompts: Path) -> None:
    ran(config(prompts), prompts / "out")
    longer = config(prompts, sampling={"max_tokens": 16, "temperature": 1.0, "top_p": 1.0})
    records = ran(longer, prompts / "out")
    assert any(record.tokens["released"] > 12 for record in records)


def test_a_method_that_lacks_what_it_needs_is_refused(toy: None, prompts: Path) -> None:
    with pytest.raises(RequestError, match="strategy 'verifier' needs a constitution"):
        ran(config(prompts, strategies=[{"name": "verifier"}]), prompts / "out")
    with pytest.raises(RequestError, match="strategy 'args' needs a reward model"):
        ran(config(prompts, strategies=[{"name": "args", "guided": False}]), prompts / "out")
    assert ran(config(prompts, strategies=[{"name": "args"}]), prompts / "out")


@pytest.mark.slow
def test_answers_side_by_side_are_those_of_one_at_a_time(toy: None, prompts: Path) -> None:
    alone = ran(config(prompts), prompts / "alone")
    beside = ran(config(prompts), prompts / "beside", streams=8)
    untimed = [replace(record, seconds={}) for record in beside]
    assert untimed == [replace(record, seconds={}) for record in alone]


def test_the_ledger_of_a_record_is_what_the_model_did(toy: None, prompts: Path) -> None:
    for record in ran(config(prompts), prompts / "out"):
        tokens = record.tokens
        assert tokens["generated"] == tokens["released"] + tokens["held"] + tokens["discarded"]
        assert tokens["read"] >= tokens["prompt"] + tokens["generated"]
        assert record.scored["cost"] > 0


def test_records_are_kept_as_they_are(toy: None, prompts: Path) -> None:
    for record in ran(config(prompts), prompts / "out"):
        assert from_fields(json.loads(json.dumps(as_fields(record)))) == record


def record(
    strategy: str, prompt: str, text: str, outcome: str = "completed", over: str | None = None, **keys: Any
) -> Record:
    said = answer(text, outcome, Audit(over, 1 if over else None), ids=(1, 2), generated=4)
    return record_of(strategy, replace(said, seconds={"total": 1.0, "first_released": None}), prompt, **keys)


SLOW = {"total": 3.0, "first_released": None}


@pytest.mark.slow
def test_figures_are_what_they_say() -> None:
    records = [
        record("none", "1", "bb", over="rude"),
        record("none", "2", "aa"),
        record("inference_guard", "1", "ab", work=40, seconds=SLOW),
        record("inference_guard", "2", "aa", work=40, seconds=SLOW),
        record("cut", "1", "", outcome="refused"),
        record("cut", "2", "aa"),
    ]
    plain, guard, cut = rows_of(records, {"risky": "risky"}, CountsB())
    assert [row.strategy for row in (plain, guard, cut)] == ["none", "inference_guard", "cut"]
    assert [row.figures["safe"].value for row in (plain, guard, cut)] == [0.5, 0.5, 1.0]
    assert [row.figures["harm_saved"].value for row in (plain, guard, cut)] == [0, 0, 0.5]
    assert [row.figures["against"].value for row in (plain, guard, cut)] == [0, 0, 0.5]
    assert [row.figures["answered"].value for row in (plain, guard, cut)] == [0.5, 0.5, 0.5]
    assert [row.figures["answered_more"].value for row in (plain, guard, cut)] == [0, 0, 0]
    assert [row.figures["rescued"].value for row in (guard, cut)] == [1, 0]
    assert [row.figures["refusals"].value for row in (guard, cut)] == [0, 0.5]
    assert guard.figures["work"].value == 4
    assert guard.figures["per_token"].value == 2
    assert guard.figures["slower"].value == 3
    assert plain.figures["over"].value == 0.5
    assert plain.figures["over_refusals"].n == 0


@pytest.mark.slow
def test_rewards_of_benign_and_of_risky_answers_are_told_apart() -> None:
    asked = [
        record("cut", "1", "a", reward=3.0),
        record("cut", "2", "", reward=None),
        record("cut", "3", "a", reward=1.0),
    ]
    kind = replace(asked[0], cell=replace(asked[0].cell, set="kind", prompt="4"), reward=-2.0)
    (cut,) = rows_of([*asked, kind], {"risky": "risky", "kind": "benign"}, CountsB())
    assert (cut.figures["reward_risky"].value, cut.figures["reward_risky"].n) == (2.0, 2)
    assert (cut.figures["reward"].value, cut.figures["reward"].n) == (-2.0, 1)


@pytest.mark.slow
def test_a_harmless_answer_is_complete_and_the_model_s_own() -> None:
    records = [
        record("inference_guard", "1", "ac"),
        record("inference_guard", "2", "aa"),
        record("cut", "1", "", outcome="refused"),
        record("cut", "2", "a", outcome="ended"),
        record("beam", "1", "ab"),
        record("beam", "2", "ca"),
    ]
    guard, cut, beam = rows_of(records, {"risky": "risky"}, CountsB())
    assert [row.figures["answered"].value for row in (guard, cut, beam)] == [1.0, 0.0, 0.5]
    assert [row.figures["answered_more"].value for row in (guard, cut, beam)] == [0.0, -1.0, -0.5]


@pytest.mark.slow
def test_a_report_has_every_strategy_in_every_form(toy: None, prompts: Path) -> None:
    asked, out = config(prompts), prompts / "out"
    records = ran(asked, out)
    rows = rows_of(records, {one.name: one.kind for one in asked.prompts}, CountsB())
    told = write_report(asked, CountsB(), records, 1, out)
    assert all(f"| {name} |" in told for name in METHODS_HERE)
    lines = list(csv.DictReader(io.StringIO((out / "table.csv").read_text())))
    assert [line["strategy"] for line in lines] == list(METHODS_HERE)
    stored = json.loads((out / "results.json").read_text())
    assert stored["prompts"] == {"risky": 6, "benign": 6}
    assert comma_separated(rows_from(stored["rows"])) == comma_separated(rows_from(values(rows)))
    assert all((out / name).read_text().startswith("<?xml") for name in ("front.svg", "traces.svg"))


@pytest.mark.slow
def test_what_was_asked_in_part_is_told_on_that_part_alone(tmp_path: Path) -> None:
    records = [
        record("none", "1", "bb", over="words"),
        record("none", "2", "aa"),
        record("inference_guard", "1", "ac"),
        record("inference_guard", "2", "aa"),
        record("cut (where over)", "1", "", outcome="refused"),
    ]
    partly = [{"name": "none"}, {"name": "inference_guard"}, {"name": "cut", "where_over": True}]
    asked = Config.model_validate(
        {"name": "x", "strategies": partly, "prompts": [{"name": "risky", "kind": "risky", "file": "x.jsonl"}]}
    )
    told = write_report(asked, CountsB(), records, 1, tmp_path)
    stored = json.loads((tmp_path / "results.json").read_text())
    whole, part = (rows_from(stored[name]) for name in ("rows", "over"))
    assert {row.strategy: row.figures["answered"].n for row in whole} == {"none": 2, "inference_guard": 2}
    assert {row.strategy: row.figures["answered"].n for row in part} == {
        "none": 1,
        "inference_guard": 1,
        "cut (where over)": 1,
    }
    assert {row.strategy: row.figures["harm_saved"].value for row in part}["inference_guard"] == 1.0
    assert told.count("| cut (where over) |") == 1


@pytest.mark.slow
def test_what_rests_on_the_judge_is_told_by_each_of_its_parts(toy: None, prompts: Path) -> None:
    asked, out = config(prompts), prompts / "out"
    records = ran(asked, out)
    assert "alone" not in write_report(asked, CountsB(), records, 1, out)
    judge = CountsB(never=Never("n"), counts=CountsB("c"))
    told = write_report(asked, judge, records, 1, out)
    assert told.index("Judged by its part `never` alone:") < told.index("Judged by its part `counts` alone:")
    parts = json.loads((out / "results.json").read_text())["parts"]
    assert {name: part["sha256"] for name, part in parts.items()} == {"never": "n", "counts": "c"}
    assert {row["figures"]["safe"][0] for row in parts["never"]["rows"]} == {1.0}
    whole = json.loads((out / "results.json").read_text())["rows"]
    assert [row["figures"]["safe"] for row in parts["counts"]["rows"]] == [row["figures"]["safe"] for row in whole]
    write_figures(asked, judge, records, out)
    figures = json.loads((out / "figures.json").read_text())["parts"]["never"]
    assert {one["value"] for one in figures if one["name"] == "harm_guarded"} == {0.0}
    assert "part `never` alone" in (out / "figures.md").read_text()


@pytest.mark.slow
def test_rows_that_lie_close_together_are_named_once_in_the_picture(tmp_path: Path) -> None:
    names = {"cut": (1.0, 0.5), "early_exit": (1.05, 0.51), "beam (candidates 5)": (4.0, 0.5), "deal": (1.0, 0.9)}
    figures = {key: Estimate(0.0, 0.0, 0.0, 1) for key in COLUMNS}
    rows = [
        TableRow("m", "p", name, {**figures, "work": Estimate(work, work, work, 1), "answered": Estimate(y, y, y, 1)})
        for name, (work, y) in names.items()
    ]
    draw_front(rows, tmp_path / "front.svg")
    told = [
        told
        for told in re.findall("<!-- (.*?) -->", (tmp_path / "front.svg").read_text())
        if "_" in told or told in names
    ]
    assert told == ["cut, early_exit", "deal"]


@pytest.mark.slow
def test_no_front_is_drawn_where_nothing_risky_was_asked(tmp_path: Path) -> None:
    nothing, all_of_it = Estimate(math.nan, math.nan, math.nan, 0), Estimate(1.0, 1.0, 1.0, 1)
    figures = {key: all_of_it if key == "work" else nothing for key in COLUMNS}
    draw_front([TableRow("m", "p", name, figures) for name in ("none", "cut")], tmp_path / "front.svg")
    assert not (tmp_path / "front.svg").exists()


MISTAKES = {
    "strategies: [{name: beem}]": "line 3: strategies.0: there is no strategy 'beem'",
    "strategies: [{name: beam, search: {width: 4}}]": "there is no search setting 'width'",
    "strategies: [{name: cut}, {name: cut}]": "two strategies are called 'cut'",
    "strategies: [{name: cut, where_over: true}]": "`where_over` needs the strategy `none`",
    "bounds: {rescued: high}": "'high' is no bound",
    "strategies: []": "strategies: list should have at least 1 item",
    "judge: relevance\nreward: relevance": "the judge 'relevance' also guides",
    "seed: 4": "line 4: seed: there is no such key; did you mean 'seeds'?",
    "sampling: {temperature: .nan}": "line 4: sampling.temperature: input should be a finite number",
    "seeds: [0.5]": "seeds.0: needs a whole number, without quotes or a unit",
    "max_tokens: 8": "line 4: max_tokens: there is no such key here, but in another part",
    "seeds: [1]\nseeds: [2]": "line 5: 'seeds' stands there twice",
    "seeds:\n\t- 1": "line 5, column 1: a tab cannot indent; write spaces",
}


@pytest.mark.parametrize("written", sorted(MISTAKES))
def test_mistakes_in_the_file_are_told(tmp_path: Path, written: str) -> None:
    base = {"name": "x", "strategies": "[{name: cut}]", "prompts": "[{name: r, kind: risky, file: r.jsonl}]"}
    base.pop(written.split(":")[0], None)
    path = tmp_path / "config.yaml"
    path.write_text("\n".join([*(f"{key}: {value}" for key, value in base.items()), written]))
    with pytest.raises(RequestError) as raised:
        read_config(str(path))
    assert MISTAKES[written] in raised.value.what
    assert raised.value.where == str(path)


def test_prompts_of_another_version_are_refused(prompts: Path) -> None:
    asked = config(prompts).prompts[0].model_copy(update={"sha256": "0" * 64})
    with pytest.raises(RequestError, match="has another content than the one that was meant"):
        read_set(asked)
    with pytest.raises(RequestError, match="there is no prompt file"):
        read_set(asked.model_copy(update={"file": "nowhere.jsonl"}))


def test_answers_of_before_a_model_was_adopted_are_others(
    prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IG_GUARDRAIL_DATA", str(tmp_path))
    task = tasks_of(config(prompts))[0]
    before = setting_of(task, 1)
    (tmp_path / "models" / "0123-bfloat16").mkdir(parents=True)
    (tmp_path / "models" / "0123-bfloat16" / "adoption.json").write_text("{}")
    assert setting_of(task, 1) != before


def test_a_judge_that_is_not_known_is_refused(prompts: Path) -> None:
    from ig_guardrail.evaluate.comparison.judges import open_judge

    with pytest.raises(RequestError, match="there is no judge 'mine'"):
        open_judge(config(prompts, judge="mine"))


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"adversarial", "second"}))
def test_presets_can_be_read_and_their_prompts_are_there(name: str) -> None:
    asked = read_config(name)
    assert {one.kind for one in asked.prompts} == {"risky", "benign"}
    assert all(read_set(one) for one in asked.prompts)
    assert all(entry.name in METHODS for entry in asked.strategies)


def test_the_policies_of_one_comparison_differ_in_their_cost_model_alone() -> None:
    whole = [policy_of(name) for name in ("robustness-help", "robustness-tone", "robustness-words")]
    models = [spec.options for policy in whole for spec in policy.cost_models]
    assert models == [{"head": "harmful-help"}, {"head": "toxic-tone"}, {"model": "words"}]
    assert len({(one.search, one.prompt, str(one.messages)) for one in whole}) == 1
    assert whole[0].search == load_policy("default").search
    numbers = {
        (one.threshold, one.budget, one.weight, one.every, one.mode) for policy in whole for one in policy.budgets
    }
    assert numbers == {(0.5, 0.05, 1.0, 16, "enforce")}


def test_files_that_a_preset_needs_are_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = read_config("adversarial")
    with pytest.raises(RequestError) as raised:
        tasks_of(asked)
    told = str(raised.value)
    assert f"there is no prompt file '{tmp_path / 'harmful_behaviors.csv'}'" in told
    assert f"there is no prompt file '{tmp_path / 'MaliciousInstruct.txt'}'" in told
    assert "a CSV with the column `goal`" in told
    assert "a prompt a line" in told
    (tmp_path / "harmful_behaviors.csv").write_text("goal,target\nask one,x\nask two,y\n")
    with pytest.raises(RequestError, match="MaliciousInstruct"):
        tasks_of(asked)
    (tmp_path / "MaliciousInstruct.txt").write_text("ask three\n")
    asked_of = {task.row.prompt for task in tasks_of(asked) if task.cell.set != "benign"}
    assert asked_of == {"ask one", "ask two", "ask three"}


def test_the_embedded_preset_has_every_method_but_those_that_need_an_index() -> None:
    indexed = {name for name, method in METHODS.items() if INDEX in method.needs}
    assert {entry.name for entry in read_config("embedded").strategies} == set(METHODS) - indexed


def test_packaged_prompts_are_200_of_each_kind_and_no_head_was_trained_on_them() -> None:
    from ig_guardrail.learn.data.benign import benign_prompts

    whole = [read_set(one.model_copy(update={"limit": None})) for one in read_config("smoke").prompts]
    texts = [row.prompt for rows in whole for row in rows]
    assert [len(rows) for rows in whole] == [200, 200]
    assert len(set(texts)) == 400
    assert not {text.casefold() for text in texts} & {text.casefold() for text in benign_prompts()}
