"""Starts a product with configurations that have a mistake, and asks it once; runs in the product's environment.

    python trying.py PRODUCT < a list of configurations, in JSON

Prints for each, a line of JSON: `stage` (load, start, ask, or null: nothing complained), `message`, and `blocked`,
whether the answer was stopped. The model behind it says the same each time, which every base configuration stops.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkdtemp
from traceback import extract_tb
from typing import Any

PROGRAM = "guards.py"  # where a configuration is code
SAID = "Here is the secret."
ASKED: list[Any] = [{"role": "user", "content": "What is it?"}]
Steps = Iterator[str | bool]  # the name of each stage as it begins, then whether the answer was stopped


class Saying(BaseHTTPRequestHandler):
    """A model that says one thing."""

    def do_POST(self) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}
        usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 1)
        told = {"id": "a", "object": "chat.completion", "created": 0, "model": "stub", "choices": [choice]}
        body = json.dumps({**told, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def try_ours(text: str, _: str) -> Steps:
    yield "load"
    from ig_guardrail.assembly import guard
    from ig_guardrail.drive.request import GenerationRequest
    from ig_guardrail.engine.scripted.engine import ScriptedEngine
    from ig_guardrail.engine.scripted.script import Continuations
    from ig_guardrail.policy import load_policy
    from ig_guardrail.types import Message, Sampling

    file = Path(mkdtemp()) / "shop.yaml"
    file.write_text(text, encoding="utf-8")
    policy = load_policy(file)
    yield "start"
    rail = guard(ScriptedEngine(Continuations({(0, 0): SAID}), context=256), policy)
    rail.approve()
    yield "ask"
    asked = GenerationRequest((Message("user", "What is it?"),), Sampling(max_tokens=64))
    yield "secret" not in "".join(chunk.text for chunk in rail.stream(asked))


def try_nemo(text: str, url: str) -> Steps:
    from nemoguardrails import LLMRails, RailsConfig

    yield "load"
    config = RailsConfig.from_content(yaml_content=text)
    yield "start"
    rails = LLMRails(config)
    yield "ask"
    yield "secret" not in str(asyncio.run(rails.generate_async(messages=ASKED))["content"])


def try_guardrails(text: str, url: str) -> Steps:
    from guardrails import Guard
    from guardrails.errors import ValidationError
    from guardrails.validators import FailResult, PassResult, Validator, register_validator

    @register_validator(name="no-words", data_type="string")
    class NoWords(Validator):  # type: ignore[misc]
        def __init__(self, words: list[str], on_fail: Any = None) -> None:
            super().__init__(on_fail=on_fail, words=words)
            self._words = words

        def _validate(self, value: Any, metadata: Any) -> Any:
            held = any(word in value for word in self._words)
            return FailResult(error_message="it holds a word") if held else PassResult()

    yield "load"
    guard = Guard.for_rail_string(text)
    yield "start"
    guard.configure(allow_metrics_collection=False)
    yield "ask"
    try:
        outcome = guard(model="openai/stub", base_url=url, api_key="none", messages=ASKED, num_reasks=0)
    except ValidationError:
        yield True
    else:
        yield "secret" not in str(outcome.validated_output)


def try_openai_checks(text: str, url: str) -> Steps:
    from guardrails import GuardrailsOpenAI, GuardrailTripwireTriggered, load_pipeline_bundles
    from guardrails.runtime import JsonString

    yield "load"
    load_pipeline_bundles(JsonString(text))
    yield "start"
    file = Path(mkdtemp()) / "config.json"
    file.write_text(text)
    client = GuardrailsOpenAI(config=file, base_url=url, api_key="none")
    yield "ask"
    try:
        client.chat.completions.create(model="stub", messages=ASKED)
    except GuardrailTripwireTriggered:
        yield True
    else:
        yield False


def try_litellm(text: str, url: str) -> Steps:
    file = Path(mkdtemp()) / "config.yaml"
    file.write_text(text)
    os.environ["CONFIG_FILE_PATH"] = str(file)
    from fastapi.testclient import TestClient
    from litellm.proxy.proxy_server import app

    yield "start"
    with TestClient(app) as client:
        yield "ask"
        head = {"authorization": "Bearer sk-benchmark"}
        reply = client.post("/v1/chat/completions", json={"model": "stub", "messages": ASKED}, headers=head)
        if reply.status_code not in (200, 400):  # 400: stopped
            raise RuntimeError(reply.text[:300])
        yield SAID not in reply.text


def try_langchain(text: str, url: str) -> Steps:
    from langchain.agents import create_agent
    from langchain.agents.middleware import PIIDetectionError
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def delete_file(name: str) -> str:
        """Delete a file."""
        return name

    yield "load"
    model = ChatOpenAI(model="stub", base_url=url, api_key="none", max_retries=0)
    names: dict[str, Any] = {"model": model, "tools": [delete_file], "create_agent": create_agent}
    exec(compile(text, PROGRAM, "exec"), names)
    yield "ask"
    try:
        answer = names["agent"].invoke({"messages": ASKED})["messages"][-1].text
    except PIIDetectionError:
        yield True
    else:
        yield "secret" not in answer


TRIES: dict[str, Callable[[str, str], Steps]] = {
    "ig-guardrail": try_ours,
    "NeMo Guardrails": try_nemo,
    "Guardrails AI": try_guardrails,
    "OpenAI guardrails": try_openai_checks,
    "LiteLLM proxy": try_litellm,
    "LangChain middleware": try_langchain,
}


def tried(steps: Steps) -> dict[str, Any]:
    """What became of it."""
    stage: Any = None
    try:
        for step in steps:
            stage = step
    except BaseException as error:  # also SystemExit, by which a product refuses to start
        lines = [one.lineno for one in extract_tb(error.__traceback__) if one.filename == PROGRAM]
        place = f" (line {lines[0]})" if lines else ""  # as a traceback shows it
        return {"stage": stage or "load", "message": f"{type(error).__name__}: {error}{place}", "blocked": None}
    return {"stage": None, "message": "", "blocked": stage}


def main(product: str) -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Saying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    for text in json.load(sys.stdin):
        out.write(json.dumps(tried(TRIES[product](text.replace("URL", url), url))) + "\n")
        out.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
