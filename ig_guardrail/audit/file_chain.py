"""A chain in files. A lock file keeps writers apart: whoever holds it reads where the chain stands off the log itself.

A line is on the disk before it counts as written. What a crash left of one stands as it is, and the next line says so.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from ig_guardrail.audit.chain import BUSY_S, DROPPED, START, TORN, AuditKey, AuditLine, Head, other_key, write_line
from ig_guardrail.audit.files import LogFiles, last_line
from ig_guardrail.errors import AuditError, GuardrailError, brief
from ig_guardrail.settings import AuditFile
from ig_guardrail.threads.locks import ForkSafeLock

LOG = logging.getLogger(__name__)

_LOOK_S = 0.005
_Place: TypeAlias = tuple[int, int]  # of the newest file: by what it is known, and its size


class FileChain:
    """The files of one log, appended to. Safe to share between threads; several may write, in other processes too."""

    def __init__(self, file: AuditFile, key: AuditKey | None) -> None:
        self.file, self.key = file, key
        self.files = LogFiles(Path(file.path))
        self._turn = ForkSafeLock()
        self._known: tuple[_Place, Head] | None = None  # where the chain stood when the file was last written

    @property
    def place(self) -> str:
        return self.files.name

    def check(self) -> None:
        with self._held():
            head = self._standing()
            opened = os.open(self.files.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.close(opened)
            self._known = (self._place(), head)

    def append(self, entry: Mapping[str, Any], now: datetime) -> Head:
        with self._held():
            head = self._begun_anew(self._standing(), now)
            return self._write({"at": now.isoformat(timespec="seconds"), **entry}, head)

    def prune(self, now: datetime) -> int:
        with self._held():
            before = len(self.files.before())
            self._dropped(self._standing(), now)
            return before - len(self.files.before())

    def keep_policy(self, sha256: str, normal_form: str) -> None:
        with self._held():
            self.files.keep_policy(sha256, normal_form)

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._turn:
            try:
                with _locked(self.files.lock):
                    yield
            except GuardrailError:
                self._known = None
                raise
            except (OSError, ValueError) as error:
                self._known = None
                raise AuditError(
                    "the audit log cannot be written",
                    where=self.place,
                    why=brief(error),
                    fix="see that its folder is there and has room; `ig-guardrail audit verify` tells what is broken",
                ) from error

    def _standing(self) -> Head:
        """Where the chain stands. A line that a crash left torn is ended, and told by the next."""
        place = self._place()
        if self._known is not None and self._known[0] == place:
            return self._known[1]
        last, torn = self._last()
        if last is not None and last.key != (None if self.key is None else self.key.id):
            raise other_key(self.place)
        found, anchored = START if last is None else last.head, self.files.anchored()
        if anchored.n > found.n:  # so that what is missing shows for ever
            LOG.error("audit log %s: it ends at line %d, and had %d", self.place, found.n, anchored.n)
            found = anchored
        return self._told_torn(found, torn) if torn else found

    def _last(self) -> tuple[AuditLine | None, bytes]:
        """The last whole line of the log, and what stands torn behind it in the newest file."""
        found, torn = last_line(self.files.path) if self.files.path.exists() else (None, b"")
        before = (last_line(path)[0] for path in reversed(self.files.before()))
        return found or next((line for line in before if line is not None), None), torn

    def _told_torn(self, head: Head, torn: bytes) -> Head:
        """End what a crash left of lines, and write a line that says what it was."""
        left = torn.removesuffix(b"\n")
        if left == torn:
            with self.files.path.open("ab") as file:
                file.write(b"\n")
        LOG.warning("audit log %s: its last line was torn, as a crash leaves it", self.place)
        return self._write({"kind": TORN, "bytes": len(left), "sha256": hashlib.sha256(left).hexdigest()}, head)

    def _begun_anew(self, head: Head, now: datetime) -> Head:
        """Where the chain stands, in a new file if it is time for one; old ones are dropped then."""
        path, daily = self.files.path, self.file.daily or self.file.keep_days is not None
        size = path.stat().st_size if path.exists() else 0
        late = daily and size and _day(last_line(path)[0]) not in (None, now.astimezone(UTC).date().isoformat())
        if not (late or size >= self.file.most_bytes):
            return head
        path.rename(self.files.next_name())
        self._known = None
        return self._dropped(head, now)

    def _dropped(self, head: Head, now: datetime) -> Head:
        """Delete whole files that are over. A line that says so is written first, so that the chain can be followed."""
        over = self._over(self.files.before(), now)
        last = last_line(over[-1])[0] if over else None
        if last is None:
            return head
        names = [path.name for path in over]
        entry = {"kind": DROPPED, "at": now.isoformat(timespec="seconds"), "files": names}
        head = self._write({**entry, "last": last.n, "last_hash": last.hash}, head)
        for path in over:
            path.unlink()
        return head

    def _over(self, paths: Sequence[Path], now: datetime) -> Sequence[Path]:
        """The files, from the first on, that are not kept any longer."""
        count = 0
        if self.file.keep_files is not None:
            count = max(0, len(paths) - self.file.keep_files)
        if self.file.keep_days is not None:
            first = (now.astimezone(UTC) - timedelta(days=self.file.keep_days)).date().isoformat()
            while count < len(paths) and (_day(last_line(paths[count])[0]) or first) < first:
                count += 1
        return paths[:count]

    def _write(self, entry: Mapping[str, Any], head: Head) -> Head:
        line, after = write_line(entry, head, self.key)
        opened = os.open(self.files.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(opened).st_size
            try:
                _write_all(opened, f"{line}\n".encode())
                os.fsync(opened)
                self.files.anchor(after)
            except OSError:
                os.ftruncate(opened, size)
                raise
        finally:
            os.close(opened)
        self._known = (self._place(), after)
        return after

    def _place(self) -> _Place:
        if not self.files.path.exists():
            return 0, 0
        found = self.files.path.stat()
        return found.st_ino, found.st_size


def _day(line: AuditLine | None) -> str | None:
    """The day of a line, as ISO 8601 writes it."""
    told = None if line is None else line.values.get("at")
    return datetime.fromisoformat(told).astimezone(UTC).date().isoformat() if isinstance(told, str) else None


def _write_all(opened: int, data: bytes) -> None:
    while data:
        data = data[os.write(opened, data) :]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file: all others, in this process or another, wait. Raises AuditError where they wait too long."""
    try:
        import fcntl
    except ImportError as error:
        raise AuditError(
            "there are no file locks on this system", where=str(path), fix="keep the log on Linux or macOS"
        ) from error
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + BUSY_S
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise AuditError(
                        f"another process has held the audit log for {BUSY_S:g} s",
                        where=str(path),
                        fix="see what it waits for",
                    ) from None
                time.sleep(_LOOK_S)
        yield
    finally:
        os.close(opened)
