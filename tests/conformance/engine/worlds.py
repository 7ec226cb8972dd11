"""The engines the contract is tried on, each with what a test must know of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.types import Draw, Message, Node, Prompt, Sampling

PLAIN = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"
HELLO = (Message("system", "Be brief."), Message("user", "Tell me about rivers."))


@dataclass(frozen=True)
class World:
    """An engine, its end token, the reference decoding of its tokens, and how close two batch shapes must agree.

    edits  whether its hidden states can be edited
    """

    engine: Engine
    end: int
    decode: Callable[[tuple[int, ...]], str]
    layer: int
    tolerance: float
    edits: bool = True
    opened: list[Node] = field(default_factory=list)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layer whose states are asked for; () of an engine that has none."""
        return (self.layer,) if self.engine.info.layers else ()

    def prompt(self) -> Prompt:
        return self.engine.encode(HELLO)

    def root(self, sampling: Sampling | None = None, layers: tuple[int, ...] = ()) -> Node:
        """A root whose answers do not end by themselves, unless the sampling says otherwise."""
        return self.kept(self.engine.open(self.prompt(), sampling or self.endless(), layers).result())

    def kept(self, root: Node) -> Node:
        """`root`, to be closed when the test is over."""
        self.opened.append(root)
        return root

    def tidy(self) -> None:
        """Close every root that was opened; nothing may be held then."""
        while self.opened:
            self.engine.close(self.opened.pop())
        assert self.engine.live_nodes() == 0

    def endless(self, **changes: Any) -> Sampling:
        return replace(Sampling(temperature=1.0, logit_bias=((self.end, -1e4),), seed=11), **changes)

    def blocks(self, node: Node, *sizes: int) -> Node:
        """The unguarded stream, drawn in blocks of these sizes."""
        for size in sizes:
            (node,) = self.engine.extend([Draw(node)], size).result()
        return node


class Babble:
    """A script that may say any of its pieces at any time, with odds that depend on the last token."""

    def __init__(self) -> None:
        euro = "€".encode()
        self.vocabulary = Vocabulary(["I", " like", " the", " sea", ".", "\n", euro[:2], euro[2:], " st", "op"])

    def next_tokens(self, place: TokenPlace) -> Distribution:
        last = place.prefix[-1] if place.prefix else len(place.prompt.ids)
        weights = [1 + (7 * token + 3 * last) % 5 for token in range(self.vocabulary.end + 1)]
        return [(token, weight / sum(weights)) for token, weight in enumerate(weights)]


def scripted_world() -> World:
    script = Babble()
    spelled = script.vocabulary.bytes_of
    engine = ScriptedEngine(script, context=160, hidden=lambda prefix: [float(len(prefix)), float(prefix[-1])])
    return World(
        engine,
        script.vocabulary.end,
        lambda ids: b"".join(map(spelled, ids)).decode("utf-8", "replace"),
        layer=3,
        tolerance=1e-12,
        edits=False,
    )


def tiny_world(architecture: str, mode: str) -> World:
    """A tiny model of an architecture, in the mode that the engine chooses for it."""
    from tests.conformance.engine.tiny import tiny_weights

    world = _transformers_world(tiny_weights(architecture=architecture), layer=1, tolerance=1e-4)
    assert world.engine.info.mode == mode
    return world


def repeated_world() -> World:
    """The tiny Llama by plain repetition."""
    from ig_guardrail.engine.kv.copied import Repetition
    from tests.conformance.engine.tiny import tiny_weights

    return _transformers_world(tiny_weights(), layer=1, tolerance=1e-4, caching=Repetition)


def ahead_world(architecture: str) -> World:
    """A tiny model that is read ahead by its raw exit after the first layer, which is right now and then."""
    from ig_guardrail.engine.early_exit.layers import raw_exit
    from ig_guardrail.engine.transformers import TransformersEngine
    from tests.conformance.engine.tiny import quiet_end, tiny_weights

    class Eager(TransformersEngine):
        """Reads ahead whoever asks."""

        def extend(self, draws: Any, tokens: int, attempt: int = 0, bias: Any = (), ahead: int = 3) -> Any:
            return super().extend(draws, tokens, attempt, bias, ahead)

    weights = quiet_end(tiny_weights(architecture=architecture), 0.3)
    world = _transformers_world(weights, layer=1, tolerance=1e-4)
    return replace(world, engine=Eager(weights).with_exit(raw_exit(1, 32)))


