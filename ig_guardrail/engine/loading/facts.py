"""What a model's files say of it, read without its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.engine.loading.context_window import window_of
from ig_guardrail.engine.loading.description import config_in, named_ends, tokenizer_in
from ig_guardrail.engine.loading.generation import read_defaults
from ig_guardrail.engine.loading.models import find_description, unreadable
from ig_guardrail.engine.loading.soundness.folder import ModelFolder
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.text.arranging import TemplateMessage
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.text.endings import end_tokens
from ig_guardrail.engine.text.rendering import TemplateRefusal, render, template_of
from ig_guardrail.engine.text.soundness import require_sound
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.errors import GuardrailError
from ig_guardrail.types import GenerationDefaults, Role, ToolFormat

_CONVERSATIONS: Mapping[str, tuple[Role, ...]] = {
    "system": ("system", "user"),
    "assistant": ("user", "assistant", "user"),
    "tool": ("user", "assistant", "tool", "assistant", "user"),
}
_SWITCHES = re.compile(r"\b(?:tools|documents|enable_thinking|thinking|reasoning_effort)\b")


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """A chat template, as it answers when it is tried.

    size      its characters
    roles     those that it has a place for; what others say is said by the user
    switches  words of it by which a caller can ask for more, such as "tools" and "enable_thinking"
    thoughts  how it writes thoughts; None if it knows none
    tools     how it writes calls of tools; ours if it knows none
    """

    size: int
    roles: tuple[str, ...]
    switches: tuple[str, ...]
    thoughts: ThoughtFormat | None
    tools: ToolFormat


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model, by its files.

    folder    where they lie
    revision  their commit on the hub; None for a model that is not from there
    context   the tokens that it reads at once; None where its files do not say
    defaults  how its makers would sample it
    ends      what the tokens that end an answer are called
    template  what its chat template has a place for
    """

    folder: Path
    revision: str | None
    context: int | None
    defaults: GenerationDefaults
    ends: tuple[str, ...]
    template: TemplateFacts


def facts_of(model: str, revision: str | None = None) -> ModelFacts:
    """The facts of a model, named as `load_engine` takes it.

    A packed file is unpacked for it, and what is missing of a hub model is fetched, but for its weights.
    Raises ModelError for what could not be loaded, as far as files tell; RequestError for a bad revision.
    """
    from ig_guardrail.engine.loading.soundness.fitness import shape_of

    folder, commit = find_description(model, revision)
    where = f"model '{model}'"
    ModelFolder(folder, where).require_model()
    try:
        with quiet():
            config = config_in(folder)
            shape_of(config, where)
            tokenizer, named = tokenizer_in(folder), named_ends(folder)
            size = config.get_text_config().vocab_size
            require_sound(tokenizer, where, size)
    except GuardrailError:
        raise
    except Exception as error:  # readers of odd files raise what they like
        raise unreadable(model, folder, error) from error
    template = template_facts(tokenizer)
    ends = [end for end in end_tokens(tokenizer, named, template.tools) if end < size]
    return ModelFacts(
        folder=folder,
        revision=commit,
        context=window_of(model, revision),
        defaults=read_defaults(str(folder)),
        ends=tuple(str(tokenizer.convert_ids_to_tokens(end)) for end in sorted(ends)),
        template=template,
    )


def template_facts(tokenizer: Any) -> TemplateFacts:
    """The facts of a tokenizer's chat template. Raises ModelError if it has no sound one."""
    chat, template = chat_of(tokenizer), template_of(tokenizer)
    return TemplateFacts(
        size=len(template),
        roles=("user", *(role for role, turns in _CONVERSATIONS.items() if _takes(tokenizer, turns))),
        switches=tuple(dict.fromkeys(_SWITCHES.findall(template))),
        thoughts=chat.thoughts,
        tools=chat.format,
    )


def _takes(tokenizer: Any, roles: tuple[Role, ...]) -> bool:
    try:
        render(tokenizer, [TemplateMessage(role, f"x{number}x") for number, role in enumerate(roles)])
    except TemplateRefusal:
        return False
    return True
