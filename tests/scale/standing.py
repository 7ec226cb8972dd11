"""Two replicas in processes of their own, their folder, and callers of them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI

from ig_guardrail.ledger import AccountKey, Limit, ledger_at
from tests.scale.host import EACH, GATE, POLICY

BUDGET = 3.0
SCRIPT = ("tests.scale.host",)
COMMAND = ("ig_guardrail", "serve", "--policy", "default", "--config")
REPLICA = "ServeReplica:ig-guardrail:Replica"
TRIES = 3  # to start it, where Ray gives up on itself since others are at work on the machine
BUSY = "Ray did not start: "
RAYS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "60"}


@dataclass(frozen=True)
class Came:
    """What a caller got of a request. whole: with a finish and a receipt; else `error` says how it ended"""

    conversation: str
    text: str
    whole: bool
    receipts: tuple[dict[str, Any], ...] = ()
    error: str = ""
    began: float = 0.0

    @property
    def dread(self) -> float:
        """What was shown costs."""
        return EACH * self.text.count("dread")


class Stand:
    """Two replicas that serve: the script of `host`, or the embedded model as the command opens it.

    gate: a file that answers of the script wait for in their midst
    """

    def __init__(
        self,
        folder: Path,
        ledger: str,
        drain: float = 600.0,
        embedded: bool = False,
        replicas: str = "2",
        gate: Path | None = None,
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder, self.books = folder, ledger_at(ledger)
        self.write(0)
        (folder / "serve.yaml").write_text(
            f"name: toy\npolicies: {{dreadful: policy.yaml}}\nreload: true\nledger: {ledger}\nport: {self.port}\n"
            f"replicas: {replicas}\ndrain: {drain}\nlimits: {{at_once: 40, queue: 200, wait: 600, seconds: 1800}}\n"
        )
        self.log = (folder / "log").open("w")
        command = [sys.executable, "-m", *(COMMAND if embedded else SCRIPT), str(folder / "serve.yaml")]
        environment = {**os.environ, **RAYS, **({GATE: str(gate)} if gate else {})}
        for _ in range(TRIES):
            self.process = subprocess.Popen(
                command, stdout=self.log, stderr=subprocess.PIPE, text=True, env=environment
            )
            told = self._until_it_serves()
            if told and told[-1].startswith("serving"):
                break
            self._end()
            if not any(BUSY in line for line in told):
                raise AssertionError("the replicas did not start: " + "".join(told[-40:]))
        else:
            raise AssertionError(f"Ray did not start in {TRIES} tries")
        self.client = AsyncOpenAI(
            base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0, timeout=1800.0
        )

    def _until_it_serves(self) -> list[str]:
        """What it says until it serves, or has ended."""
        assert self.process.stderr is not None
        told = []
        for line in self.process.stderr:
            told.append(line)
            self.log.write(line)
            if line.startswith("serving"):
                break
        return told

    def write(self, version: int, budget: float = BUDGET) -> None:
        """Put another policy into force."""
        new = self.folder / "new.yaml"
        new.write_text(POLICY.format(version=version, budget=budget))
        new.replace(self.folder / "policy.yaml")

    def replicas(self) -> list[int]:
        """The processes that answer."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        return sorted(one.pid for one in started if REPLICA in " ".join(_command(one)))

    def spent(self, conversation: str) -> float:
        """What the books say."""
        account = AccountKey(conversation).account("dreadful", "conversation")
        return self.books.spent(account, 99, Limit("shared", BUDGET))

    def stop(self) -> int:
        """Tell it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stderr is not None
        self.log.writelines(self.process.stderr)
        code = self._end()
        self.log.close()
        return code

    def _end(self) -> int:
        assert self.process.stderr is not None
        code = self.process.wait(120)
        self.process.stderr.close()
        return code

    async def ask(self, conversation: str, tokens: int = 200, begun: asyncio.Event | None = None, **more: Any) -> Came:
        """One streamed request, read to its end, however it ends. begun: is set when a word of it came"""
        text, receipts, finished, error = "", [], 0, ""
        began = asyncio.get_running_loop().time()
        asked = more.get("n", 1)
        try:
            stream = await self.client.chat.completions.create(
                model="toy",
                messages=[{"role": "user", "content": f"Say something, {conversation}."}],
                max_tokens=tokens,
                stream=True,
                extra_body={"ig_guardrail": {"conversation": conversation}},
                **more,
            )
            async for chunk in stream:
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    if text and begun is not None:
                        begun.set()
                    finished += choice.finish_reason is not None
                receipt = getattr(chunk, "ig_guardrail", None)
                receipts += [receipt] if receipt else []
        except APIStatusError as failure:
            error = f"{failure.status_code} {failure.code}"
        except APIConnectionError as failure:
            error = f"connection: {failure}"
        except APIError as failure:
            error = f"event {failure.code}"
        return Came(conversation, text, finished == asked, tuple(receipts), error, began)

    async def remaining(self, conversation: str) -> float:
        """What the server says is left of a conversation's budget."""
        asked = {"inputs": [{"text": "the sea"}], "conversation": conversation}
        told: Any = await self.client.post("/guard/check", cast_to=object, body=asked)
        return next(one["remaining"] for one in told["results"][0]["budgets"])


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
