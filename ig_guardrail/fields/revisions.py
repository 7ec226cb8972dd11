"""What commits, tags and branches of models on the hub are called, wherever one can be named."""

from __future__ import annotations

import re

_PART = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}"
FORM = re.compile(rf"{_PART}(?:[./]{_PART}){{0,7}}")
"""Of no more than 511 characters, and no way out of a folder."""
