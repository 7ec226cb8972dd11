"""LangChain messages as turns of plain text.

Text blocks of one message are joined as they are. Consecutive system messages, and consecutive messages of the user or
of the assistant, become one turn, since many chat templates demand that roles alternate. Thoughts of earlier answers
are left out, as templates do. What is not text is refused: a model that cannot see an image must not seem to.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage

from ig_guardrail.calls import written
from ig_guardrail.errors import RequestError
from ig_guardrail.types import Call, Role, Turn, Utterance

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
CALLS = frozenset({"tool_use", "tool_call"})  # content blocks that mirror `tool_calls`


def turns_of(messages: Sequence[BaseMessage]) -> tuple[Turn, ...]:
    """One turn a message, runs of one role merged. Raises RequestError for content that is not text."""
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        turn = _turn(message, index)
        if turns and turn.role == turns[-1].role and turn.role != "tool":
            before = turns.pop()
            turn = Turn(turn.role, f"{before.text}\n\n{turn.text}", before.said + turn.said)
        turns.append(turn)
    return tuple(turns)


def _role(message: BaseMessage, index: int) -> Role:
    named = message.role if isinstance(message, ChatMessage) else message.type.removesuffix("MessageChunk").lower()
    if named not in ROLES:
        raise RequestError(
            f"a message of role '{named}' has no place in a conversation",
            where=f"messages[{index}]",
            fix="use system, user (human), assistant (ai) or tool messages",
        )
    return ROLES[named]


def _turn(message: BaseMessage, index: int) -> Turn:
    """A message as a turn; what an assistant said is kept apart from what it called."""
    blocks = [message.content] if isinstance(message.content, str) else message.content
    text = "".join(_block(block, f"messages[{index}].content[{i}]") for i, block in enumerate(blocks))
    role, made = _role(message, index), message.tool_calls if isinstance(message, AIMessage) else []
    lines = [*([text] if text else []), *(written(call["name"], call["args"]) for call in made)]
    said = Utterance(text, tuple(Call(call["name"], call["args"]) for call in made))
    return Turn(role, "\n".join(lines), (said,) if role == "assistant" else ())


def words_of(block: Mapping[Any, Any], silent: Container[Any] = CALLS) -> str | None:
    """The words of a content block, "" of thoughts and of the kinds in `silent`; None if it is not text."""
    kind = block.get("type")
    text = block.get("refusal" if kind == "refusal" else "text")
    if kind in ("text", "refusal") and isinstance(text, str):
        return text
    return "" if kind in THOUGHTS or kind in silent else None


def _block(block: str | dict[Any, Any], where: str) -> str:
    if isinstance(block, str):
        return block
    words = "" if _marks_refusal(block) else words_of(block)
    if words is not None:
        return words
    raise RequestError(
        f"there is a content block of type '{block.get('type')}', which is not text",
        where=where,
        why="the model reads text only, and leaving the block out would change what was asked",
        fix="say it in words, in a block {'type': 'text', 'text': ...}",
    )


def _marks_refusal(block: dict[Any, Any]) -> bool:
    """Whether a block only says that the text before it is a refusal (see `events`)."""
    value = block.get("value")
    return block.get("type") == "non_standard" and isinstance(value, dict) and value.get("type") == "refusal"
