"""What a server can do, tried on it: each probe asks for something small, and tells what follows for answers."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from ig_guardrail.engine.kinds import EngineOptions
from ig_guardrail.engine.openai_compatible.asking import Asker
from ig_guardrail.engine.openai_compatible.opening import (
    Tokens,
    Trial,
    find_wire,
    named_models,
    read_tokens,
    version_of,
    window_of,
)
from ig_guardrail.engine.openai_compatible.options import ServerOptions, read_options
from ig_guardrail.engine.openai_compatible.server import ModelServer, ServerError
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.errors import GuardrailError, RequestError, brief
from ig_guardrail.threads.event_loop import LoopThread

SAMPLE = "Rivers flow; 12 € and naïve words, 你好.\n"
LONG = 600  # tokens of a prompt that is asked twice
ANSWER = 400  # tokens of an answer that is left
FASTER = 1.5  # times, at least, where what was read of it was kept
LONGEST_S = 5.0  # for a server to notice that nobody waits
_RUNNING = re.compile(r"^(?:vllm:num_requests_running|llamacpp:requests_processing)(?:\{[^}\n]*\})? ([0-9.]+)", re.M)


@dataclass(frozen=True, slots=True)
class Probe:
    """One part: `missing` keeps the engine from running, `note` from doing what follows."""

    part: str
    state: Literal["ok", "note", "missing"]
    found: str
    follows: str = ""


def probe_server(url: str, model: str | None, options: EngineOptions) -> list[Probe]:
    """Every probe of a server. Never raises for what a server does; GuardrailError for options that are none.

    options: of the engine, such as `tokenizer`, without which only what the server says of itself is told
    """
    told = read_options({"tokenizer": "none", **options, "base_url": url})
    named = partial(read_tokens, told.tokenizer) if "tokenizer" in options else None
    return probes_of(ModelServer(told), told, model, named)


def probes_of(
    server: ModelServer, options: ServerOptions, model: str | None, read: Callable[[], Tokens] | None
) -> list[Probe]:
    """Every probe of a server, whose tokens are read where it is known to be there."""
    loop = LoopThread("probe", server.resource)
    try:
        return loop.run(_all(_each(server, options, model, read)))
    finally:
        loop.end()


async def _all(probes: AsyncIterator[Probe]) -> list[Probe]:
    found: list[Probe] = []
    try:
        async for probe in probes:
            found.append(probe)
    except ServerError as error:
        found.append(Probe("answers", "missing", error.what, error.fix))
    except GuardrailError as error:
        found.append(Probe("tokenizer", "missing", brief(error.what), error.fix))
    return found


async def _each(
    server: ModelServer, options: ServerOptions, model: str | None, read: Callable[[], Tokens] | None
) -> AsyncIterator[Probe]:
    names = await named_models(server)
    name = model or (names[0] if names else "")
    version = await version_of(server)
    yield Probe("server", "ok", f"{server.address}{f', version {version}' if version else ''}")
    yield _model_probe(name, names)
    window = options.context or await window_of(server, name)
    if window is None:
        yield Probe("context", "note", "not told", "give the engine option `context`")
    else:
        yield Probe("context", "ok", f"{window} tokens")
    if read is None:
        yield Probe(
            "tokenizer", "missing", "none is named", "--engine-option tokenizer=FOLDER or hub name of the served model"
        )
        return
    tokens = await asyncio.to_thread(read)
    yield await _tokenizer_probe(server, name, tokens)
    facts = await find_wire(server, name, options, tokens)
    wire = facts.wire
    path = wire.path if wire.path.startswith("/") else f"/v1/{wire.path}"
    yield _yes_or_no(
        "token ids",
        wire.tokens,
        f"in and out, by {path}",
        f"texts go in and out, by {path}; a conversation whose words would be read as markers is refused",
    )
    trial = Trial(Asker(server, wire, tokens.language, tokens.spell), tokens)
    yield _yes_or_no(
        "logprobs", bool(wire.most_top), "of each token that is drawn", "candidates are ranked without them"
    )
    yield _yes_or_no(
        "given logprobs",
        wire.scores,
        "of tokens that it is given",
        "verifiers of contexts find no answer, `logprobs` of answers are refused, moved candidates are ranked without",
    )
    yield _yes_or_no(
        "n",
        wire.wide,
        "several answers in one request, each as its own seed gives it alone",
        "candidates are requests of their own, side by side",
    )
    yield _yes_or_no(
        "seeds",
        await _seeds_repeat(trial),
        "the same seed gives the same tokens",
        "a seed does not give an answer again, so neither `none` beside a guarded answer nor a replay is bit-equal",
    )
    yield _yes_or_no(
        "bias",
        await _bias_acts(trial),
        "logit_bias moves what is drawn",
        "resampling with penalties, and frequency and presence penalties, change nothing",
    )
    yield _yes_or_no(
        "masks",
        wire.masks,
        "allowed_token_ids keeps to a form",
        "where a form does not allow a drawn token, the likeliest that are told or the form's own way out serve",
    )
    yield await _prefix_probe(trial)
    yield await _abort_probe(server, trial)


def _model_probe(name: str, names: list[str]) -> Probe:
    if not names:
        return Probe("model", "note", f"'{name}'; the server names none", "give the name it serves, with --model")
    listed = f"it serves {', '.join(names[:5])}"
    if name in names:
        return Probe("model", "ok", f"'{name}'" if len(names) == 1 else f"'{name}'; {listed}")
    return Probe("model", "note", f"'{name}' is not listed; {listed}", "llama.cpp takes any name, vLLM only its own")


def _yes_or_no(part: str, there: bool, what: str, otherwise: str) -> Probe:
    return Probe(part, "ok", what) if there else Probe(part, "note", f"not: {what}", otherwise)


async def _tokenizer_probe(server: ModelServer, model: str, tokens: Tokens) -> Probe:
    """Whether the server cuts a text into the same tokens."""
    body = {"model": model, "prompt": SAMPLE, "content": SAMPLE, "add_special_tokens": False, "add_special": False}
    try:
        told = await server.post("/tokenize", body, 1 << 16, {})
    except ServerError:
        return Probe("tokenizer", "note", f"{tokens.language.size} tokens; the server does not show its own")
    theirs = told.get("tokens") if isinstance(told, dict) else None
    if theirs == list(tokens.chat.text_ids(SAMPLE)):
        return Probe("tokenizer", "ok", f"{tokens.language.size} tokens, cut as the server cuts them")
    raise RequestError(
        "the server cuts a text into other tokens",
        where="tokenizer",
        fix="name the tokenizer of the model that is served",
    )


async def _seeds_repeat(trial: Trial) -> bool:
    try:
        first, second = await trial.ids(trial.order(16)), await trial.ids(trial.order(16))
        return first == second and first != await trial.ids(trial.order(16, seed=8))
    except ServerError:
        return False


async def _bias_acts(trial: Trial) -> bool:
    (wanted,) = trial.tokens.chat.text_ids("x")[:1]
    try:
        (ids,) = await trial.ids(trial.order(3, bias={wanted: 100.0}))
        return trial.tokens.spell(ids) == trial.tokens.spell([wanted] * 3)
    except ServerError:
        return False


async def _prefix_probe(trial: Trial) -> Probe:
    """A long prompt that nobody has asked before, asked twice: the second time is faster where a prefix is kept."""
    usual = trial.order(1)
    token = trial.tokens.chat.text_ids("a")[0]
    beginning = trial.tokens.chat.text_ids(secrets.token_hex(8))
    order = replace(usual, prompt=(*beginning, *([token] * LONG), *usual.prompt), salt=secrets.token_hex(32))
    taken = []
    for _ in range(3):
        begun = time.monotonic()
        try:
            await trial.ids(order)
        except ServerError as error:
            return Probe("prefix cache", "note", f"could not be tried: {error.what}")
        taken.append(time.monotonic() - begun)
    times = taken[0] / max(1e-6, min(taken[1:]))
    told = f"{len(order.prompt)} tokens, read again {times:.1f} times as fast"
    if times >= FASTER:
        return Probe("prefix cache", "ok", told)
    return Probe(
        "prefix cache", "note", told, "every block reads the whole prompt again; start the server with a cache"
    )


async def _abort_probe(server: ModelServer, trial: Trial) -> Probe:
    """A long answer is begun and left; what the server then says of its work."""
    begun = asyncio.create_task(_begun(trial))
    running = await _until(server, lambda count: count > 0)
    begun.cancel()
    await asyncio.gather(begun, return_exceptions=True)
    if running is None:
        return Probe("abort", "note", "the server does not tell what it works on", "see its log (vLLM: /metrics)")
    since = time.monotonic()
    if await _until(server, lambda count: count == 0):
        return Probe("abort", "ok", f"a connection that closes ends its work, {time.monotonic() - since:.1f} s later")
    return Probe("abort", "note", "a connection that closes does not end its work", "what nobody waits for is paid for")


async def _begun(trial: Trial) -> None:
    order = trial.order(ANSWER, bias=dict.fromkeys(trial.tokens.language.end, -100.0))
    await trial.asker.draw(order, RequestUsage(0))


async def _until(server: ModelServer, holds: Any) -> bool | None:
    """Whether the number of requests at work comes to be so; None where the server tells none."""
    for _ in range(int(LONGEST_S / 0.05)):
        count = await _at_work(server)
        if count is None:
            return None
        if holds(count):
            return True
        await asyncio.sleep(0.05)
    return False


async def _at_work(server: ModelServer) -> float | None:
    """vLLM tells it at /metrics; llama.cpp at /slots."""
    try:
        told = _RUNNING.findall(await server.text("/metrics"))
        if told:
            return sum(map(float, told))
    except ServerError:
        pass
    try:
        slots = await server.get("/slots")
    except ServerError:
        return None
    working = [slot.get("is_processing") for slot in slots if isinstance(slot, dict)] if isinstance(slots, list) else []
    return float(sum(map(bool, working))) if working else None
