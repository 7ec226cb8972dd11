"""A server in this process: a tiny random model behind the wires that the engine `openai_compatible` speaks.

It draws by rules of its own, from seeds, as servers do; nothing of the engine that asks it is used.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from openai import DefaultAsyncHttpxClient

from ig_guardrail.engine.openai_compatible.opening import Tokens, engine_over, tokens_of
from ig_guardrail.engine.openai_compatible.options import ServerOptions
from ig_guardrail.engine.openai_compatible.server import ModelServer
from tests.conformance.engine.tiny import tiny_weights

HTTPX: Any = importlib.import_module(DefaultAsyncHttpxClient.__mro__[2].__module__.partition(".")[0])  # httpx or httpx2
ADDRESS = "http://127.0.0.1:9/v1"

Drawn = list[tuple[int, float, list[tuple[int, float]]]]


@dataclass
class TinyServer:
    """wires: those it serves. twist: what it makes of its answers before they are sent; a response may come instead."""

    wires: tuple[str, ...]
    twist: Callable[[str, Any], Any] = lambda _path, answer: answer
    asked: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    _known: dict[tuple[int, ...], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.weights = tiny_weights()
        self.tokens: Tokens = tokens_of(self.weights.tokenizer)
        self.end: int = self.weights.tokenizer.eos_token_id

    def client(self) -> Any:
        """A client that asks this server."""
        return HTTPX.AsyncClient(transport=HTTPX.MockTransport(self.answer))

    async def answer(self, request: Any) -> Any:
        """One request."""
        path = request.url.path
        body = json.loads(request.content) if request.content else None
        self.asked.append((path, body))
        self.headers.append(request.headers)
        made = self._made(path, body)
        if made is None:
            return HTTPX.Response(404)
        made = self.twist(path, made)
        return sent(json.dumps(made).encode()) if isinstance(made, dict | list | str | int) else made

    def _made(self, path: str, body: Any) -> Any:
        match path:
            case "/v1/models":
                return {"data": [{"id": "tiny", "max_model_len": 160}]}
            case "/version" if "tokens" in self.wires or "completions" in self.wires:
                return {"version": "0.0.1"}
            case "/tokenize" if "text" not in self.wires:
                text = body["content"] if "llama.cpp" in self.wires else body["prompt"]
                return {"tokens": list(self.tokens.chat.text_ids(text))}
            case "/slots" if "llama.cpp" in self.wires:
                return [{"is_processing": False}]
            case "/inference/v1/generate" if "tokens" in self.wires:
                return self._generate(body["token_ids"], body["sampling_params"])
            case "/v1/completions" if "completions" in self.wires and isinstance(body["prompt"], list):
                return self._completions(body["prompt"], body)
            case "/v1/completions" if "text" in self.wires and isinstance(body["prompt"], str):
                return self._texts(body)
            case "/completion" if "llama.cpp" in self.wires:
                return self._llama_cpp(body)
            case "/props" if "llama.cpp" in self.wires:
                return {"build_info": "b1-tiny", "default_generation_settings": {"n_ctx": 160}}
        return None

    def _generate(self, prompt: list[int], how: dict[str, Any]) -> Any:
        if "prompt_logprobs" in how:
            return {"choices": [], "prompt_logprobs": self._judged(prompt, how["prompt_logprobs"])}
        choices = []
        for index in range(how["n"]):
            drawn = self.draw(prompt, how, index)
            content = [
                {"token_id": i, "logprob": p, "top_logprobs": [{"token_id": o, "logprob": q} for o, q in top]}
                for i, p, top in drawn
            ]
            ids = [token for token, _, _ in drawn]
            choices.append(
                {"index": index, "token_ids": ids, "logprobs": {"content": content}, "finish_reason": self._reason(ids)}
            )
        return {"choices": choices[::-1]}

    def _completions(self, prompt: list[int], how: dict[str, Any]) -> Any:
        if "prompt_logprobs" in how:
            return {"choices": [{"index": 0, "prompt_logprobs": self._judged(prompt, how["prompt_logprobs"])}]}
        choices = []
        for index in range(how["n"]):
            drawn = self.draw(prompt, how, index)
            ids = [token for token, _, _ in drawn]
            told = {
                "tokens": [f"token_id:{token}" for token in ids],
                "token_logprobs": [value for _, value, _ in drawn],
                "top_logprobs": [{f"token_id:{o}": q for o, q in top} for _, _, top in drawn],
            }
            choices.append(
                {
                    "index": index,
                    "text": self._goes_on(prompt, ids),
                    "token_ids": ids,
                    "logprobs": told,
                    "finish_reason": self._reason(ids),
                }
            )
        return {"choices": choices}

    def _goes_on(self, prompt: list[int], ids: list[int]) -> str:
        """The text of tokens behind others, one of which may have begun a character, as vLLM tells it."""
        begun = self.tokens.spell(prompt[-5:]).rstrip("\ufffd")
        return self.tokens.spell([*prompt[-5:], *ids]).removeprefix(begun)

    def _texts(self, body: dict[str, Any]) -> Any:
        prompt = self.weights.tokenizer.encode(body["prompt"], add_special_tokens=False)
        ids = [token for token, _, _ in self.draw(prompt, {**body, "logprobs": 0}, 0)]
        text = self.weights.tokenizer.decode(ids, skip_special_tokens=True)
        return {"choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": self._reason(ids)}]}

    def _llama_cpp(self, body: dict[str, Any]) -> Any:
        how = {
            **body,
            "max_tokens": body["n_predict"],
            "repetition_penalty": body["repeat_penalty"],
            "logit_bias": {str(token): value for token, value in body["logit_bias"]},
            "logprobs": body["n_probs"],
        }
        made = []
        for index in range(body["n_cmpl"]):
            drawn = self.draw(body["prompt"], how, index)
            ids = [token for token, _, _ in drawn]
            told = [
                {"id": i, "logprob": p, "top_logprobs": [{"id": o, "logprob": q} for o, q in top]}
                for i, p, top in drawn
            ]
            ended = ids[-1:] == [self.end]
            made.append(
                {
                    "index": index,
                    "tokens": ids[:-1] if ended else ids,
                    "content": self.tokens.spell(ids),
                    "completion_probabilities": told,
                    "stop_type": "eos" if ended else "limit",
                    "truncated": False,
                }
            )
        return made if body["n_cmpl"] > 1 else made[0]

    def draw(self, prompt: Sequence[int], how: dict[str, Any], index: int) -> Drawn:
        """Tokens, their log-probabilities by the raw model, and the likeliest beside them."""
        dice, said, drawn = np.random.default_rng(how["seed"] + index), list(prompt), []
        for _ in range(how["max_tokens"]):
            raw = self.logprobs(said)
            token = self._pick(raw, said, how, dice.random())
            top = [(int(i), float(raw[i])) for i in np.argsort(-raw, kind="stable")[: how["logprobs"]]]
            drawn.append((token, float(raw[token]), top))
            said.append(token)
            if token == self.end:
                break
        return drawn

    def _pick(self, raw: Any, said: Sequence[int], how: dict[str, Any], chance: float) -> int:
        logits = raw.copy()
        held = sorted(set(said))
        factor = how["repetition_penalty"]
        logits[held] = np.where(logits[held] < 0, logits[held] * factor, logits[held] / factor)
        for token, value in how.get("logit_bias", {}).items():
            logits[int(token)] += value
        if "allowed_token_ids" in how:
            kept = np.full_like(logits, -math.inf)
            kept[how["allowed_token_ids"]] = logits[how["allowed_token_ids"]]
            logits = kept
        if how["temperature"] == 0:
            return int(logits.argmax())
        masses = np.exp((logits - logits.max()) / how["temperature"])
        order = np.argsort(-masses, kind="stable")
        ranked = masses[order] / masses.sum()
        ranked[(how["top_k"] or len(ranked)) :] = 0
        ranked[ranked.cumsum() - ranked >= how["top_p"]] = 0
        ranked[ranked < how["min_p"] * ranked[0]] = 0
        return int(order[min(int(np.searchsorted(ranked.cumsum(), chance * ranked.sum(), "right")), len(order) - 1)])

    def logprobs(self, ids: Sequence[int]) -> Any:
        """Of the token after `ids`, (vocabulary,)."""
        key = tuple(ids)
        if key not in self._known:
            with torch.inference_mode():
                logits = self.weights.model(torch.tensor([ids])).logits[0, -1].double()
                self._known[key] = logits.log_softmax(-1).numpy()
        return self._known[key]

    def _judged(self, prompt: Sequence[int], top: int) -> list[Any]:
        with torch.inference_mode():
            rows = self.weights.model(torch.tensor([prompt])).logits[0].double().log_softmax(-1).numpy()
        told: list[Any] = [None]
        for token, row in zip(prompt[1:], rows, strict=False):
            listed = [int(i) for i in np.argsort(-row, kind="stable")[:top]]
            told.append({str(i): {"logprob": float(row[i])} for i in dict.fromkeys([token, *listed])})
        return told

    def _reason(self, ids: Sequence[int]) -> str:
        return "stop" if ids[-1:] == [self.end] else "length"


def sent(*parts: bytes, status: int = 200) -> Any:
    """A response whose body comes in parts."""

    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return HTTPX.Response(status, content=body())


def tiny_engine(server: TinyServer, **changes: Any) -> Any:
    """An engine over a tiny server."""
    options = ServerOptions(ADDRESS, "tiny", **({"segment": 1} | changes))
    return engine_over("tiny", options, server.tokens, ModelServer(options, server.client()))
