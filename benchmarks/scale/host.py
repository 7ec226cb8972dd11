"""Replicas of the embedded model, whose answers are as long as asked: `python benchmarks/scale/host.py SERVE.YAML`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parents[1]))

from speed.stage import open_stage, unhindered

from ig_guardrail.assembly import guard
from ig_guardrail.integrations.openai_server.served import ServedModel
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.ledger import kept_at


def calm(config: ServeConfig) -> ServedModel:
    """What a replica serves: every block is judged, and no score can pass a threshold."""
    import torch

    torch.set_num_threads(1)
    stage = open_stage()
    policy = replace(unhindered(stage.policy, hold=stage.policy.search.hold), allow_unguarded=True)
    return ServedModel(config.served_name, {"calm": guard(stage.engine, policy, ledger=kept_at(config.spec.ledger))})


if __name__ == "__main__":
    from ig_guardrail.integrations.openai_server.settings.serve_file import read_config
    from ig_guardrail.integrations.ray_serve.building import serve_replicas
    from scale import host  # by its name, as replicas import it

    serve_replicas(read_config(Path(sys.argv[1]), {}), host.calm)
