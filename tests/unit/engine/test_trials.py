"""What was tried of a machine's kernels is kept for the next start, and tried anew where anything is otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from ig_guardrail.engine.loading import packing, trials
from ig_guardrail.engine.loading.packing import Packer
from ig_guardrail.engine.loading.trials import Trials, kept_trials


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path))
    return tmp_path / "trials"


def fail() -> bool:
    raise AssertionError("it is tried again")


def test_what_was_found_is_not_tried_again() -> None:
    first = kept_trials()
    assert first.find("a", lambda: [1, 2]) == [1, 2]
    assert first.find("b", lambda: False) is False
    assert first.find("c", lambda: None) is None
    first.keep()
    later = kept_trials()
    assert [later.find(name, fail) for name in "abc"] == [[1, 2], False, None]


def test_without_a_file_it_is_forgotten() -> None:
    Trials().find("a", lambda: True)
    assert Trials().find("a", lambda: False) is False


def test_two_starts_at_once_keep_what_both_found() -> None:
    one, other = kept_trials(), kept_trials()
    one.find("a", lambda: 1)
    other.find("b", lambda: 2)
    one.keep()
    other.keep()
    assert [kept_trials().find(name, fail) for name in "ab"] == [1, 2]


@pytest.mark.parametrize("change", ["threads", "setting", "library"])
def test_on_another_machine_it_is_tried_again(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept_trials()
    first.find("a", lambda: 1)
    first.keep()
    if change == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    elif change == "setting":
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    else:
        monkeypatch.setattr(trials, "version", lambda name: f"{name} of tomorrow")
    assert kept_trials().find("a", lambda: 2) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": ', "[" * 5000, "\x00"])
def test_a_damaged_file_is_no_finding(text: str, store: Path) -> None:
    first = kept_trials()
    first.find("a", lambda: 1)
    first.keep()
    (file,) = store.iterdir()
    file.write_text(text)
    assert kept_trials().find("a", lambda: 3) == 3


def test_what_others_could_have_written_is_not_believed(store: Path) -> None:
    first = kept_trials()
    first.find("a", lambda: 1)
    first.keep()
    store.chmod(0o777)
    assert kept_trials().find("a", lambda: 4) == 4


def test_a_store_that_cannot_be_written_to_stops_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path / "file"))
    first = kept_trials()
    assert first.find("a", lambda: 1) == 1
    first.keep()


def test_layers_are_packed_alike_with_what_was_found_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 96, bias=False).to(torch.bfloat16).eval()
    first = kept_trials()
    packed = Packer(trials=first).packed_or_same(layer)
    first.keep()
    monkeypatch.setattr(packing, "_same_bits", fail)
    monkeypatch.setattr(packing, "_few", fail)
    again = Packer(trials=kept_trials()).packed_or_same(layer)
    assert type(again) is type(packed)
    if isinstance(packed, packing.PackedLinear) and isinstance(again, packing.PackedLinear):
        assert (again.widths, again.few) == (packed.widths, packed.few)
        rows = torch.randn(40, 64).to(torch.bfloat16)
        assert torch.equal(again(rows), packed(rows))


@pytest.mark.parametrize("found", [[1], ["a", 2], "many", True])
def test_a_finding_of_another_form_packs_nothing(found: object) -> None:
    layer = nn.Linear(64, 96, bias=False).to(torch.bfloat16).eval()
    kept = Trials()
    kept.find("widths (64, 96, False)", lambda: found)  # type: ignore[arg-type, return-value]
    assert Packer(trials=kept).packed_or_same(layer) is layer
