"""Every kind of content block that has text is read, wherever a policy reads input; what has none is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages import content as standard

from ig_guardrail import AnswerRefused, ChatIGGuardrail, GuardedChatModel, GuardInput
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.messages.content import DEEPEST
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from tests.examples import examples
from tests.golden.conversations import CALM, POLITE, compiled, scripted_guardrail
from tests.unit.langchain.teller import Teller, teller

BAD = "you blockhead"
REFUSAL = "I would rather not say that."


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def with_text(text: str) -> dict[str, Any]:
    """Blocks that say `text`, by name."""
    source = {"type": "text", "media_type": "text/plain", "data": text}
    inner = [{"type": "text", "text": text}]
    return {
        "string": text,
        "text": {"type": "text", "text": text},
        "text-plain": {"type": "text-plain", "text": text, "mime_type": "text/plain"},
        "text-plain, its title": {"type": "text-plain", "text": "", "title": text},
        "text-plain, its context": {"type": "text-plain", "text": "x", "context": text},
        "text-plain, packed": {"type": "text-plain", "base64": packed(text), "mime_type": "text/plain"},
        "file of text, packed": {"type": "file", "base64": packed(text), "mime_type": "text/markdown"},
        "old file of text": {"type": "file", "source_type": "text", "url": text, "mime_type": "text/plain"},
        "old text": {"type": "text", "source_type": "text", "text": text},
        "old file, packed": {"type": "file", "source_type": "base64", "data": packed(text), "mime_type": "text/csv"},
        "input_text": {"type": "input_text", "text": text},
        "output_text": {"type": "output_text", "text": text},
        "refusal": {"type": "refusal", "refusal": text},
        "document": {"type": "document", "source": source},
        "document, its title": {"type": "document", "title": text, "source": {**source, "data": "x"}},
        "document, its context": {"type": "document", "context": text, "source": {**source, "data": "x"}},
        "document of blocks": {"type": "document", "source": {"type": "content", "content": inner}},
        "document of a string": {"type": "document", "source": {"type": "content", "content": text}},
        "document, packed": {
            "type": "document",
            "source": {"type": "base64", "media_type": "text/plain", "data": packed(text)},
        },
        "search_result": {"type": "search_result", "source": "s", "title": "t", "content": inner},
        "search_result, its title": {"type": "search_result", "source": "s", "title": text, "content": []},
        "search_result, its source": {"type": "search_result", "source": text, "title": "t", "content": []},
        "tool_result": {"type": "tool_result", "tool_use_id": "1", "content": text},
        "tool_result of blocks": {"type": "tool_result", "tool_use_id": "1", "content": inner},
        "json of a tool": {"type": "json", "json": {"note": [1, {"text": text}]}},
        "tool_result of a document": {
            "type": "tool_result",
            "tool_use_id": "1",
            "content": [{"type": "document", "source": source}],
        },
        "function_call_output": {"type": "function_call_output", "call_id": "1", "output": text},
        "function_call_output of blocks": {
            "type": "function_call_output",
            "output": [{"type": "input_text", "text": text}],
        },
        "server_tool_result": {
            "type": "server_tool_result",
            "tool_call_id": "1",
            "status": "success",
            "output": {"rows": [1, {"said": text}]},
        },
        "server_tool_call": {"type": "server_tool_call", "id": "1", "name": "look", "args": {"q": ["a", text]}},
        "server_tool_call, its name": {"type": "server_tool_call", "id": "1", "name": text, "args": {}},
        "server_tool_call, a key": {"type": "server_tool_call", "id": "1", "name": "look", "args": {text: 1}},
        "server_tool_call_chunk": {"type": "server_tool_call_chunk", "args": f'{{"q": "{text}"}}'},
        "invalid_tool_call": {"type": "invalid_tool_call", "id": "1", "name": "a", "args": text, "error": None},
        "tool_call": {"type": "tool_call", "id": "1", "name": "look", "args": {"q": text}},
        "tool_call_chunk": {"type": "tool_call_chunk", "id": "1", "name": "look", "args": text},
        "tool_use": {"type": "tool_use", "id": "1", "name": "look", "input": {"q": text}},
        "reasoning": {"type": "reasoning", "reasoning": text},
        "thinking": {"type": "thinking", "thinking": text},
        "non_standard": {"type": "non_standard", "value": {"type": "input_text", "text": text}},
        "non_standard, no kind": {"type": "non_standard", "value": {"text": text}},
        "non_standard, unknown kind": {"type": "non_standard", "value": {"type": "note", "content": [{"text": text}]}},
        "non_standard, a mark": {"type": "non_standard", "value": {"type": "refusal", "refusal": text}},
        "no kind": {"text": text},
        "unknown kind": {"type": "note", "text": text},
        "unknown kind, another field": {"type": "note", "text": "x", "remark": {"by": ["me", text]}},
        "executable_code": {"type": "executable_code", "executable_code": text},
    }


NO_TEXT: dict[str, Any] = {
    "image": {"type": "image", "url": "https://a.example/a.png"},
    "image, packed": {"type": "image", "base64": packed("x"), "mime_type": "image/png"},
    "image, by id": {"type": "image", "file_id": "1"},
    "image_url": {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    "input_image": {"type": "input_image", "image_url": "https://a.example/a.png"},
    "audio": {"type": "audio", "base64": packed("x"), "mime_type": "audio/wav"},
    "input_audio": {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    "video": {"type": "video", "url": "https://a.example/a.mp4"},
    "file": {"type": "file", "base64": packed("x"), "mime_type": "application/pdf"},
    "file, by id": {"type": "file", "file_id": "1"},
    "file of text that is no text": {"type": "file", "base64": "/w==", "mime_type": "text/plain"},
    "old image": {"type": "image", "source_type": "base64", "data": "AA==", "mime_type": "image/png"},
    "text-plain elsewhere": {"type": "text-plain", "url": "https://a.example/a.txt"},
    "text-plain, here and elsewhere": {"type": "text-plain", "text": "fine", "url": "https://a.example/a.txt"},
    "document, by address": {"type": "document", "source": {"type": "url", "url": "https://a.example/a.pdf"}},
    "document, packed": {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": packed("x")},
    },
    "tool_result with an image": {
        "type": "tool_result",
        "content": [{"type": "text", "text": "fine"}, {"type": "image", "url": "https://a.example/a.png"}],
    },
    "non_standard image": {"type": "non_standard", "value": {"type": "image_url", "image_url": "https://a.example"}},
    "non_standard nothing": {"type": "non_standard", "value": {"type": "note"}},
    "text with an image": {"type": "text", "text": "fine", "image_url": "https://a.example/a.png"},
    "text without text": {"type": "text"},
    "text that is none": {"type": "text", "text": {"a": 1}},
    "unknown kind": {"type": "note", "memo": "x"},
    "unknown kind with an address": {"type": "note", "text": "x", "url": "https://a.example"},
    "redacted thoughts": {"type": "redacted_thinking", "data": "AA=="},
}


def test_the_tables_name_all_standard_kinds() -> None:
    kinds = {get_args(get_type_hints(block)["type"])[0] for block in get_args(standard.ContentBlock)}
    told = [*with_text("x").values(), *NO_TEXT.values()]
    assert (kinds | standard.KNOWN_BLOCK_TYPES) <= {
        block["type"] for block in told if isinstance(block, dict) and "type" in block
    }


def asked(block: Any) -> list[Any]:
    """Ways in which a block reaches a model."""
    return [
        [HumanMessage([block])],
        [HumanMessage(["fine ", block, {"type": "text", "text": " fine"}])],
        [HumanMessage("hi"), AIMessage("hello"), ToolMessage([block], tool_call_id="1"), HumanMessage("and?")],
    ]


@pytest.mark.parametrize("name", with_text(""))
def test_text_is_read_from_every_kind(name: str) -> None:
    text = "some words of a user"
    block = with_text(text)[name]
    assert text in messages_of([HumanMessage([block])])[0].text
    assert text in messages_of([ToolMessage([block], tool_call_id="1")])[0].text
    assert text in messages_of([SystemMessage([block])])[0].text


@pytest.mark.parametrize("name", with_text(""))
def test_the_prompt_check_reads_every_kind(name: str) -> None:
    own = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}))
    other = GuardedChatModel(inner=teller(CALM), policy=compiled())
    for messages in asked(with_text(BAD)[name]):
        assert own.invoke(messages).text == REFUSAL
        assert other.invoke(messages).text == REFUSAL
        with pytest.raises(AnswerRefused):
            GuardInput(compiled()).invoke(messages)
    for messages in asked(with_text("a kind word")[name]):
        assert own.invoke(messages).text == CALM
        assert other.invoke(messages).text == CALM


@pytest.mark.parametrize("message", [HumanMessage, partial(ChatMessage, role="user")])
def test_another_model_is_told_the_name_of_a_speaker_so_it_is_read(message: Callable[..., BaseMessage]) -> None:
    """Our own models are not: chat templates have no place for it."""
    bad, good = ([message(content="hi", name=name)] for name in (BAD, "Ada"))
    other = GuardedChatModel(inner=teller(CALM), policy=compiled())
    assert other.invoke(bad).text == REFUSAL
    assert other.invoke(good).text == CALM
    with pytest.raises(AnswerRefused):
        GuardInput(compiled()).invoke(bad)
    assert GuardInput(compiled()).invoke(good) is good
    assert messages_of(bad)[0].text == "hi"


@pytest.mark.parametrize("name", NO_TEXT)
def test_what_is_no_text_is_refused_with_its_place(name: str) -> None:
    other = GuardedChatModel(inner=teller(CALM), policy=compiled())
    for messages in asked(NO_TEXT[name]):
        for model in (ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM})), other, GuardInput(compiled())):
            with pytest.raises(
                RequestError, match=r"messages\[\d\]\.content\[\d\].*: there is a content block of type"
            ):
                model.invoke(messages)  # type: ignore[attr-defined]
    assert isinstance(other.inner, Teller)
    assert other.inner.log.calls == []


@pytest.mark.parametrize("name", [name for name in NO_TEXT if "image" in name and not name.startswith("text ")])
def test_a_host_that_shows_pictures_says_so(name: str) -> None:
    model = GuardedChatModel(inner=teller(CALM), policy=compiled(), unjudged_blocks=["image"])
    for messages in asked(NO_TEXT[name]):
        assert model.invoke(messages).text == CALM
        assert GuardInput(compiled(), unjudged_blocks=["image"]).invoke(messages) is messages
        assert model.invoke([*messages, HumanMessage(BAD)]).text == REFUSAL
    assert model.profile is not None


def test_other_kinds_are_still_refused_then() -> None:
    model = GuardedChatModel(inner=teller(CALM), policy=compiled(), unjudged_blocks=["image", "video"])
    for name in ("file", "audio", "document, packed", "text with an image", "unknown kind"):
        with pytest.raises(RequestError, match="is not text"):
            model.invoke([HumanMessage([NO_TEXT[name]])])


@pytest.mark.parametrize("name", ["text without text", "text that is none", "text with an image"])
def test_a_block_of_text_that_is_refused_is_not_told_to_be_no_text(name: str) -> None:
    with pytest.raises(RequestError, match="not text alone: it has none, or something beside it"):
        messages_of([HumanMessage([NO_TEXT[name]])])


def test_text_within_what_is_passed_over_is_read_all_the_same() -> None:
    model = GuardedChatModel(inner=teller(CALM), policy=compiled(), unjudged_blocks=["image", "file"])
    blocks = [{"type": "image", "url": "https://a.example"}, with_text(BAD)["document"]]
    assert model.invoke([HumanMessage(blocks)]).text == REFUSAL  # type: ignore[arg-type]
    nested = {"type": "tool_result", "content": [{"type": "image", "url": "https://a"}, {"type": "text", "text": BAD}]}
    assert model.invoke([HumanMessage([nested])]).text == REFUSAL


def test_words_that_lie_across_blocks_are_read_as_one_text_and_other_blocks_are_set_apart() -> None:
    blocks: list[Any] = [{"type": "text", "text": "one "}, "two", with_text("three")["document"], "four"]
    assert messages_of([HumanMessage(blocks)])[0].text == "one two\n\nthree\n\nfour"


def test_another_model_may_join_blocks_or_set_them_apart() -> None:
    told = compiled(POLITE.replace("blockhead'", "blockhead\\b'"))
    for words in (["hello", "blockhead", "there"], ["block", "head"], ["a block", "head "]):
        asked = [HumanMessage([{"type": "text", "text": word} for word in words])]
        assert GuardedChatModel(inner=teller(CALM), policy=told).invoke(asked).text == REFUSAL
        with pytest.raises(AnswerRefused):
            GuardInput(told).invoke(asked)


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(1, 40))
def test_blocks_in_blocks_are_read_or_refused(depth: int) -> None:
    block: Any = {"type": "text", "text": BAD}
    for _ in range(depth):
        block = {"type": "tool_result", "content": [block]}
    if depth > DEEPEST:
        with pytest.raises(RequestError, match="is not text"):
            messages_of([HumanMessage([block])])
        return
    try:
        assert BAD in messages_of([HumanMessage([block])])[0].text
    except RequestError as error:
        assert "is not text" in str(error)  # noqa: PT017  # deeper than half of it


def test_thoughts_and_mirrored_calls_of_answers_stay_left_out() -> None:
    blocks: list[Any] = [with_text(BAD)["reasoning"], with_text(BAD)["tool_use"], {"type": "text", "text": "fine"}]
    assert messages_of([AIMessage(blocks)])[0].text == "fine"
