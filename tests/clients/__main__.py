"""Tries the server with clients of others, and compares what their users see with docs/clients.md: `make test-clients`.

`--write` puts what was seen into the page. Clients are installed by the Makefile, each into a folder of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2

from tests.clients import conformance, fuzzing
from tests.clients.examples import run_examples
from tests.clients.table import table_of
from tests.clients.telling import ASKED, MODELS, PARAMETERS, offers_tool, room
from tests.documents import ROOT

PAGE = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- outcomes:begin -->\n", "<!-- outcomes:end -->\n"
FOLDER = ROOT / ".venv" / "clients"
CLIENTS = {  # by module, the folder of its packages
    "with_openai": "",
    "with_langchain": "",
    "with_agents": "openai-agents",
    "with_pydantic_ai": "pydantic-ai",
    "with_llama_index": "llama-index",
    "with_anthropic": "anthropic",
}
Seen: TypeAlias = Mapping[str, Any]


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "tests.clients.served"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()


def told_by(command: list[str], packages: str) -> list[Seen]:
    """What a client told of all cases."""
    place = str(FOLDER / packages)
    env = {**os.environ, "CLIENTS_NODE": str(FOLDER / "node"), **({"PYTHONPATH": place} if packages else {})}
    ran = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def observed(address: str) -> Iterator[Seen]:
    """What all clients told; and that nothing is decoded for those who left."""
    plan = {
        "asked": ASKED,
        "parameters": PARAMETERS,
        "cases": [
            {"case": case, "model": model, "room": room(case), "offers": offers_tool(case)}
            for case, model in MODELS.items()
        ],
    }
    vercel = ["node", "tests/clients/with_vercel.mjs", f"{address}/v1", json.dumps(plan)]
    python = [sys.executable, "-W", "ignore", "-m"]
    commands = {name: ([*python, f"tests.clients.{name}", f"{address}/v1"], at) for name, at in CLIENTS.items()}
    for name, (command, packages) in {**commands, "with_vercel": (vercel, "")}.items():
        before = drawn(address)
        seen = told_by(command, packages)
        yield from seen
        settled = drawn(address, still=True)
        print(f"{name}: {len(seen)} answers seen, {settled - before} tokens drawn for those who left")


def drawn(address: str, still: bool = False) -> int:
    """Tokens that were drawn of endless answers. still: demands that no more are drawn after a few seconds"""
    last = -1
    for _ in range(20 if still else 1):
        now = int(httpx2.get(f"{address}/drawn").json()["drawn"])
        if not still or now == last:
            return now
        last = now
        time.sleep(0.2)
    raise SystemExit("an answer goes on although its caller left")


def main() -> None:
    with serving() as address:
        table = table_of(list(observed(address)))
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        shown, _, tail = rest.partition(END)
        if "--write" in sys.argv:
            PAGE.write_text(f"{head}{BEGIN}{table}{END}{tail}", encoding="utf-8")
        elif shown != table:
            Path(ROOT / "build").mkdir(exist_ok=True)
            (ROOT / "build" / "clients.md").write_text(table, encoding="utf-8")
            raise SystemExit("outcomes differ from docs/clients.md; they are in build/clients.md")
        run_examples(PAGE, f"{address}/v1", FOLDER)
        conformance.check(address, FOLDER)
        fuzzing.check(address, FOLDER)


if __name__ == "__main__":
    main()
