"""`ig-guardrail cache`: what is listed, what is deleted, and what is never touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ig_guardrail.engine.loading.gguf import LAYOUT
from ig_guardrail.engine.loading.store import is_whole, made_once
from tests.unit.cli.conftest import Command

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path))
    return tmp_path


def unpacked(store: Path, name: str, size: int, used: float) -> Path:
    folder = made_once(store / name, lambda empty: (empty / "model.safetensors").write_bytes(b"\0" * size) and None)
    os.utime(folder, (used, used))
    return folder


def told(ig: Command, *arguments: str) -> str:
    ran = ig("cache", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def test_models_are_listed_the_last_used_first(ig: Command, store: Path) -> None:
    assert told(ig, "list") == f"0 unpacked models, 0 MiB, in {store}\n"
    unpacked(store, f"{'a' * 16}-bfloat16-{LAYOUT}", 3 * MIB, 1_000_000_000)
    unpacked(store, f"{'b' * 16}-float32", MIB, 1_200_000_000)
    first, second, last = told(ig, "list").splitlines()
    assert first == f"{'b' * 16}  float32       1 MiB  used 2008-01-10  of an older layout"
    assert second == f"{'a' * 16}  bfloat16      3 MiB  used 2001-09-09"
    assert last == f"2 unpacked models, 4 MiB, in {store}"


def test_what_was_used_longest_ago_is_deleted_until_the_rest_fits(ig: Command, store: Path) -> None:
    old, older, new = (
        unpacked(store, f"{letter * 16}-bfloat16-{LAYOUT}", 2 * MIB, 1_000_000_000 + used)
        for letter, used in (("a", 100), ("b", 50), ("c", 200))
    )
    stale = unpacked(store, f"{'d' * 16}-bfloat16-{LAYOUT - 1}", MIB, 1_000_000_300)
    most = str(4.5 / 1024)
    assert "would delete" in told(ig, "prune", "--most", most, "--dry-run")
    assert all(map(is_whole, (old, older, new, stale)))
    assert told(ig, "prune", "--most", most).splitlines()[-1] == "2 unpacked models stay, 4 MiB"
    assert [folder.exists() for folder in (old, older, new, stale)] == [True, False, True, False]
    assert told(ig, "prune").splitlines() == ["2 unpacked models stay, 4 MiB"]
    told(ig, "prune", "--most", "0")
    assert list(store.iterdir()) == []


def test_what_was_not_made_here_is_never_touched(
    ig: Command, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = unpacked(tmp_path_factory.mktemp("elsewhere"), f"{'a' * 16}-bfloat16-{LAYOUT}", MIB, 1)
    others = ["digests", ".ssh", f"{'a' * 16}-bfloat16-{LAYOUT}x", f"{'b' * 16}-bfloat16-{LAYOUT}"]
    for name in others:
        (store / name).mkdir()
        (store / name / "file").write_text("mine")
    (store / f"{'c' * 16}-bfloat16-{LAYOUT}").symlink_to(elsewhere)
    with_more = unpacked(store, f"{'d' * 16}-bfloat16-{LAYOUT}", MIB, 1)
    (with_more / "notes.txt").write_text("put there by somebody")
    assert told(ig, "prune", "--most", "0") == "0 unpacked models stay, 0 MiB\n"
    assert all((store / name / "file").read_text() == "mine" for name in others)
    assert is_whole(elsewhere)
    assert with_more.exists()
