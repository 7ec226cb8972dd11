"""A store in a folder of others: nothing of theirs is deleted, and nothing they could have put there is used."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ig_guardrail.engine.loading import store
from ig_guardrail.engine.loading.store import (
    MANIFEST,
    MARK,
    is_whole,
    made_once,
    put_in_place,
    remembered_sha256,
    store_folder,
)
from ig_guardrail.errors import ModelError

SOMEBODY = 12_345  # a user, by number
LONG_AGO = (1.0, 1.0)

only_root_gives_away = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away"
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, named as the store."""
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(tmp_path))
    return tmp_path


def weights(folder: Path) -> None:
    (folder / "weights").write_text("weights")


def made() -> Path:
    return made_once(store_folder() / "0123456789abcdef-bfloat16", weights)


# ------------------------------------------------------------------------------------------------- what is deleted


def plain(folder: Path) -> None:
    folder.mkdir()
    (folder / "precious").write_text("mine")


def with_another_mark(folder: Path) -> None:
    plain(folder)
    (folder / MARK).write_text("somebody else's note")


def with_a_link_for_a_mark(folder: Path) -> None:
    plain(folder)
    real = store._unfinished(folder.parent)
    (folder / MARK).symlink_to(real / MARK)


def link(folder: Path) -> None:
    target = folder.with_name("target" + folder.name)
    plain(target)
    (target / MARK).write_text(store._MARKED)
    folder.symlink_to(target)


@pytest.mark.parametrize("kind", [plain, with_another_mark, with_a_link_for_a_mark, link])
@pytest.mark.parametrize(
    "name", [".oh-my-zsh", ".X11-unix", ".ig-guardrail-notes", ".0123456789abcdef-bfloat16-x", "a-b"]
)
def test_what_does_not_carry_our_mark_is_never_deleted(home: Path, name: str, kind: Callable[[Path], None]) -> None:
    kind(home / name)
    os.utime(home / name, LONG_AGO)
    if (home / name / MARK).exists():
        os.utime(home / name / MARK, LONG_AGO)
    made()
    assert (home / name / "precious").read_text() == "mine"


def test_what_a_killed_process_left_is_deleted_when_it_is_old(home: Path) -> None:
    old, young = store._unfinished(home), store._unfinished(home)
    os.utime(old / MARK, LONG_AGO)
    made()
    assert (old.exists(), young.exists()) == (False, True)


@only_root_gives_away
def test_what_another_user_left_is_not_ours_to_delete(home: Path) -> None:
    theirs = store._unfinished(home)
    os.utime(theirs / MARK, LONG_AGO)
    os.chown(theirs, SOMEBODY, SOMEBODY)
    made()
    assert theirs.exists()


def test_a_folder_under_the_final_name_that_was_not_made_here_is_left_alone(home: Path) -> None:
    plain(home / "0123456789abcdef-bfloat16")
    with pytest.raises(ModelError, match=r"cannot be made(.|\n)*IG_GUARDRAIL_CACHE"):
        made()
    assert (home / "0123456789abcdef-bfloat16" / "precious").read_text() == "mine"


# ------------------------------------------------------------------------------------------------ what is believed


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


GOOD = {"weights": sha256("weights")}
MANIFESTS = {
    "of nothing": {},
    "a list": [],
    "null": None,
    "a text": "weights",
    "of another hash": {"weights": sha256("others")},
    "of no hash": {"weights": None},
    "of one file more": {**GOOD, "more": sha256("")},
    "of itself": {**GOOD, MANIFEST: sha256("")},
    "of a file elsewhere": {**GOOD, "../weights": sha256("weights")},
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=list(MANIFESTS))
def test_a_manifest_vouches_for_exactly_what_it_lists(home: Path, manifest: object) -> None:
    folder = made()
    (home / "weights").write_text("weights")
    assert is_whole(folder)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert not is_whole(folder)
    assert is_whole(made())


def test_a_file_that_is_not_listed_spoils_a_folder() -> None:
    folder = made()
    (folder / "added_tokens.json").write_text("{}")
    assert not is_whole(folder)
    made()
    assert sorted(file.name for file in folder.iterdir()) == [MANIFEST, "weights"]


def test_a_link_spoils_a_folder_whatever_it_leads_to(home: Path) -> None:
    folder = made()
    (folder / "weights").rename(home / "weights")
    (folder / "weights").symlink_to(home / "weights")
    assert not is_whole(folder)


def test_a_folder_that_others_may_write_to_is_not_believed() -> None:
    folder = made()
    folder.chmod(0o777)
    assert not is_whole(folder)


@only_root_gives_away
@pytest.mark.parametrize("part", ["", "weights"])
def test_what_another_user_owns_is_not_believed(part: str) -> None:
    folder = made()
    os.chown(folder / part, SOMEBODY, SOMEBODY)
    assert not is_whole(folder)


# --------------------------------------------------------------------------------------------------- hashes of files


def test_other_contents_of_the_same_size_and_time_have_another_hash(home: Path) -> None:
    file = home / "model.gguf"
    file.write_text("AAAA")
    facts = file.stat()
    assert remembered_sha256(file) == sha256("AAAA")
    file.write_text("BBBB")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert remembered_sha256(file) == sha256("BBBB")


def test_a_note_is_not_believed_unless_it_is_a_hash_of_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SETTLED_S", -60.0)  # as if files had been there for a minute
    file = home / "model.gguf"
    file.write_text("weights")
    assert remembered_sha256(file) == sha256("weights")
    (note,) = (home / "digests").iterdir()
    for text in ("", "0" * 63, "0" * 65, "0" * 64 + "\n", "x" * 64, "é" * 64):
        note.write_text(text)
        assert remembered_sha256(file) == sha256("weights")
    note.write_text("0" * 64)
    (home / "digests").chmod(0o777)
    assert remembered_sha256(file) == sha256("weights"), "anybody could have written it"


def test_nothing_is_written_through_names_that_can_be_foreseen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SETTLED_S", -60.0)
    file, target = home / "model.gguf", home / "target"
    file.write_text("weights")
    target.write_text("precious")
    remembered_sha256(file)
    (note,) = (home / "digests").iterdir()
    note.unlink()
    note.with_suffix(f".{os.getpid()}").symlink_to(target)
    note.symlink_to(target)
    remembered_sha256(file)
    assert target.read_text() == "precious"
    assert note.read_text() == sha256("weights")


def test_what_fails_while_it_is_written_leaves_nothing(home: Path) -> None:
    def fail() -> None:
        with put_in_place(home / "file") as beside:
            beside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(home.iterdir()) == []


def test_a_store_that_cannot_be_written_to_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("in the way")
    monkeypatch.setenv("IG_GUARDRAIL_CACHE", str(home / "file" / "below"))
    with pytest.raises(ModelError, match="set IG_GUARDRAIL_CACHE to a folder that may be written to"):
        made()
