"""Reports: for people, for programs, and as an exit code."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ig_guardrail.errors import PolicyError
from ig_guardrail.policy import check_files, compile_text, load_policy, packaged_names
from ig_guardrail.policy.diagnostics.render import render
from ig_guardrail.policy.diagnostics.report import UNTRIED, Report
from ig_guardrail.policy.yaml.decoding import lines
from tests.unit.policy.texts import VALID, edited


def rendered(text: str, file: str = "policies/support-bot.yaml") -> str:
    return "\n\n".join(render(fault, lines(text)) for fault in compile_text(text, file)[1])


def write(folder: Path, name: str, text: str) -> Path:
    head = folder / "heads" / "tone"
    head.mkdir(parents=True, exist_ok=True)
    (head / "card.json").write_text('{"kind": "latent"}')
    path = folder / name
    path.write_text(text)
    return path


def test_a_fault_is_shown_with_its_line_carets_path_reason_and_advice() -> None:
    assert rendered(edited(("budget: 0.05", "budget: -1.5"))) == "\n".join(
        [
            "error[P014]: `budget` is negative",
            "  --> policies/support-bot.yaml:15:13",
            "   |",
            "15 |     budget: -1.5",
            "   |             ^^^^ needs 0 to 1000000 (accumulated cost of one answer)",
            "   = path: budgets[0].budget",
            "   = why: with less than nothing to spend, every answer would be refused",
            "   = help: to ban the hazard, write `budget: 0`",
        ]
    )


def test_carets_stand_under_wide_characters() -> None:
    owners = ("owners: [you@example.org]", "owners: [日本], colour: red")
    excerpt, carets = rendered(edited(owners)).split("\n")[3:5]
    assert carets.index("^") == excerpt.index("colour") + 2


def test_a_long_line_is_shown_around_the_fault() -> None:
    shown = rendered(edited(("weight: 2", f"weight: 2, accumulate: {'x' * 300}, every: -5")))
    excerpt = [line for line in shown.split("\n") if line.startswith("17 |")]
    assert all(len(line) < 120 for line in excerpt)
    assert "every: -5" in excerpt[-1]


def test_nothing_in_a_report_reaches_the_terminal_as_a_control_character() -> None:
    bad = VALID.replace("support-bot", '"\\e[31mred"').replace("cost_models:", '"\\x1b]0;x\\x07": 1\ncost_models:')
    text = rendered(bad, "p\x1b[31m.yaml") + rendered(VALID.replace("kind", "ki\x1bnd"))
    assert all(char.isprintable() or char == "\n" for char in text)


def test_colours_are_only_added_where_they_are_wanted(tmp_path: Path) -> None:
    report = check_files([write(tmp_path, "p.yaml", edited(("weight: 2", "weight: -2")))])
    assert "\x1b[" not in report.as_text(color=False)
    assert "\x1b[1;31merror[P014]\x1b[0m" in report.as_text(color=True)


def test_a_valid_file_is_said_to_be_valid(tmp_path: Path) -> None:
    path = write(tmp_path, "p.yaml", VALID)
    report = check_files([path])
    policy = load_policy(path)
    assert report.exit_code == 0
    assert report.as_text(color=False) == (
        f"{path}: valid: support-bot 1.2.3, sha256 {policy.sha256[:12]}\n\n{UNTRIED}\n\n"
        "1 file, 1 valid, 0 errors, 0 warnings"
    )


def test_a_file_that_was_started_says_so_and_one_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    (found,) = check_files([write(tmp_path, "p.yaml", VALID)]).files
    good = Report((replace(found, start=""),))
    assert good.exit_code == 0
    assert "starts, and its messages are within its budgets" in good.as_text(color=False)
    assert UNTRIED not in good.as_text(color=False)
    bad = Report((replace(found, start="start-up check: no"),))
    assert bad.exit_code == 1
    assert f"error: {found.path} is valid, and does not start: start-up check: no" in bad.as_text(color=False)
    assert "1 file, 0 valid, 1 error, 0 warnings" in bad.as_text(color=False)


def test_json_has_every_file_and_fault(tmp_path: Path) -> None:
    good, bad = write(tmp_path, "a.yaml", VALID), write(tmp_path, "b.yaml", edited(("weight: 2", "weight: -2")))
    report = check_files([good, bad])
    first, second = json.loads(report.as_json())["files"]
    assert first == {
        "path": str(good), "ok": True, "sha256": load_policy(good).sha256, "name": "support-bot", "faults": [],
        "waived": [], "approved": [], "start": None,
    }  # fmt: skip
    assert (second["ok"], second["sha256"], second["name"]) == (False, None, None)
    (fault,) = second["faults"]
    assert list(fault) == ["severity", "code", "path", "file", "line", "column", "message", "why", "help"]
    assert (fault["severity"], fault["code"], fault["path"]) == ("error", "P014", "budgets[1].weight")
    assert (fault["file"], fault["line"], fault["column"]) == (str(bad), 17, 99)


def test_a_folder_stands_for_its_yaml_files_in_order(tmp_path: Path) -> None:
    write(tmp_path, "b.yaml", VALID)
    write(tmp_path, "a.yaml", "x")
    write(tmp_path, "c.YML", VALID)
    write(tmp_path, "c_test.YML", "x")
    write(tmp_path, "notes.txt", "x")
    write(tmp_path, ".hidden.yaml", "x")
    report = check_files([tmp_path])
    assert [Path(one.path).name for one in report.files] == ["a.yaml", "b.yaml", "c.YML"]
    assert report.exit_code == 1


def test_cases_and_waivers_that_a_shell_names_with_policies_are_left_out(tmp_path: Path) -> None:
    policy, cases = write(tmp_path, "p.yaml", VALID), write(tmp_path, "p_test.yaml", "cases: []")
    waivers = write(tmp_path / "apart", "waivers.yaml", "waivers: []")
    assert [one.path for one in check_files([policy, cases, waivers]).files] == [str(policy)]
    for path, what in {cases: "cases of a policy", waivers: "waivers"}.items():
        (one, *_) = check_files([path]).files
        assert [fault.label for fault in one.faults] == [f"it holds {what}"]


def test_a_folder_without_policies_cannot_pass_for_checked(tmp_path: Path) -> None:
    report = check_files([tmp_path])
    assert report.exit_code == 2
    assert "the folder holds no policy" in report.as_text(color=False)
    assert check_files([]).exit_code == 2


def test_what_cannot_be_read_in_a_folder_cannot_pass_for_checked(tmp_path: Path) -> None:
    write(tmp_path, "good.yaml", VALID)
    (tmp_path / "link.yaml").symlink_to("gone.yaml")
    report = check_files([tmp_path])
    assert report.exit_code == 2
    text = report.as_text(color=False)
    assert "it is a link that leads to no file" in text
    assert "there is no `gone.yaml`: point the link at a policy, or name the policy itself" in text
    assert "did you mean" not in text


def test_a_folder_that_cannot_be_looked_into_cannot_pass_for_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "good.yaml", VALID)
    (tmp_path / "below").mkdir()
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    report = check_files([tmp_path])
    assert report.exit_code == 2
    assert f"check {tmp_path / 'below'} and its permissions" in report.as_text(color=False)


def test_a_missing_file_is_exit_code_2_even_beside_other_faults(tmp_path: Path) -> None:
    bad = write(tmp_path, "support.yaml", "x")
    report = check_files([bad, tmp_path / "suport.yaml"])
    assert report.exit_code == 2
    text = report.as_text(color=False)
    assert "there is no such file" in text
    assert "did you mean `support.yaml`?" in text


def test_what_names_of_policies_end_with_makes_no_two_alike(tmp_path: Path) -> None:
    write(tmp_path, "82_thr.yaml", VALID)
    assert "did you mean" not in check_files([tmp_path / "nothere.yaml"]).as_text(color=False)


def test_names_that_no_file_system_takes_are_reported() -> None:
    report = check_files(["a\x00b", "x" * 5000, ""])
    assert report.exit_code == 2
    assert [fault.code for one in report.files for fault in one.faults] == ["P001"] * 3


def test_an_empty_path_is_not_taken_for_the_current_folder() -> None:
    assert "its name is empty" in check_files([""]).as_text(color=False)
    with pytest.raises(PolicyError, match="its name is empty"):
        load_policy("")


def test_loading_raises_the_whole_report(tmp_path: Path) -> None:
    path = write(tmp_path, "p.yaml", edited(("weight: 2", "weight: -2"), ("beams: 2", "beams: 0")))
    with pytest.raises(PolicyError, match="the policy was refused") as caught:
        load_policy(path)
    assert str(caught.value).count("error[P014]") == 2
    assert f"--> {path}:17:99" in str(caught.value)


def test_loading_an_unknown_name_lists_the_packaged_policies_and_the_nearest() -> None:
    with pytest.raises(PolicyError, match="there is no such file") as caught:
        load_policy("defualt")
    assert "did you mean `default`? Packaged policies: default, education, " in str(caught.value)


def test_loading_takes_a_packaged_name_a_path_or_a_policy(tmp_path: Path) -> None:
    default = load_policy("default")
    assert load_policy(default) is default
    path = write(tmp_path, "default", VALID)
    assert load_policy(path).name == "support-bot"
    assert load_policy(str(path)).name == "support-bot"
    assert packaged_names() == (
        "default", "education", "fairness", "health", "observe", "paper", "strict", "support",
    )  # fmt: skip


def test_loading_a_policy_with_warnings_works(tmp_path: Path) -> None:
    path = write(tmp_path, "p.yaml", edited(("model: words, ", "model: words, on_error: open, ")))
    assert load_policy(path).name == "support-bot"
    assert check_files([path]).exit_code == 0
