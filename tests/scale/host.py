"""Replicas whose model is a script, for tests: `python -m tests.scale.host SERVE.YAML`.

Every answer is a long row of words. Each "dread" in it costs half of a conversation's unit; see `POLICY`.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.lazy_guardrail import LazyGuardrail
from ig_guardrail.integrations.openai_server.served import ServedModel
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.integrations.openai_server.settings.serve_file import read_config
from ig_guardrail.ledger import ledger_at
from ig_guardrail.types import CompiledPolicy

POLICY = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: dreadful, version: 1.0.{version}, owners: [tests@example.org]}}
cost_models:
  dread: {{kind: pattern, hazards: [hte], patterns: ['\\bdread'], longest_match: 6, timeout_ms: 60000}}
budgets:
  - {{id: shared, hazards: [hte], cost: dread, threshold: 0.5, budget: {budget}, every: 4, scope: conversation}}
search: {{candidates: 2, block: 8, retries: 1, hold: 8, shortest: 0}}
messages:
  refusal: {{en: "I would rather not say that."}}
  closing: {{en: "The {version}th closing."}}
"""
EACH = 0.5  # that a dread costs
ROW = "a calm and quiet sea that lies below the hill we see and then the "
GATE = "IG_TEST_GATE"  # a variable that names a file; until it is there, answers stop behind their third block
SAID = (ROW * 3 + "dread ") * 12  # 12 dreads, each behind some 45 words


class Scripted(LazyGuardrail):
    """Opened over a script in place of weights."""

    @override
    def _open_under(self, policy: CompiledPolicy, folder: Path | None, arm: str, beside: Guardrail | None) -> Guardrail:
        if beside is not None:
            return super()._open_under(policy, folder, arm, beside)
        engine = ScriptedEngine(Continuations({(0, 0): SAID}), context=100_000, incidents=_incidents())
        return guard(engine, policy, folder, ledger=ledger_at(self.spec.ledger))


def _incidents() -> Incidents:
    if GATE not in os.environ:
        return Incidents()
    file, opened = Path(os.environ[GATE]), threading.Event()

    def look() -> None:
        while not file.exists():
            threading.Event().wait(0.1)
        opened.set()

    threading.Thread(target=look, daemon=True).start()
    return Incidents(gates={("extend", 4): opened})


def scripted(config: ServeConfig) -> ServedModel:
    """What a replica serves."""
    policies = {name: Scripted(replace(config.spec, policy=policy)) for name, policy in config.policies.items()}
    return ServedModel(config.served_name, policies)


if __name__ == "__main__":
    from ig_guardrail.integrations.ray_serve.building import serve_replicas
    from tests.scale import host  # by its name, as replicas import it

    serve_replicas(read_config(Path(sys.argv[1]), {}), host.scripted)
