"""`ig-guardrail eval`: what its help says, and that mistakes are told before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.evaluate.comparison.config import PRESETS
from tests.unit.cli.conftest import Command


def test_the_help_lists_every_preset(ig: Command) -> None:
    assert f"a preset: {', '.join(PRESETS)}." in " ".join(ig("eval", "--help").out.replace("│", " ").split())


def test_missing_prompts_and_judges_end_it_before_a_folder_is_made(
    ig: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = ig("eval", "adversarial")
    assert (ran.code, ran.out) == (2, "")
    assert "error: prompts.advbench, prompts.maliciousinstruct: there is no prompt file" in ran.err
    asked = "name: x\nstrategies: [{name: cut}]\nprompts: [{name: r, kind: risky, file: 'packaged:risky', limit: 1}]\n"
    Path("own.yaml").write_text(f"{asked}judge: 'classifier:./nowhere#rude'\n")
    ran = ig("eval", "own.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert "error: judge: there is no folder './nowhere'" in ran.err
    assert [file.name for file in tmp_path.iterdir()] == ["own.yaml"]
