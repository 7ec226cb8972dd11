"""`ig-guardrail policy lsp`."""

from __future__ import annotations

import os
import sys

from ig_guardrail import __version__


def lsp_command() -> None:
    """Serve an editor while policies are written: findings, completion, hover texts, definitions and fixes.

    Editors start it, and speak the Language Server Protocol over standard input and output.
    """
    from ig_guardrail.extras import require

    require("editor", "pygls", by="`policy lsp`", where="policy lsp")
    from ig_guardrail.workbench.editor.server import serve

    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what else would be printed there is no protocol
        serve(sys.stdin.buffer, out, __version__)
