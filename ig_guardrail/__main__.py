"""`python -m ig_guardrail` is the command `ig-guardrail`."""

from __future__ import annotations

from ig_guardrail.cli.main import run

if __name__ == "__main__":
    run()
