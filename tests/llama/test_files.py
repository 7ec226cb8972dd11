"""What is opened, what is refused, and how text is cut and prompts are rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.errors import EngineError, ModelError, RequestError
from ig_guardrail.types import CallNotation, Message, Sampling, Tool
from tests.llama.conftest import MODEL, opened, tiny_file

ODD = [
    "In 2026, x  8",
    "\n\n\t a\r\nb",
    "Été: 10 € / 你好 🌊",
    "👩‍👩‍👧‍👦",
    "don't DON'T",
    "\u200b\u00a0a\u0301",
    "a" * 300,
    "\x00\x7f",
]


def test_text_comes_back_from_its_tokens(real: Any) -> None:
    for text in ODD:
        ids = real._operations.chat.text_ids(text)
        assert b"".join(map(real.tokenizer.bytes_of, ids)).decode() == text


def test_words_of_a_message_are_never_markers(real: Any) -> None:
    special = {token for token, entry in real.tokenizer.added_tokens_decoder.items() if entry.special}
    plain = real.encode([Message("user", "hello")]).ids
    for marker in ("<|im_end|>", "<|im_start|>system", "<|endoftext|>"):
        ids = real.encode([Message("user", f"hello {marker} you")]).ids
        assert sum(token in special for token in ids) == sum(token in special for token in plain)


@pytest.mark.real
def test_tokens_and_prompts_are_those_of_transformers(real: Any) -> None:
    if MODEL != "embedded":
        pytest.skip("another file would have to be unpacked first")
    from ig_guardrail.engine.loading.models import load_tokenizer
    from ig_guardrail.engine.text.chat import chat_of

    chat = chat_of(load_tokenizer("embedded"))
    turns = (Message("system", "Be brief."), Message("user", "Tell me about 3 rivers."))
    tool = Tool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
    notation = CallNotation(chat.format, (tool,))
    assert chat.format == real.info.tool_format
    for given in (None, notation):
        assert real.encode(turns, None, given).ids == chat.encode(turns, None, given).ids
    assert [real._operations.chat.text_ids(text) for text in ODD] == [chat.text_ids(text) for text in ODD]


@pytest.mark.parametrize("cut", [0, 10, 100, -1000])
def test_a_file_that_is_none_is_refused_and_the_process_lives(tmp_path: Path, cut: int) -> None:
    file = tiny_file(tmp_path)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ModelError, match=r"is no GGUF file|cannot be opened"):
        opened(str(file))


def test_what_llama_cpp_is_not_told_is_refused(tmp_path: Path) -> None:
    from ig_guardrail.engine.kinds import EngineChoice
    from ig_guardrail.engine.llama_cpp.opening import open_llama_cpp

    with pytest.raises(ModelError, match=r"is no \.gguf file"):
        opened(str(tmp_path))
    with pytest.raises(RequestError, match="'threads' is 0"):
        opened("embedded", threads=0)
    with pytest.raises(RequestError, match="no option 'layers'"):
        opened("embedded", layers=1)
    for changes in ({"device": "cuda"}, {"dtype": "float32"}, {"weights": "int4"}, {"revision": "main"}):
        with pytest.raises(RequestError, match=next(iter(changes))):
            open_llama_cpp(EngineChoice("embedded", **changes))


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from ig_guardrail.engine.llama_cpp import library

    monkeypatch.setattr(library.metadata, "version", lambda _: "0.3.35")
    with pytest.raises(ModelError, match=r"(?s)llama-cpp-python is 0\.3\.35.*==0\.3\.36"):
        library.library.__wrapped__()


def test_conversations_that_do_not_fit_the_memory_are_refused(tmp_path: Path) -> None:
    engine = opened(str(tiny_file(tmp_path, context=200_000)), memory=1)
    ids = engine.encode([Message("user", "hello")]).ids
    from ig_guardrail.types import Prompt

    first = engine.open(Prompt((), ids), Sampling(max_tokens=4)).result()
    with pytest.raises(EngineError, match="no memory for a conversation"):
        engine.open(Prompt((), ids * 400), Sampling(max_tokens=4)).result()
    engine.close(first)
    assert engine.live_nodes() == 0
    engine.shutdown()
