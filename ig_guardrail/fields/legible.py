"""Whether a file shows what is read of it: a comment may hide a line that YAML alone begins, or turn what follows."""

from __future__ import annotations

import re

_MISLEADING = re.compile("[\x85\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LONE_RETURN = re.compile("\r(?!\n)")
_BREAKS = "\r\x85\u2028\u2029"


def misleading(text: str) -> tuple[int, str, str] | None:
    """The first character of a text that shows it otherwise than it is read: its place, what it does, what to do."""
    found = _MISLEADING.search(text)
    alone = _LONE_RETURN.search(text) if "\n" in text else None
    first = min((one for one in (found, alone) if one is not None), key=re.Match.start, default=None)
    if first is None:
        return None
    if first[0] in _BREAKS:
        return (
            first.start(),
            "YAML begins a line here, and whoever reads the file may see none",
            "begin a line in the usual way, or delete it",
        )
    return first.start(), "what follows is shown in another order than it is read", "delete it"
