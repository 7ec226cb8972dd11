"""`train critic`, `train reward`, and `run` beside what they wrote: names in, artifacts and answers out."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from tests.unit.cli.conftest import Command
from tests.unit.learn import foretelling, test_relevance


def test_a_reward_is_trained_from_the_projects_own_questions(
    ig: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ig_guardrail.engine.loading import models
    from ig_guardrail.learn.data import questions

    monkeypatch.setattr(models, "load_engine", lambda model, **how: test_relevance.Attentive(test_relevance.Echo()))
    monkeypatch.setattr(questions, "survey", lambda data, most: test_relevance.ASKED)
    ran = ig("train", "reward", "--out", str(tmp_path / "mine"), "--cache", str(tmp_path / "kept"), "--tokens", "20")
    assert ran.code == 0
    assert ran.out == f"wrote {tmp_path / 'mine' / 'float64'}\n"
    assert (tmp_path / "mine" / "float64" / "CARD.md").read_text().startswith("# relevance")


@pytest.mark.slow
def test_a_critic_is_trained_under_a_policy(ig: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ig_guardrail import assembly
    from ig_guardrail.learn.data import questions

    monkeypatch.setattr(assembly, "open_guardrail", lambda *names, **how: foretelling.rail(foretelling.Foretold()))
    monkeypatch.setattr(questions, "survey", lambda data, most: foretelling.ASKED)
    places = ("--out", str(tmp_path / "mine"), "--cache", str(tmp_path / "kept"))
    ran = ig("train", "critic", *places, "--tokens", "8", "--temperature", "1", "--top-p", "1", "--seed", "3")
    assert (ran.code, ran.out) == (0, f"wrote {tmp_path / 'mine' / 'float64'}\n")


def test_a_reward_of_another_model_is_refused_before_anything_is_said(
    ig: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ig_guardrail.engine.loading import models

    engine = ScriptedEngine(test_relevance.Echo())
    monkeypatch.setattr(models, "load_engine", lambda model, **how: engine)
    ran = ig("run", "--prompt", "hello", "--reward", "relevance")
    assert ran.code == 2
    assert ran.out == ""
    assert "there is none for weights in float64" in ran.err


def test_a_name_that_is_no_artifact_tells_what_there_is(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.engine.loading import models

    engine = ScriptedEngine(test_relevance.Echo())
    monkeypatch.setattr(models, "load_engine", lambda model, **how: engine)
    ran = ig("run", "--prompt", "hello", "--critic", "nowhere")
    assert ran.code == 2
    assert "train critic" in ran.err
