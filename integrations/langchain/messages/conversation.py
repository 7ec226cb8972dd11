"""LangChain messages as turns of plain text.

Content is read by `content`: text blocks of one message are joined as they are. Consecutive system messages, and
consecutive messages of the user or of the assistant, become one turn, since many chat templates demand that roles
alternate. Thoughts of earlier answers are kept apart: a model's template takes them or leaves them out. What is not
text is refused: a model that cannot see an image must not seem to.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, ToolMessage

from ig_guardrail.drive.request import check_size
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.messages.blocks import THOUGHT
from ig_guardrail.integrations.langchain.messages.content import QUOTED, ContentReader
from ig_guardrail.integrations.langchain.messages.values import demand_written
from ig_guardrail.settings import Limits
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import AssistantMessage, Message, Role, ToolCall

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking"})
CALLS = frozenset({"tool_use", "tool_call", "invalid_tool_call", "tool_call_chunk"})  # blocks that mirror calls


def messages_of(
    messages: Sequence[BaseMessage],
    limits: Limits | None = None,
    *,
    unjudged: Container[str] = (),
    elsewhere: bool = False,
) -> tuple[Message, ...]:
    """One turn a message, runs of one role merged; a message without words adds none to a run.

    limits     of messages as they came, and their characters; looked at before they are read and merged; None sets none
    unjudged   kinds of content that are passed over where they are not text. Raises RequestError for all others
    elsewhere  whether another model reads the messages as they are; it may join their blocks, or set them apart
    Raises RequestError for more than `limits` allow.
    """
    runs: list[list[Message]] = []
    characters = 0
    if limits is not None:
        check_size(len(messages), 0, limits)
    for index, message in enumerate(messages):
        turn = _turn(message, index, unjudged, elsewhere)
        characters += len(turn.text) + len(turn.thought)
        if limits is not None:
            check_size(len(messages), characters, limits)
        if not runs or turn.role != runs[-1][0].role or turn.role == "tool":
            runs.append([])
        runs[-1].append(turn)
    return tuple(map(_joined, runs))


def _role(message: BaseMessage, index: int) -> Role:
    named = _called(message)
    if named not in ROLES:
        raise RequestError(
            f"a message of role '{named}' has no place in a conversation",
            where=f"messages[{index}]",
            fix="use system, user (human), assistant (ai) or tool messages",
        )
    return ROLES[named]


def _called(message: BaseMessage) -> str:
    return message.role if isinstance(message, ChatMessage) else message.type.removesuffix("MessageChunk").lower()


def _turn(message: BaseMessage, index: int, unjudged: Container[str], elsewhere: bool) -> Message:
    """A message as a turn; what an assistant said is kept apart from what it called."""
    demand_written(message, index)
    where, other = f"messages[{index}].content", elsewhere and not isinstance(message, AIMessage)
    text = "\n\n".join(texts_told(message, where, unjudged)) if other else words_in(message, where, unjudged)
    role, made = _role(message, index), message.tool_calls if isinstance(message, AIMessage) else []
    lines = [*([text] if text else []), *(format_call(call["name"], call["args"]) for call in made)]
    calls = tuple(ToolCall(call["name"], call["args"], call["id"]) for call in made)
    said = AssistantMessage(text, calls, thought_of(message) if isinstance(message, AIMessage) else "")
    result_of = message.tool_call_id if isinstance(message, ToolMessage) else None
    return Message(role, "\n".join(lines), (said,) if role == "assistant" else (), result_of)


def words_in(message: BaseMessage, where: str, unjudged: Container[str] = ()) -> str:
    """What a message says. where: names its content in errors. Raises RequestError for what is not text."""
    return reader_of(message, unjudged).text(_content(message), where)


def _joined(run: Sequence[Message]) -> Message:
    """Turns of one role in a row as one; those without words add nothing to its text."""
    said = tuple(one for turn in run for one in turn.said)
    return Message(run[0].role, "\n\n".join(turn.text for turn in run if turn.text), said, run[0].call_id)


def words_of(block: Mapping[Any, Any], silent: Container[Any] = CALLS) -> str | None:
    """The words of a content block, "" of thoughts, of the kinds in `silent`, and of what words quote; else None.

    Hosts stream quotations behind the words, in blocks of kind text that have no words of their own.
    """
    kind = block.get("type")
    text = block.get("refusal" if kind == "refusal" else "text")
    if kind in ("text", "refusal") and (isinstance(text, str) or (text is None and QUOTED & block.keys())):
        return text or ""
    return "" if kind in THOUGHTS or kind in silent else None


def thought_of(message: AIMessage) -> str:
    """What a message says the assistant thought before it: in blocks of its content, or beside it."""
    content = message.content if isinstance(message.content, list) else []
    blocks = [block for block in content if isinstance(block, dict) and block.get("type") in ("reasoning", "thinking")]
    told = [block.get("reasoning") or block.get("thinking") for block in blocks]
    told = [one for one in told if isinstance(one, str)] or [message.additional_kwargs.get(THOUGHT)]
    return "".join(one for one in told if isinstance(one, str))


def texts_told(message: BaseMessage, where: str, unjudged: Container[str] = ()) -> list[str]:
    """What another model is told of an input: its content, and who speaks; a tool's name is the host's to choose."""
    texts = reader_of(message, unjudged).texts(message.content, where)
    return [*texts, message.name] if message.name and ROLES.get(_called(message)) != "tool" else texts


def is_input(message: BaseMessage) -> bool:
    """Whether a message comes from outside: of a user, a tool, or a role that is not known."""
    return ROLES.get(_called(message)) not in ("system", "assistant")


def reader_of(message: BaseMessage, unjudged: Container[str] = ()) -> ContentReader:
    """What reads the content of a message: of the model's own, thoughts are left out, and what mirrors its calls."""
    return ContentReader(THOUGHTS | CALLS if isinstance(message, AIMessage) else (), unjudged)


def _content(message: BaseMessage) -> Any:
    """What a message says; of an answer of ours, without the marks that say it is a refusal."""
    if isinstance(message.content, str) or not isinstance(message, AIMessage):
        return message.content
    return [block for block in message.content if not (isinstance(block, dict) and _marks_refusal(block))]


def _marks_refusal(block: dict[Any, Any]) -> bool:
    """Whether a block only says that the text before it is a refusal (see `events`)."""
    value = block.get("value")
    return block.get("type") == "non_standard" and isinstance(value, dict) and value.get("type") == "refusal"
