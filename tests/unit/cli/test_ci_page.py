"""docs/ci.md: its hooks and its workflow, run on an example repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ig_guardrail.workbench.scaffold import write_policy
from tests.documents import ROOT, blocks
from tests.first_hour import MADE
from tests.walks import environment

PAGE = ROOT / "docs" / "ci.md"
AUTHOR = {f"GIT_{who}_{what}": f"{who}@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
CONFIG, WORKFLOW = (yaml.safe_load(block.text) for block in blocks(PAGE, "yaml"))

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone, at a change that only raises a version."""
    main, clone = tmp_path / "main", tmp_path / "clone"
    write_policy(main / "policies" / "helpdesk", "default")
    change(main, "owners: []", "owners: [safety@shop.example]")
    (main / "traffic").mkdir()
    (main / "traffic" / "harmless.jsonl").write_bytes((MADE / "traffic" / "harmless.jsonl").read_bytes())
    commit(main, "init", "-q", "-b", "main")
    shell(f"git clone -q {main} {clone}", tmp_path)
    change(clone, "version: 1.0.0", "version: 1.1.0")
    return clone


def change(repository: Path, old: str, new: str) -> None:
    file = repository / "policies" / "helpdesk" / "policy.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def commit(folder: Path, *first: str) -> None:
    if first:
        shell(f"git {' '.join(first)}", folder)
    shell("git add . && git commit -q -m files", folder)


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    ran = attempt(line, folder, **variables)
    assert ran.returncode == 0, ran.stdout
    return ran


def attempt(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run lines as a workflow does, stopping at the first that fails."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(
        ["bash", "-e", "-c", line],
        cwd=folder,
        env={**clean, **environment(), **AUTHOR, "GITHUB_BASE_REF": "main", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def lines() -> dict[str, str]:
    """The lines that the workflow runs, by the names of its steps, but for the installation."""
    steps: list[dict[str, Any]] = WORKFLOW["jobs"]["policies"]["steps"]
    return {step["name"]: step["run"] for step in steps if "run" in step and "name" in step}


def test_every_step_passes_where_only_a_version_is_raised(repository: Path) -> None:
    assert len(lines()) == 5
    for line in lines().values():
        shell(line, repository)
    assert '"version": "2.1.0"' in (repository / "policies.sarif").read_text()
    assert (repository / "policies.xml").read_text().startswith("<?xml")


def test_a_looser_policy_fails_by_its_hazard(repository: Path) -> None:
    change(repository, "threshold: 0.62", "threshold: 0.7")
    shell(lines()["the policies of the main branch, to compare with"], repository)
    ran = attempt(lines()["no hazard gets looser"], repository)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (
        1,
        "B is looser, or not proved to be as strict, in: hte, x.insult, all budgets together",
    )


def test_a_policy_that_touches_harmless_answers_fails(repository: Path) -> None:
    change(repository, "threshold: 0.62", "threshold: 0.25")
    shell(lines()["the policies of the main branch, to compare with"], repository)
    ran = attempt(lines()["harmless answers are judged as before"], repository)
    assert ran.returncode == 1
    assert re.search(r"\b[1-9]\d* newly denied", ran.stdout)


def test_the_hooks_pass_and_fail_as_the_commands_do(repository: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / ".pre-commit-hooks.yaml").write_bytes((ROOT / ".pre-commit-hooks.yaml").read_bytes())
    commit(ours, "init", "-q", "-b", "main")
    config = {
        "repos": [{**CONFIG["repos"][0], "repo": str(ours), "rev": shell("git rev-parse HEAD", ours).stdout.strip()}]
    }
    assert [hook["id"] for hook in config["repos"][0]["hooks"]] == [hook["id"] for hook in HOOKS]
    for hook in config["repos"][0]["hooks"]:
        hook["language"] = "system"  # nothing is fetched
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    shell("git add .", repository)
    run = f"{sys.executable} -m pre_commit run --all-files"
    passed = shell(run, repository, PRE_COMMIT_HOME=str(tmp_path / "home"))
    assert passed.stdout.count("Passed") == 2, passed.stdout
    change(repository, "threshold: 0.62", "treshold: 0.62")
    failed = attempt(run, repository, PRE_COMMIT_HOME=str(tmp_path / "home"))
    assert (failed.returncode, failed.stdout.count("Failed")) == (1, 2)
    assert "did you mean `threshold`?" in failed.stdout
