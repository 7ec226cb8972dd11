"""A server to send signals to: `python -m tests.unit.server.stand FOLDER`.

Its answers are of the letter b, each four of which cost 0.7 of the tenant's budget. The third charge point of an answer
waits until someone writes to the pipe in the folder.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ig_guardrail.drive.records.auditor import Auditor
from ig_guardrail.integrations.openai_server.serving import run
from ig_guardrail.ledger import SQLiteLedger
from ig_guardrail.settings import AuditFile
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy
from tests.unit.server.asgi import server_over

AT = 12  # letters, before which the pipe is not asked


class Gated(LetterCost):
    """Costs that are not told before someone says so."""

    def __init__(self, pipe: Path) -> None:
        super().__init__("level", reading="event")
        self._pipe, self._open = pipe, False

    def advance(self, steps: Sequence[Any]) -> Any:
        if not self._open and any(length + len(piece.text) >= AT for (_, length), piece in steps):
            self._pipe.read_bytes()
            self._open = True
        return super().advance(steps)


def main(folder: Path) -> None:
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests themselves run under `nohup`
    policy = toy_policy([toy_budget("per-tenant", scope="tenant", budget=100.0)])
    rail = guardrail(
        letters((0, 1, 0)), policy, {"level": Gated(folder / "pipe")}, ledger=SQLiteLedger(folder / "ledger")
    )
    rail.auditor = Auditor(AuditFile(folder / "audit.jsonl"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen()
    run(server_over({"open": rail}, folder / "keys.yaml", drain=20.0), listener)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
