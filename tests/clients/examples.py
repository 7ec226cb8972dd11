"""The examples of docs/clients.md, each run with its client against the server: an answer, and a refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.clients.table import REFUSAL
from tests.documents import Block, blocks
from tests.golden.conversations import CALM

ADDRESS, MODEL = "http://127.0.0.1:8000", '"embedded"'
EXPECTED = {"scripted:calm": CALM, "scripted:rude": REFUSAL}
IN_TESTS = ("openai", "langchain")  # run by tests/unit/server as well, as their packages are there


def examples(page: Path) -> dict[str, Block]:
    """By the client that a block names."""
    found = (block for block in blocks(page, "python", "js") if block.rest.startswith("client="))
    return {block.rest.removeprefix("client="): block for block in found}


def adapted(block: Block, address: str, model: str) -> str:
    """The block with another address and model. Raises AssertionError where it names neither."""
    assert ADDRESS in block.text
    assert MODEL in block.text
    return block.text.replace(ADDRESS, address.removesuffix("/v1")).replace(MODEL, f'"{model}"')


def run_examples(page: Path, address: str, folder: Path) -> None:
    """Raises SystemExit where one prints other things than the answer and the refusal."""
    for client, block in examples(page).items():
        for model, expected in EXPECTED.items():
            text = adapted(block, address, model)
            if block.language == "js":
                example = folder / client / "example.mjs"
                example.write_text(text, encoding="utf-8")
                command, env = ["node", str(example)], dict(os.environ)
            else:
                command = [sys.executable, "-W", "ignore", "-c", text]
                env = {**os.environ, **({} if client in IN_TESTS else {"PYTHONPATH": str(folder / client)})}
            ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
            if expected not in ran.stdout:
                raise SystemExit(f"{block.place}: {model} printed {ran.stdout!r}\n{ran.stderr}")
    print(f"examples: {len(examples(page))} of docs/clients.md run")
