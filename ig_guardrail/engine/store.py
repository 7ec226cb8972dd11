"""Where the package keeps what it can make again: converted weights and content hashes, on this user's disk.

$IG_GUARDRAIL_CACHE, else $XDG_CACHE_HOME/ig-guardrail, else ~/.cache/ig-guardrail. Whatever is found there under its
final name is whole: it is made beside, under a name of its own, and moved into place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

MANIFEST = "manifest.json"
_ABANDONED_S = 3600.0  # an unfinished folder this old was left by a process that was killed


def store_folder() -> Path:
    """The folder of the store; it may not exist yet."""
    chosen = os.environ.get("IG_GUARDRAIL_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ig-guardrail"


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, filled by `make(empty folder)` unless it is there and undamaged.

    Two processes may race: both make, one's result stays. A kill leaves nothing under the final name.
    """
    if is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(beside)
        _seal(beside)
        _move_into_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def is_whole(folder: Path) -> bool:
    """Whether a folder holds exactly what its manifest says."""
    try:
        listed: dict[str, str] = json.loads((folder / MANIFEST).read_text())
        return all(file_sha256(folder / name) == digest for name, digest in listed.items())
    except (OSError, ValueError, AttributeError):
        return False


def files_sha256(files: Iterable[Path]) -> str:
    """SHA-256 (hex) over the names and contents of files; remembered by each file's path, size and time of change."""
    total = hashlib.sha256()
    for file in sorted(files, key=lambda path: path.name):
        total.update(f"{file.name}\0{remembered_sha256(file)}\n".encode())
    return total.hexdigest()


def remembered_sha256(file: Path) -> str:
    """SHA-256 (hex) of a file, from the store if the file has not changed since it was last read whole."""
    facts = file.stat()
    key = f"{file.resolve()}\0{facts.st_size}\0{facts.st_mtime_ns}"
    note = store_folder() / "digests" / hashlib.sha256(key.encode()).hexdigest()
    try:
        known = note.read_text()
        if len(known) == hashlib.sha256().digest_size * 2:
            return known
    except (OSError, ValueError):
        pass
    digest = file_sha256(file)
    note.parent.mkdir(parents=True, exist_ok=True)
    beside = note.with_suffix(f".{os.getpid()}")
    beside.write_text(digest)
    beside.replace(note)
    return digest


def file_sha256(file: Path) -> str:
    """SHA-256 (hex) of a file's contents."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _seal(folder: Path) -> None:
    listed = {file.name: file_sha256(file) for file in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps(listed, indent=2))


def _move_into_place(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        if is_whole(folder):  # another process was first
            return
        damaged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        folder.rename(damaged / "damaged")
        shutil.rmtree(damaged, ignore_errors=True)
        made.rename(folder)


def _sweep(store: Path) -> None:
    oldest = time.time() - _ABANDONED_S
    for leftover in store.glob(".*-*"):
        if leftover.is_dir() and leftover.stat().st_mtime < oldest:
            shutil.rmtree(leftover, ignore_errors=True)
