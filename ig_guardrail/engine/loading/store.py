"""Where the package keeps what it can make again: converted weights and content hashes, on this user's disk.

$IG_GUARDRAIL_CACHE, else $XDG_CACHE_HOME/ig-guardrail, else ~/.cache/ig-guardrail. Whatever is found there under its
final name is whole: it is made beside, under a name of its own, and moved into place.

The folder may be one that others use too, such as a home or /tmp. So nothing in it is believed that another user could
have put there, names that are written to cannot be foreseen, and nothing is deleted that does not carry our mark.

Libraries that draw progress bars and log while they load, kept silent for a while and then left as they were.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ig_guardrail.errors import ModelError, brief
from ig_guardrail.fields.paths import kept_in

MANIFEST = "manifest.json"
MARK = "ig-guardrail-unfinished"  # a file in each folder that may be deleted
_UNFINISHED, _MARKED = ".ig-guardrail-", "made by ig-guardrail, which deletes this folder when it is old\n"
_ABANDONED_S = 3600.0  # an unfinished folder this old was left by a process that was killed
_LONGEST_NOTE = 1 << 20  # bytes
_SETTLED_S = 2.0  # a file that was changed within this time may be changed again without its times telling


def store_folder() -> Path:
    """The folder of the store; it may not exist yet."""
    return kept_in("IG_GUARDRAIL_CACHE", "XDG_CACHE_HOME", ".cache")


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, filled by `make(empty folder)` unless it is there and undamaged.

    Two processes may race: both make, one's result stays. A kill leaves nothing under the final name.
    Raises ModelError if the store cannot be written to, or has something under that name that is not ours.
    """
    if is_whole(folder):
        return folder
    with ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _sweep(folder.parent)
            beside = stack.enter_context(made_aside(folder.parent))
            made = beside / "made"
            made.mkdir(mode=0o700)
            make(made)
            _seal(made)
        except (OSError, SafetensorError) as error:
            raise _unwritable(folder, error) from error
        _move_into_place(made, folder, beside / "damaged")
    return folder


@contextmanager
def made_aside(store: Path) -> Iterator[Path]:
    """A folder in the store with our mark in it, which is deleted with all that was moved there. Raises OSError."""
    beside = _unfinished(store)
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """Whether a folder is this user's and holds exactly what its manifest says, each file by its remembered hash."""
    try:
        if not is_own(folder):
            return False
        listed = json.loads((folder / MANIFEST).read_text())
        found = {file.name for file in folder.iterdir()}
        if not isinstance(listed, dict) or not listed or {*listed, MANIFEST} != found:
            return False
        return all(is_own(folder / name) and remembered_sha256(folder / name) == listed[name] for name in listed)
    except (OSError, ValueError, RecursionError):
        return False


def is_own(path: Path) -> bool:
    """Whether a file or folder, and no link to one, is this user's or the system's, and nobody else can change it.

    Where files have no owners, as on Windows, it is.
    """
    if not hasattr(os, "geteuid"):
        return not path.is_symlink()
    facts = path.lstat()
    plain = stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)
    open_to_all = stat.S_ISDIR(facts.st_mode) and facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return plain and facts.st_uid in (os.geteuid(), 0) and not open_to_all


@contextmanager
def put_in_place(path: Path) -> Iterator[Path]:
    """A fresh, empty file beside `path` to be written, which is moved there at the end; nothing stays of a failure."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:16]}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def files_sha256(files: Iterable[Path]) -> str:
    """SHA-256 (hex) over the names and contents of files, each remembered as `remembered_sha256` does it."""
    total = hashlib.sha256()
    for file in sorted(files, key=lambda path: path.name):
        total.update(f"{file.name}\0{remembered_sha256(file)}\n".encode())
    return total.hexdigest()


def remembered_sha256(file: Path) -> str:
    """SHA-256 (hex) of a file, from the store if the file has not changed since it was last read whole.

    What tells a change is its place on the disk, its size, and its times, of which the one of the last change cannot be
    set. A file that was changed only just now is read anew each time.
    """
    facts = file.stat()
    if time.time() - max(facts.st_ctime, facts.st_mtime) < _SETTLED_S:
        return file_sha256(file)
    key = (file.resolve(), facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    note = store_folder() / "digests" / hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()
    known = noted(note)
    if re.fullmatch("[0-9a-f]{64}", known):
        return known
    digest = file_sha256(file)
    note_down(note, digest)
    return digest


def noted(note: Path) -> str:
    """What a small file of the store says, "" if there is none, or others could have written it."""
    try:
        believed = is_own(note.parent) and is_own(note) and note.stat().st_size <= _LONGEST_NOTE
        return note.read_text() if believed else ""
    except (OSError, ValueError):
        return ""


def note_down(note: Path, text: str) -> None:
    """Have a small file of the store say this from now on. A store that cannot be written to keeps nothing."""
    with contextlib.suppress(OSError):
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with put_in_place(note) as beside:
            beside.write_text(text)


def file_sha256(file: Path) -> str:
    """SHA-256 (hex) of a file's contents."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unfinished(store: Path) -> Path:
    """A fresh folder to make things in, with our mark in it."""
    beside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=store))
    (beside / MARK).write_text(_MARKED)
    return beside


def _seal(folder: Path) -> None:
    listed = {file.name: file_sha256(file) for file in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps(listed, indent=2))


def _move_into_place(made: Path, folder: Path, damaged: Path) -> None:
    """Move what was made to its final name; what is there and damaged, if it was ours, to `damaged`."""
    try:
        made.rename(folder)
        return
    except OSError as error:
        if is_whole(folder):  # another process was first
            return
        failure = error
    if not was_made_here(folder):
        raise _unusable(folder, failure)
    try:
        folder.rename(damaged)
        made.rename(folder)
    except OSError as error:
        raise _unusable(folder, error) from error


def was_made_here(folder: Path) -> bool:
    """Whether a folder is one that was made here, be it damaged since: it is this user's, and has a manifest."""
    try:
        return folder.is_dir() and is_own(folder) and is_own(folder / MANIFEST)
    except OSError:
        return False


def _sweep(store: Path) -> None:
    """Delete what killed processes left: old folders of this user's that are named as ours are and hold our mark."""
    oldest = time.time() - _ABANDONED_S
    for leftover in store.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError, ValueError):
            mark = leftover / MARK
            if is_own(leftover) and is_own(mark) and mark.stat().st_mtime < oldest and mark.read_text() == _MARKED:
                shutil.rmtree(leftover, ignore_errors=True)


def _unusable(folder: Path, error: OSError) -> ModelError:
    return ModelError(
        f"{folder} cannot be made: {brief(error)}",
        where="IG_GUARDRAIL_CACHE",
        why="what has that name already is used only if it is whole and this user's, and deleted only if made here",
        fix="move it out of the way, or set IG_GUARDRAIL_CACHE to a folder of your own",
    )


def _unwritable(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{folder} cannot be made: {brief(error)}",
        where="IG_GUARDRAIL_CACHE",
        why="models that are packed are unpacked there once, and read from there at every start",
        fix="free some space there, or set IG_GUARDRAIL_CACHE to a folder that may be written to",
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, log lines below errors, or warnings of `transformers` inside; its settings are restored."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
