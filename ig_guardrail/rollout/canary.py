"""A new policy for a share of the requests: which of them, by a stable hash of what names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ig_guardrail.errors import RequestError
from ig_guardrail.types import CompiledPolicy

PolicyArm: TypeAlias = Literal["stable", "canary"]
Naming: TypeAlias = Literal["conversation", "tenant"]


@dataclass(frozen=True, slots=True)
class Canary:
    """A policy that some requests are answered under, in place of the usual one.

    policy  a file, a packaged name or a compiled policy; of the same name as the usual one, so that what conversations
            have spent is theirs under both
    share   of the names, from 0 to 1; those that are in it stay in it when it grows
    by      what names a request: its conversation, or its tenant, which is never the caller's word. One without such a
            name is answered under the usual policy
    salt    any text. Whoever does not know it cannot tell which names are in the share
    """

    policy: str | Path | CompiledPolicy
    share: float
    by: Naming = "conversation"
    salt: str = ""

    def __post_init__(self) -> None:
        """Raises RequestError for values out of range."""
        if isinstance(self.share, bool) or not isinstance(self.share, int | float) or not 0 <= self.share <= 1:
            raise RequestError(f"share is {self.share!r:.40}", where="canary", fix="give a number from 0 to 1")
        if self.by not in get_args(Naming):
            raise RequestError(
                f"by is {self.by!r:.40}",
                where="canary",
                why="it says what keeps to one policy",
                fix=f"write one of {', '.join(get_args(Naming))}",
            )

    def arm_of(self, conversation: str | None, tenant: str | None) -> PolicyArm:
        """Under which policy a request is answered. With equal names it is always the same."""
        name = tenant if self.by == "tenant" else conversation
        if name is None:
            return "stable"
        return "canary" if place_of(f"{len(self.salt)} {self.salt}{name}") < self.share else "stable"


def place_of(name: str) -> float:
    """Where a name lies in [0, 1), as if it were drawn evenly."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def canary_in(given: Canary | Mapping[str, Any] | None) -> Canary | None:
    """A canary, or one of a mapping with its fields. Raises RequestError for other keys, and for anything else."""
    if given is None or isinstance(given, Canary):
        return given
    if not isinstance(given, Mapping):
        raise RequestError(f"it is {given!r:.40}", where="canary", fix="give a `Canary`, or a mapping with its fields")
    known = [field.name for field in fields(Canary)]
    unknown, missing = [name for name in given if name not in known], {"policy", "share"} - given.keys()
    if unknown or missing:
        raise RequestError(
            f"it has no '{sorted(missing)[0]}'" if missing else f"'{unknown[0]!s:.40}' is no setting of a canary",
            where="canary",
            fix=f"give {', '.join(known)}; the last two may be left out",
        )
    return Canary(**given)
