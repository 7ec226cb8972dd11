"""The file of keys: for each, by its SHA-256, who holds it and what he may use. The keys themselves stand nowhere.

A key is drawn from 256 random bits, so its plain digest cannot be turned back. A presented key is compared with all
digests, each in constant time. The file is read again where it changed; one that is broken leaves the last good one in
force.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, StringConstraints

from ig_guardrail.errors import GuardrailError, RequestError
from ig_guardrail.fields.yaml_settings import read_settings, unfit
from ig_guardrail.integrations.openai_server.access.callers import Caller, ShownReceipt
from ig_guardrail.integrations.openai_server.events import RefusalStyle
from ig_guardrail.integrations.openai_server.faults import Fault, Refused

LOG = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two looks at the file
WHY = "it says who may use the server, and whose budgets are spent"
LONGEST = 512  # characters of a key that is looked at
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _as_digest(name: str) -> str:
    if _DIGEST.fullmatch(name) is None:
        raise ValueError("no digest of a key; `ig-guardrail keys new` writes one, and a key itself stands in no file")
    return name


Digest: TypeAlias = Annotated[str, AfterValidator(_as_digest)]
Name: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class KeyEntry(BaseModel):
    """What stands in the file under the digest of a key; what is left out is as the server's limits have it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    tenant: Name
    policies: Annotated[list[Name], Field(min_length=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    answers: Annotated[int, Field(ge=1, le=128)] | None = None
    at_once: Annotated[int, Field(ge=1)] | None = None
    per_minute: Annotated[int, Field(ge=1)] | None = None
    refusal_style: RefusalStyle | None = None
    receipt: ShownReceipt | None = None
    note: str | None = None

    def settings(self) -> dict[str, Any]:
        """What it says, by the names of a caller's fields."""
        said = self.model_dump(exclude_none=True, exclude={"note"})
        return {**said, "policies": tuple(said["policies"])} if "policies" in said else said


class KeysInFile(RootModel[Annotated[dict[Digest, KeyEntry], Field(min_length=1)]]):
    """A file of keys; one that holds none is amid a change, or a mistake."""

    model_config = ConfigDict(frozen=True)


class Keys:
    """The keys of a file, as it stands.

    usual  what holds where a key says nothing else; its policies are all that are served
    fault  why the file, as it stands now, is not in force
    """

    def __init__(self, path: Path, usual: Caller, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises RequestError for a file that cannot be used."""
        self.fault: str | None = None
        self._path, self._usual, self._clock = path, usual, clock
        self._seen, self._next = _state(path), clock() + EVERY
        self._callers = read_keys(path, usual)

    def __len__(self) -> int:
        return len(self._callers)

    @property
    def stale(self) -> bool:
        """Whether it is time to look at the file again."""
        return self._clock() >= self._next

    def look(self) -> None:
        """Read the file again if it changed."""
        self._next = self._clock() + EVERY
        state = _state(self._path)
        if state == self._seen:
            return
        try:
            found = read_keys(self._path, self._usual)
        except GuardrailError as error:
            self._seen, self.fault = state, error.what
            LOG.error("%d keys stay in force: their file was changed, and %s", len(self._callers), error)
            return
        if _state(self._path) == state:  # else it was read amid a change
            self._seen, self._callers, self.fault = state, found, None
            LOG.warning("%d keys are in force", len(found))

    def caller(self, presented: Sequence[str]) -> Caller:
        """Who presents a key. Raises Refused, as OpenAI's API does, for none, for two, and for one that is unknown."""
        given = set(presented)
        if not given:
            raise Refused(_unknown("You did not provide an API key; send it as `Authorization: Bearer KEY`", None))
        digest, found = digest_of(given.pop()), None
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None or given:
            raise Refused(_unknown("Incorrect API key provided", "invalid_api_key"))
        return found


def read_keys(path: Path, usual: Caller) -> dict[str, Caller]:
    """The callers in a file, by the digests of their keys. Raises RequestError, naming lines, for one that is unfit."""
    _demand_own(path)
    known = [*KeyEntry.model_fields]
    entries = read_settings(path, KeysInFile, why=WHY, keys=known, shown=_shown).root
    for digest, entry in entries.items():
        strange = [name for name in entry.policies or () if name not in usual.policies]
        if strange:
            raise unfit(
                path,
                f"key {short(digest)} may use policy '{strange[0]}', and there is none of that name",
                WHY,
                f"name those that are served: {', '.join(usual.policies)}",
            )
    return {
        digest: replace(usual, **entry.settings(), key=short(digest).removeprefix("sha256:"))
        for digest, entry in entries.items()
    }


def digest_of(key: str) -> str:
    """What a key is called in the file."""
    return f"sha256:{sha256(key[: LONGEST + 1].encode('utf-8', 'surrogatepass')).hexdigest()}"


def _shown(name: str) -> str:
    """How messages call an entry: never by what may be a key itself, since logs have other readers than the file."""
    return name if _DIGEST.fullmatch(name) else "an entry"


def short(digest: str) -> str:
    """As much of a digest as tells keys apart."""
    return digest[:19]


def new_key() -> str:
    """A key, of 256 random bits."""
    return f"ig-{secrets.token_urlsafe(32)}"


def written(key: str, entry: KeyEntry) -> str:
    """The lines that a file of keys holds for a key."""
    said = entry.model_dump(exclude_none=True)
    text: str = yaml.safe_dump({digest_of(key): said}, sort_keys=False, allow_unicode=True)
    return text


def append(path: Path, text: str) -> None:
    """Write lines behind those of a file of keys; one that is not there is made, for its owner alone.

    Raises RequestError where that cannot be done.
    """
    try:
        opened = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(opened, "r+", encoding="utf-8") as file:
            before = file.read()
            file.write(text if not before or before.endswith("\n") else f"\n{text}")
    except (OSError, UnicodeDecodeError) as error:
        raise unfit(path, f"it cannot be written: {error}", WHY, "name a file that you may write") from None


def presented(headers: Mapping[str, Sequence[str]]) -> list[str]:
    """The keys that a request presents: bearers, and `x-api-key`."""
    bearers = [value.strip() for value in headers.get("authorization", ())]
    found = [value[7:].strip() for value in bearers if value[:7].lower() == "bearer "]
    return [key for key in (*found, *(value.strip() for value in headers.get("x-api-key", ()))) if key]


def _unknown(message: str, code: str | None) -> Fault:
    return Fault(401, "invalid_request_error", code, message)


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode


def _demand_own(path: Path) -> None:
    """Raises RequestError for a file that others than its owner may change: they could let themselves in."""
    state = _state(path)
    if state is None:
        raise unfit(path, "there is no such file", WHY, "make one: `ig-guardrail keys new --tenant NAME --append FILE`")
    mode = stat.S_IMODE(state[3])
    if mode & 0o022:
        raise RequestError(
            f"others may change it: its mode is {mode:04o}",
            where=str(path),
            why="who can write a file of keys can let himself in",
            fix=f"chmod go-w {path}",
        )
