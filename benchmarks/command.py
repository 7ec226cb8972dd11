"""How every measurement ends: with its own exit code, or with one message and no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from ig_guardrail.errors import GuardrailError


def run(main: Callable[[Sequence[str]], int], failed: int | None = None) -> None:
    """Call `main` with the command line and exit; after a GuardrailError with `failed`, or else its own code."""
    try:
        sys.exit(main(sys.argv[1:]))
    except GuardrailError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code if failed is None else failed)