def embedded_world() -> World:
    """In float32, where one row and many give the same tokens."""
    from ig_guardrail.engine.loading.models import load_weights

    weights = load_weights("embedded", "cpu", "bfloat16")
    return _transformers_world(replace(weights, model=weights.model.float()), layer=16, tolerance=1e-2)


def served_world() -> World:
    """The tiny Llama behind a server in this process, asked token by token: so how an answer came about counts no more.

    What segments of several tokens change, and the other wires, have tests of their own (`unit/engine/test_served`).
    """
    from tests.conformance.engine.tiny_server import TinyServer, tiny_engine

    server = TinyServer(("completions",))
    engine = tiny_engine(server)

    def decode(ids: tuple[int, ...]) -> str:
        return server.tokens.spell(ids)

    return World(engine, server.end, decode, layer=0, tolerance=1e-4, edits=False)


def given_world() -> World:
    """The model that $IG_TEST_MODEL names, in float32; one that is not made for conversations gets a template."""
    from ig_guardrail.engine.loading.models import load_weights

    weights = load_weights(os.environ["IG_TEST_MODEL"], "cpu", "bfloat16")
    weights.tokenizer.chat_template = weights.tokenizer.chat_template or PLAIN
    return _transformers_world(replace(weights, model=weights.model.float()), layer=9, tolerance=1e-2)


def llama_cpp_world() -> World:
    """A tiny random model by llama.cpp."""
    from tests.conformance.engine.tiny_gguf import write_tiny

    return _packed_world(str(write_tiny(Path(tempfile.mkdtemp()) / "tiny.gguf")), layer=1)


def packed_world() -> World:
    """The embedded model's file by llama.cpp, or the one that $IG_TEST_GGUF names."""
    return _packed_world(os.environ.get("IG_TEST_GGUF") or "embedded", layer=16)


def _packed_world(model: str, layer: int) -> World:
    from ig_guardrail.engine.kinds import EngineChoice
    from ig_guardrail.engine.llama_cpp.opening import open_llama_cpp

    engine = open_llama_cpp(EngineChoice(model, options={"threads": 1}))
    tokenizer = engine.tokenizer

    def decode(ids: tuple[int, ...]) -> str:
        return b"".join(map(tokenizer.bytes_of, ids)).decode("utf-8", "replace")

    return World(engine, tokenizer.eos_token_id, decode, layer, tolerance=1e-4, edits=False)


def vllm_world(model: str) -> World:
    """In vLLM and float32: the embedded model, or a tiny Llama whose heads are as wide as vLLM's kernels need."""
    import atexit

    from ig_guardrail.engine.kinds import EngineChoice
    from ig_guardrail.engine.vllm.opening import open_vllm
    from tests.conformance.engine.tiny import tiny_weights

    if model == "tiny":
        weights = tiny_weights(hidden_size=128, num_attention_heads=2, num_key_value_heads=1, head_dim=64)
        model = tempfile.mkdtemp(prefix="ig-tiny-")
        atexit.register(shutil.rmtree, model)
        weights.model.save_pretrained(model)
        weights.tokenizer.save_pretrained(model)
    engine = open_vllm(
        EngineChoice(model, dtype="float32", options={"max_num_seqs": 64, "kv_cache_memory_bytes": 2**29})
    )
    atexit.register(engine.shutdown)
    tokenizer = engine.tokenizer

    def decode(ids: tuple[int, ...]) -> str:
        text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    return World(
        engine, tokenizer.eos_token_id, decode, layer=1 if engine.info.layers == 2 else 16, tolerance=1e-3, edits=False
    )


def _transformers_world(weights: Any, layer: int, tolerance: float, caching: Any = None) -> World:
    """On the device that $IG_TEST_DEVICE names, by default the CPU."""
    from ig_guardrail.engine.transformers import TransformersEngine, usual_caching

    def decode(ids: tuple[int, ...]) -> str:
        text: str = weights.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    weights.model.to(os.environ.get("IG_TEST_DEVICE", "cpu"))
    return World(
        TransformersEngine(weights, caching or usual_caching), weights.tokenizer.eos_token_id, decode, layer, tolerance
    )
