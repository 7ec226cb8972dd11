"""Two real replicas under load: what they answer in a second of their CPU time, and of the clock."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from openai import AsyncOpenAI

from ig_guardrail.errors import GuardrailError
from scale.simulation import Load

HOST = Path(__file__).with_name("host.py")
REPLICA = "ServeReplica:ig-guardrail:Replica"
IDLE_S = 10.0
WORDS = 133  # of a prompt of some 150 tokens, the template's among them


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a load.

    prompt  tokens of each that were not known
    cpu     seconds of both replicas, beyond what they use idle
    """

    tokens: int
    prompt: float
    cpu: float


class Replicas:
    """Two of them, and callers. ends: tokens that end answers, which are never drawn"""

    def __init__(self, port: int, process: subprocess.Popen[str], ends: Sequence[int]) -> None:
        self._address, self._process = f"http://127.0.0.1:{port}/v1", process
        self._bias = {str(token): -100 for token in ends}
        self._numbers = count()
        self._own = [one for one in psutil.Process(process.pid).children(recursive=True) if _is_replica(one)]
        if len(self._own) != 2:
            raise GuardrailError(f"{len(self._own)} replicas were found", where="benchmark")
        began = self._cpu()
        time.sleep(IDLE_S)
        self._idle = (self._cpu() - began) / IDLE_S

    def run(self, load: Load, requests: int) -> Ran:
        """So many requests, asked by so many callers."""
        cpu, began = self._cpu(), time.perf_counter()
        told = asyncio.run(self._ask_all(load, requests))
        clock = time.perf_counter() - began
        tokens = sum(one["released"] for one in told)
        prompt = sum(one["prompt"] - one["cached"] for one in told)
        return Ran(tokens, prompt / len(told), self._cpu() - cpu - self._idle * clock)

    async def _ask_all(self, load: Load, requests: int) -> list[dict[str, Any]]:
        left, told = iter(range(requests)), []
        async with AsyncOpenAI(base_url=self._address, api_key="none", max_retries=0, timeout=1_800.0) as client:

            async def ask_on() -> None:
                for _ in left:
                    told.append(await self._ask(client, load))

            await asyncio.gather(*(ask_on() for _ in range(load.streams)))
        return told

    async def _ask(self, client: AsyncOpenAI, load: Load) -> dict[str, Any]:
        number = next(self._numbers)
        words = " ".join(f"{'the wind' if (number >> bit) & 1 else 'a wave'} and" for bit in range(WORDS // 3))
        stream = await client.chat.completions.create(
            model="calm",
            messages=[{"role": "user", "content": f"{number}: {words}"}],
            max_tokens=load.answer,
            temperature=0.7,
            top_p=0.95,
            seed=number,
            stream=True,
            logit_bias=self._bias,
            extra_body={} if load.guarded else {"ig_guardrail": {"strategy": "none"}},
        )
        receipt: Any = None
        async for chunk in stream:
            receipt = getattr(chunk, "ig_guardrail", None) or receipt
        if receipt is None or receipt["tokens"]["released"] != load.answer:
            raise GuardrailError("an answer is not as long as it was asked for", where="benchmark")
        return dict(receipt["tokens"])

    def _cpu(self) -> float:
        return sum(sum(one.cpu_times()[:2]) for one in self._own)


@contextmanager
def two_replicas(ends: Sequence[int]) -> Iterator[Replicas]:
    """Two replicas that serve, and are gone afterwards."""
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        settings = Path(folder) / "serve.yaml"
        settings.write_text(
            f"name: calm\npolicies: {{calm: default}}\nledger: ledger.sqlite\nport: {port}\nreplicas: 2\n"
            "limits: {at_once: 16, queue: 64, wait: 600, seconds: 1800}\n"
        )
        path = os.pathsep.join(filter(None, (str(HOST.parents[1]), os.environ.get("PYTHONPATH"))))
        log = (Path(folder) / "log").open("w+")
        with subprocess.Popen(
            [sys.executable, str(HOST), str(settings)],
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": path,
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_raylet_start_wait_time_s": "300",
            },
        ) as process:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if line.startswith("serving"):
                    break
            else:
                raise GuardrailError(f"the replicas did not start: {''.join(lines[-5:])}", where="benchmark")
            try:
                yield Replicas(port, process, ends)
            finally:
                process.send_signal(signal.SIGTERM)
                for _ in process.stderr:
                    pass
                process.wait(120)
                log.close()


def _is_replica(process: psutil.Process) -> bool:
    try:
        return REPLICA in " ".join(process.cmdline())
    except psutil.Error:
        return False
