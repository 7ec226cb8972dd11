"""`policy fmt` and `policy migrate`: the layout changes, or one word, and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.errors import GuardrailError, MissingExtra, PolicyError
from ig_guardrail.policy import compile_text, packaged_names
from ig_guardrail.policy.sources import PolicySource, fetch
from ig_guardrail.workbench.formatting import formatted, put
from ig_guardrail.workbench.migrating import migrated
from tests.examples import examples
from tests.unit.cli.conftest import Command, ig  # noqa: F401
from tests.unit.policy.texts import VALID

UNTIDY = """# on top
apiVersion:   ig-guardrail/v1
kind: SafetyPolicy
metadata:    {name: a,version: 1.0.0,   owners: [a@example.org] }   # who
cost_models:
    words: {kind: lexical, model: words, hazards: [hte,
          ncr]}      # broken over two lines
    other:
        kind: lexical   # block
        model: words

        hazards:
        - hte
        # between items
        - ncr
budgets:
- id: a   # dash at the margin
  hazards: [hte]
  cost: "max(words, other)"
  threshold: .50
  weight: 0.10000000000000000001
- {id: b, hazards: all, cost: words, threshold: 1e-1, x-note: [~, yes, 0x10, 2020-01-01]}
search:
  restart: >-   # folded
      Be kind
      and more.
messages:
    refusal: {en: 'It''s no.', de: "N\\u00e4"}
    closing:
        en: "a b
          c"
# at the end"""
TIDY = """# on top
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: a, version: 1.0.0, owners: [a@example.org]}        # who
cost_models:
  words: {kind: lexical, model: words, hazards: [hte, ncr]} # broken over two lines
  other:
    kind: lexical       # block
    model: words

    hazards:
      - hte
        # between items
      - ncr
budgets:
  - id: a # dash at the margin
    hazards: [hte]
    cost: "max(words, other)"
    threshold: .50
    weight: 0.10000000000000000001
  - {id: b, hazards: all, cost: words, threshold: 1e-1, x-note: [~, yes, 0x10, 2020-01-01]}
search:
  restart: >-   # folded
    Be kind
    and more.
messages:
  refusal: {en: 'It''s no.', de: "Nä"}
  closing:
    en: "a b c"
# at the end
"""


def laid_out(text: str, file: str = "p.yaml") -> str:
    return formatted(PolicySource(file, text.encode())).after


@pytest.mark.parametrize("name", packaged_names())
def test_packaged_policies_are_laid_out(name: str) -> None:
    source = fetch(name)
    assert isinstance(source, PolicySource)
    assert not formatted(source).changed


def test_an_untidy_policy_becomes_a_tidy_one() -> None:
    assert laid_out(UNTIDY) == TIDY
    assert laid_out(TIDY) == TIDY
    assert laid_out("\ufeff" + UNTIDY.replace("\n", "\r\n")) == TIDY


