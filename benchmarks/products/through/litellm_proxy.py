"""LiteLLM's proxy in this process, with a guardrail of one's own (mode `post_call`); asked by OpenAI's client.

python litellm_proxy.py sampled|released

sampled   as its defaults are: every fifth chunk is judged, with all before it
released  `streaming_buffer_until_moderated` and `streaming_buffer_release_on_scan`: chunks wait for the next verdict,
          which comes after PACE of them
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import wire

HOW = sys.argv[1] if len(sys.argv) > 1 else ""
PACE = 16  # chunks between two verdicts, as between two charges of our policy; usually 5
HELD = {
    "streaming_buffer_until_moderated": True,
    "streaming_buffer_release_on_scan": True,
    "streaming_sampling_rate": PACE,
}
KEY = "sk-benchmark"  # without one it refuses to start
CONFIG = {
    "model_list": [
        {
            "model_name": wire.MODEL,
            "litellm_params": {"model": f"openai/{wire.MODEL}", "api_base": wire.PLAIN, "api_key": "none"},
        }
    ],
    "guardrails": [
        {
            "guardrail_name": "keep-budget",
            "litellm_params": {
                "guardrail": "keep_budget.KeepBudget",
                "mode": "post_call",
                "default_on": True,
                **(HELD if HOW != "sampled" else {}),
            },
        }
    ],
    "general_settings": {"master_key": KEY},
    "litellm_settings": {"telemetry": False, "num_retries": 0},
}
GUARDRAIL = """
import wire
from fastapi import HTTPException
from litellm.integrations.custom_guardrail import CustomGuardrail


class KeepBudget(CustomGuardrail):
    def __init__(self, **options):
        super().__init__(**options)
        for name in options:
            if name.startswith("streaming_"):  # read as attributes
                setattr(self, name, options[name])

    async def apply_guardrail(self, inputs, request_data, input_type, logging_obj=None):
        if input_type == "response" and not await wire.VERDICT.allows_async("".join(inputs.get("texts", []))):
            raise HTTPException(status_code=400, detail="blocked by keep-budget")
        return inputs
"""


async def ready() -> None:
    """Start the proxy as its command line does, and wait for it."""
    global CLIENT
    folder = Path(mkdtemp())
    (folder / "config.yaml").write_text(json.dumps(CONFIG))
    (folder / "keep_budget.py").write_text(GUARDRAIL)
    os.environ["CONFIG_FILE_PATH"] = str(folder / "config.yaml")
    import openai
    import uvicorn
    from litellm.proxy.proxy_server import app

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    socket = server.config.bind_socket()
    READY.append(asyncio.create_task(server.serve(sockets=[socket])))
    while not server.started:
        await asyncio.sleep(0.1)
    url = f"http://127.0.0.1:{socket.getsockname()[1]}/v1"
    CLIENT = openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)


CLIENT: Any = None
READY: list[Any] = []


async def answer(asked: wire.Asked) -> AsyncIterator[wire.Told]:
    """Streamed; a block is an error in the stream, or instead of it."""
    from openai import APIError

    options = {"model": wire.MODEL, "messages": wire.messages(asked), **wire.sampled(asked)}
    try:
        async for chunk in await CLIENT.chat.completions.create(stream=True, **options):
            for choice in chunk.choices:
                if choice.delta.content:
                    yield wire.text(choice.delta.content)
    except APIError as error:
        yield wire.end("error", str(error))
    else:
        yield wire.end("whole")


wire.serve(answer, ready)
