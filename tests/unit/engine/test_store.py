"""The store: what is found under its final name is whole, whoever was killed or raced on the way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from safetensors import SafetensorError

from ig_guardrail.engine.loading import store
from ig_guardrail.engine.loading.store import MARK, files_sha256, is_whole, made_once, remembered_sha256, store_folder
from ig_guardrail.errors import ModelError

pytestmark = pytest.mark.usefixtures("own_store")


def write(text: str, folder: Path) -> None:
    (folder / "weights").write_text(text)


def test_the_environment_names_the_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store_folder() == tmp_path / "store"
    monkeypatch.delenv("IG_GUARDRAIL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store_folder() == tmp_path / "ig-guardrail"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert store_folder() == Path.home() / ".cache" / "ig-guardrail"


def test_a_folder_is_made_once() -> None:
    folder = store_folder() / "model"
    made_once(folder, lambda empty: write("first", empty))
    made_once(folder, lambda empty: write("second", empty))
    assert (folder / "weights").read_text() == "first"
    assert [path.name for path in store_folder().iterdir()] == ["model"]


@pytest.mark.parametrize("damage", ["weights", "manifest.json"])
def test_a_damaged_folder_is_made_again(damage: str) -> None:
    folder = store_folder() / "model"
    made_once(folder, lambda empty: write("whole", empty))
    (folder / damage).write_text("{")
    assert not is_whole(folder)
    made_once(folder, lambda empty: write("whole", empty))
    assert is_whole(folder)
    assert (folder / "weights").read_text() == "whole"


def test_a_missing_file_counts_as_damage() -> None:
    folder = made_once(store_folder() / "model", lambda empty: write("whole", empty))
    (folder / "weights").unlink()
    assert not is_whole(folder)


def test_a_failure_leaves_nothing() -> None:
    def fail(empty: Path) -> None:
        write("half", empty)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_once(store_folder() / "model", fail)
    assert list(store_folder().iterdir()) == []


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), SafetensorError("No space left on device")]
)
def test_a_full_disk_is_told_with_where_to_go(failure: Exception) -> None:
    def fail(empty: Path) -> None:
        write("half", empty)
        raise failure

    with pytest.raises(ModelError, match=r"No space left(.|\n)*set IG_GUARDRAIL_CACHE to a folder that may be written"):
        made_once(store_folder() / "model", fail)
    assert list(store_folder().iterdir()) == []


def test_of_two_that_race_the_first_stays() -> None:
    folder = store_folder() / "model"

    def slow(empty: Path) -> None:
        write("slow", empty)
        made_once(folder, lambda other: write("quick", other))

    made_once(folder, slow)
    assert (folder / "weights").read_text() == "quick"
    assert [path.name for path in store_folder().iterdir()] == ["model"]


def test_what_a_killed_process_left_is_swept_in_time() -> None:
    left: list[Path] = []

    def killed(empty: Path) -> None:
        left.append(shutil.copytree(empty.parent, empty.parent.with_name(f".ig-guardrail-{len(left)}")))

    for name in ("first", "second"):
        made_once(store_folder() / name, killed)
    old, young = left
    os.utime(old / MARK, (0, 0))
    made_once(store_folder() / "model", lambda empty: write("whole", empty))
    assert (old.exists(), young.exists()) == (False, True)


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SETTLED_S", -60.0)  # as if the file had been there for a minute
    file = tmp_path / "file"
    file.write_text("one")
    first = remembered_sha256(file)
    (note,) = (store_folder() / "digests").iterdir()
    note.write_text("0" * 64)
    assert remembered_sha256(file) == "0" * 64
    note.write_text("torn")
    assert remembered_sha256(file) == first
    file.write_text("three")
    assert remembered_sha256(file) not in ("0" * 64, first)


def test_the_hash_of_files_depends_on_names_and_contents(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "b"
    one.write_text("x")
    two.write_text("x")
    assert files_sha256([one, two]) == files_sha256([two, one])
    assert len({files_sha256([one]), files_sha256([two]), files_sha256([one, two])}) == 3