@settings(max_examples=examples(40), deadline=None)
@given(st.data())
def test_however_it_is_spaced_it_means_the_same(data: st.DataObject) -> None:
    step = data.draw(st.integers(1, 5))
    lines = []
    for line in VALID.splitlines():
        inner = len(line) - len(line.lstrip(" "))
        tail = data.draw(st.sampled_from(["", "  ", "   # a note", "\n", "\n# a line\n"]))
        lines.append(" " * (inner // 2 * step) + line.lstrip(" ").replace("- id", "-" + " " * (step - 1) + "id") + tail)
    text = "\n".join(lines)
    policy, _ = compile_text(text, "p.yaml", warn=False)
    if policy is None:
        return
    after = laid_out(text)
    again, _ = compile_text(after, "p.yaml", warn=False)
    assert again is not None
    assert again.sha256 == policy.sha256
    assert after.count("# a") == text.count("# a")
    assert laid_out(after) == after


@pytest.mark.parametrize("text", ["", "budgets: [", "\x00", VALID.replace("threshold: 0.5", "treshold: 0.5"), "[]"])
def test_what_has_faults_is_left_as_it_is(text: str) -> None:
    with pytest.raises(PolicyError, match="a policy with faults is left as it is"):
        laid_out(text)


def test_a_comment_that_would_be_lost_stops_it() -> None:
    with pytest.raises(GuardrailError, match="a value or a comment would be lost"):
        laid_out(VALID.replace("{name: support-bot,", "{name: support-bot, # the bot\n "))


def test_a_child_is_laid_out_beside_its_parent(tmp_path: Path) -> None:
    text = "apiVersion: ig-guardrail/v1\nkind: SafetyPolicy\nmetadata: {name: c, version: 1.0.0}\nextends:   strict\n"
    assert laid_out(text) == text.replace("   strict", " strict")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: module != "ruamel")
    with pytest.raises(MissingExtra, match="editor"):
        laid_out(TIDY)


def test_a_file_is_written_at_once_with_its_rights_and_through_links(tmp_path: Path) -> None:
    path, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    path.write_text(UNTIDY)
    path.chmod(0o640)
    link.symlink_to(path)
    put(str(link), TIDY)
    assert link.is_symlink()
    assert path.read_text() == TIDY
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.yaml", "real.yaml"]
    with pytest.raises(GuardrailError, match="cannot be written"):
        put(str(tmp_path / "none" / "p.yaml"), TIDY)


def test_the_command(ig: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(UNTIDY)
    Path("b.yaml").write_text("budgets: [")
    checked = ig("policy", "fmt", "--check", "a.yaml")
    assert (checked.code, Path("a.yaml").read_text()) == (1, UNTIDY)
    assert "+metadata: {name: a, version: 1.0.0" in checked.out
    ran = ig("policy", "fmt", ".")
    assert (ran.code, ran.out) == (2, "laid out a.yaml\n")
    assert "a policy with faults is left as it is" in ran.err
    assert (Path("a.yaml").read_text(), Path("b.yaml").read_text()) == (TIDY, "budgets: [")
    assert ig("policy", "fmt", "--check", "a.yaml").code == 0
    assert ig("policy", "fmt", "default").code == 2
    assert ig("policy", "fmt", "none.yaml").code == 2


OLD = VALID.replace("kind: lexical, model: words,", "kind:  given, ")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_an_old_spelling_is_brought_up_to_date_and_all_else_stays(mark: str) -> None:
    text, renamed = migrated(PolicySource("p.yaml", (mark + OLD.replace("\n", "\r\n")).encode()))
    assert text == mark + OLD.replace("kind:  given", "kind:  provided").replace("\n", "\r\n")
    assert [one.as_text("p.yaml") for one in renamed] == ["p.yaml:8: cost_models.words.kind: `given` is `provided` now"]
    assert compile_text(text, "p.yaml", warn=False)[0] is not None
    assert migrated(PolicySource("p.yaml", text.encode())) == (text, ())


@pytest.mark.parametrize("text", ["", "a: [", "\x00", OLD + "#" * 300_000])
def test_what_cannot_be_read_is_refused_and_not_called_up_to_date(
    ig: Command,  # noqa: F811
    tmp_path: Path,
    text: str,
) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(text)
    done = ig("policy", "migrate", str(path))
    assert (done.code, done.out) == (2, "")
    assert "what cannot be read is left as it is" in done.err
    assert f"{path}" in done.err
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["[given]", "kind: given", "cost_models: {given: {kind: latent}}"])
def test_nothing_else_is_brought_up_to_date(text: str) -> None:
    assert migrated(PolicySource("p.yaml", text.encode())) == (text, ())


def test_the_command_says_what_it_changed(ig: Command, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "old.yaml"
    path.write_text(OLD)
    assert ig("policy", "migrate", "--check", str(path)).code == 1
    assert path.read_text() == OLD
    assert "`given` is `provided` now" in ig("policy", "migrate", str(path)).out
    assert "nothing to change" in ig("policy", "migrate", str(path)).out
    assert "kind:  provided" in path.read_text()
