"""The engine that runs a GGUF file by llama.cpp, on one thread of its own and without torch."""

from __future__ import annotations

from functools import partial
from typing import Any

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.by_numpy import ByNumpy
from ig_guardrail.engine.decoding.operations import TreeOperations
from ig_guardrail.engine.decoding.pages import machine_memory, room_for_prompts
from ig_guardrail.engine.decoding.prefill import pace_of
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.llama_cpp.caching import CellCaching
from ig_guardrail.engine.llama_cpp.cells import Pool, halves_of, taps
from ig_guardrail.engine.llama_cpp.library import build, library_files
from ig_guardrail.engine.llama_cpp.model import GgufModel
from ig_guardrail.engine.llama_cpp.proving import is_steady
from ig_guardrail.engine.llama_cpp.tokenizer import GgufTokenizer
from ig_guardrail.engine.loop import Loop
from ig_guardrail.engine.scheduler import Scheduler
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.engine.text.detokenize import Detokenizer, TokenTable
from ig_guardrail.engine.text.endings import end_of_calls, end_of_turn
from ig_guardrail.engine.text.thought_reader import thought_reader_of
from ig_guardrail.engine.text.thoughts import efforts_of
from ig_guardrail.engine.text.tool_probe import markers_of
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.tree import NodeTree
from ig_guardrail.engine.tree_engine import TreeEngine

_TRIAL = "The ferry leaves at dawn, and the gulls follow it out to sea."


class LlamaCppEngine(TreeEngine):
    """A token tree over a GGUF file. See `engine.base.Engine` for the contract.

    Hidden states of layer L are the output of the L-th decoder layer, float32 arrays of numpy; the last layer has none.
    """

    def __init__(self, model: GgufModel, sha256: str, threads: int, memory: int) -> None:
        self.tokenizer = tokenizer = GgufTokenizer(model)
        chat = chat_of(tokenizer)
        language = _vocabulary_of(tokenizer, chat, model.size)
        pool = Pool(model, threads, memory)
        pool.steady = is_steady(pool, chat.text_ids(_TRIAL), (sha256, build(), library_files(), halves_of(threads)))
        pool.narrow = pool.narrow if pool.steady else 1
        info = EngineInfo(
            model=model.name,
            model_sha256=sha256,
            mode=f"llama.cpp/{build()}, {halves_of(threads)}" + ("" if pool.steady else ", token by token"),
            numerics=model.numerics,
            device="cpu",
            layers=model.layers - 1 if _shows_states() else 0,
            context=model.context,
            protected=language.protected(range(model.size)),
            language=language.sha256,
            thinks=language.thoughts is not None,
            efforts=efforts_of(chat.thoughts),
            tool_format=chat.format,
        )
        caching, tree = CellCaching(pool, room_for_prompts(machine_memory())), NodeTree[Any]()
        grammars, pace = Grammars(language, chat.text_ids), pace_of(caching)
        operations = TreeOperations(tree, caching, ByNumpy(), chat, language, grammars, info, pace)
        loop = Loop("ig-engine")
        super().__init__(operations, loop, Scheduler(loop, caching.read, pace), pool.stop.look)


def _vocabulary_of(tokenizer: GgufTokenizer, chat: Chat, size: int) -> TokenVocabulary:
    """The meaning of the tokens. Special ones spell nothing, but those with which it writes calls of tools."""
    spelled = markers_of(chat.format) if chat.format.native else set()
    detokenizer = Detokenizer(TokenTable(partial(_spelled, tokenizer, spelled)), tokenizer.lead)
    closing = end_of_turn(tokenizer)
    ends = frozenset(tokenizer.ends()) | ({closing} if closing is not None else set())
    ends |= end_of_calls(tokenizer, chat.format)
    reader = None
    if chat.thoughts is not None:
        reader = thought_reader_of(tokenizer, chat.thoughts, detokenizer, chat.format, size)
    return TokenVocabulary(detokenizer, ends, size, reader)


def _spelled(tokenizer: GgufTokenizer, told: set[str]) -> list[bytes]:
    """What each token spells, with some special ones by their texts."""
    table = list(tokenizer.spelled)
    for token, entry in tokenizer.added_tokens_decoder.items():
        if entry.special and entry.content in told:
            table[token] = entry.content.encode()
    return table


def _shows_states() -> bool:
    try:
        taps()
    except AttributeError:
        return False
    return True
