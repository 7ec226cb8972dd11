"""Other products beside ours, on the same drafts of the same model, with the same verdict: docs/products.md.

    make bench-products                                   installs them, each in an environment of its own, and compares
    python benchmarks/compare_products.py --only answers  one part (answers, edits); the other stays as it is

What was answered is kept in benchmarks/out/products, so a run that was stopped goes on. `answers`: what a reader saw of
drafts that are over budget, and of harmless ones; each draft is drawn once, and given to every product. `edits`:
configurations with a mistake.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from command import publish, run
from processor import processor
from products.answers import ANSWERS, TOKENS, UNGUARDED, Kept, ask_all, calm, figures, over_budget
from products.asking import Setting, hosting
from products.edits import EDITS, outcomes, try_all

from ig_guardrail.errors import GuardrailError
from ig_guardrail.judge import read_judge

HERE = Path(__file__).parent
ENVS = HERE.parent / ".venv" / "products"
PACKAGES = HERE / "products" / "packages.txt"
MODEL, TEMPERATURE, TOP_P = "embedded", 0.7, 0.95
MOST = {"risky": 40, "benign": 10}  # prompts of a kind
KINDS = tuple(MOST)
OURS = Setting("ig-guardrail", "", "client.py", ("{host}/v1",))
SETTINGS = (
    UNGUARDED,
    OURS,
    Setting("NeMo Guardrails, streamed", "nemo", "nemo.py", ("first",)),
    Setting("NeMo Guardrails, streamed, checked first", "nemo", "nemo.py", ("checked",)),
    Setting("NeMo Guardrails, whole", "nemo", "nemo.py", ("whole",)),
    Setting("Guardrails AI, streamed, exception", "guardrails", "validators.py", ("stream",)),
    Setting("Guardrails AI, streamed, fix", "guardrails", "validators.py", ("fix",)),
    Setting("Guardrails AI, whole, reask", "guardrails", "validators.py", ("reask",)),
    Setting("OpenAI guardrails, streamed", "openai_checks", "openai_checks.py", ("stream",)),
    Setting("OpenAI guardrails, whole", "openai_checks", "openai_checks.py", ("whole",)),
    Setting("LiteLLM proxy, streamed", "litellm", "litellm_proxy.py", ("sampled",)),
    Setting("LiteLLM proxy, streamed, released by scans", "litellm", "litellm_proxy.py", ("released",)),
    Setting("LangChain middleware, streamed", "langchain", "langchain_middleware.py", ("messages",)),
    Setting("LangChain middleware, whole", "langchain", "langchain_middleware.py", ("values",)),
    Setting("LangChain middleware, whole, retries", "langchain", "langchain_middleware.py", ("retry",)),
)
AT_ONCE = {UNGUARDED: 4, OURS: 3}  # processes that ask, where the host decodes


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Compare other products with ours.")
    parser.add_argument("--only", choices=(ANSWERS, EDITS), action="append", help="a part; may be given again")
    parser.add_argument("--seeds", type=int, default=1, help="drafts of each risky prompt")
    parser.add_argument("--envs", type=Path, default=ENVS, help="the folder of the products' environments")
    parser.add_argument("--out", type=Path, default=HERE / "out" / "products")
    options = parser.parse_args(arguments)
    settings = [setting for setting in SETTINGS if Path(setting.python(options.envs)).exists()]
    absent = sorted({setting.env for setting in SETTINGS} - {setting.env for setting in settings})
    if absent:
        told = {"where": str(options.envs), "fix": "run `make install-products`"}
        raise GuardrailError(f"not installed: {', '.join(absent)}", **told)
    parts = options.only or (ANSWERS, EDITS)
    asked = [
        one
        for kind in KINDS
        for seed in range(options.seeds if kind == "risky" else 1)
        for one in questions(kind, seed)
    ]
    with hosting(MODEL, options.envs, options.out) as host:
        origin = {"model": MODEL, **{name: host.facts[name] for name in ("policy", "engine")}, "tokens": TOKENS}
        kept = Kept(options.out / "answers.jsonl", origin)
        if ANSWERS in parts:
            ask_all(kept, UNGUARDED, host, asked, AT_ONCE[UNGUARDED])
            chosen = plain(over_budget(kept) + calm(kept))
            for setting in settings:
                ask_all(kept, setting, host, chosen, AT_ONCE.get(setting, 1))
    judge = read_judge()
    rows = [row for setting in settings for row in figures(kept, setting, judge)]
    found = options.out / "edits.json"
    if EDITS in parts:
        try_all(options.envs, found)
    facts = {
        **origin,
        "machine": f"{processor()}, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "sampling": {"temperature": TEMPERATURE, "top_p": TOP_P, "seeds": options.seeds},
        "asked": {kind: sum(one["kind"] == kind for one in asked) for kind in KINDS},
        "over": len(over_budget(kept)),
        "calm": len(calm(kept)),
        "versions": versions(options.envs),
        "edits": outcomes(found),
    }
    publish(HERE / "out" / "products.json", "Other products beside ours", rows, **facts)
    return 0


def questions(kind: str, seed: int) -> list[dict[str, Any]]:
    """The project's own tuning prompts of a kind."""
    lines = (HERE / f"prompts-tuning-{kind}.jsonl").read_text(encoding="utf-8").splitlines()
    read = [json.loads(line) for line in lines][: MOST[kind]]
    return [{"id": one["id"], "prompt": one["prompt"], "kind": kind, "seed": seed} for one in read]


def plain(answers: Sequence[Any]) -> list[dict[str, Any]]:
    """What was asked, without what was answered."""
    return [{name: one[name] for name in ("id", "prompt", "kind", "seed")} for one in answers]


def versions(envs: Path) -> dict[str, str]:
    """Of the products, as they are installed."""
    found = {}
    for line in PACKAGES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            env, package = line.split()[0], line.split()[1].partition("==")[0].partition("[")[0]
            code = f"from importlib.metadata import version; print(version('{package}'))"
            python = envs / env / "bin" / "python"
            found[package] = subprocess.run(
                [python, "-c", code], capture_output=True, text=True, check=True
            ).stdout.strip()
    return found


if __name__ == "__main__":
    run(main)
