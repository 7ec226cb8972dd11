"""How a model's chat template writes thoughts: what stands around one, what turns thinking off, and what shortens it.

Nothing rests on a model's name. The template renders small conversations with a thought in them, under the names that
templates have for it, and in the content of a message between the tags that its source speaks of. Where the thought
then stands, stands apart or is left out, it is one to the template, and what is around it are its markers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ig_guardrail.engine.text.rendering import apply_template, template_of
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.types import EFFORTS, Thinking

KEYS = ("reasoning_content", "reasoning", "thinking", "thought")  # of a message, beside its content
QUESTION, THOUGHT, ANSWER, NO_WORD = "qquestionq", "tthoughtt", "aanswera", "nno-wordn"
USUAL_EFFORTS = ("low", "medium", "high")  # where a template passes on any word

_ENDS = re.compile(r"</([\w:]+)>|\[/([A-Z_]+)\]|<\|END_(\w+)\|>|<\|end_of_(\w+)\|>")
_STARTS = ("<{}>", "[{}]", "<|START_{}|>", "<|begin_of_{}|>")
_NAMED = re.compile("think|thought|reason", re.IGNORECASE)
_SWITCH = re.compile(r"\b\w*(?:think|reason)\w*\b")

TemplateVariables: TypeAlias = Mapping[str, bool | str]  # variables of a template

ThoughtEnding: TypeAlias = Literal[
    "opened", "skipped", "free"
]  # how a prompt ends: in a thought, behind one, or before one


@dataclass(frozen=True, slots=True)
class ThoughtFormat:
    """What a template writes around thoughts. White space beside a marker belongs to it.

    opening, closing  the markers; an answer follows the second
    plain             what stands before an answer without a thought; "" for nothing
    key               by which name a message gives its thought to the template; None: the template takes none
    ends              how a prompt ends by default
    off, on           what the template must be told so that the model does not think, or does; None: it has no switch
    efforts           the same by each word for how much the model is to think, the least first
    """

    opening: str
    closing: str
    plain: str = ""
    key: str | None = None
    ends: ThoughtEnding = "free"
    off: TemplateVariables | None = None
    on: TemplateVariables | None = None
    efforts: Mapping[str, TemplateVariables] = field(default_factory=dict)

    @property
    def over(self) -> str:
        """What ends a thought alone: where words have a header of their own (channels), another may follow instead."""
        return self.closing.removesuffix(self.plain) or self.closing

    def switches(self, thinking: bool | None) -> TemplateVariables:
        """What the template is told. Raises RequestError where it cannot be told to have the model not think."""
        if thinking is None:
            return {}
        if thinking:
            return self.on or {}
        if self.off is None:
            raise RequestError(
                "the model's chat template has no switch that turns thinking off",
                where="reasoning",
                why=f"its answers begin with a thought, between {self.opening!r} and {self.closing!r}, whoever asks",
                fix="use reasoning='hide', or max_reasoning_tokens to end thoughts early",
            )
        return self.off

    def __str__(self) -> str:
        """What is to be known of it."""
        ways = {"opened": "begun by the prompt", "skipped": "only when asked for", "free": "begun by the model"}
        off = ", ".join(f"{name}={value}" for name, value in (self.off or {}).items())
        usual = "no need to turn them off" if self.off == {} else "no switch turns them off"
        said = f"{self.opening} to {self.closing}, {ways[self.ends]}, {f'turned off by {off}' if off else usual}"
        return f"{said}, efforts {', '.join(self.efforts)}" if self.efforts else said

    def ends_in(self, prompt: str) -> ThoughtEnding:
        """How a rendered prompt ends."""
        said = prompt.rstrip()
        return "opened" if said.endswith(self.opening) else "skipped" if said.endswith(self.closing) else "free"


def told_for(thinking: Thinking, thoughts: ThoughtFormat | None) -> TemplateVariables:
    """What a template is told for a model to think, not to think, or to think so much. thoughts: of the template

    Raises RequestError where it cannot be told.
    """
    if not isinstance(thinking, str):
        return {} if thoughts is None else thoughts.switches(thinking)
    if thoughts is None or thinking not in thoughts.efforts:
        efforts = efforts_of(thoughts)
        raise RequestError(
            f"the model's chat template takes no effort '{thinking:.40}'",
            where="reasoning_effort",
            why="it would write the prompt that it writes without one, and the model would think as it always does",
            fix=f"use one of {', '.join(efforts)}" if efforts else "leave it out; max_reasoning_tokens ends thoughts",
        )
    return thoughts.efforts[thinking]


def efforts_of(thoughts: ThoughtFormat | None) -> tuple[str, ...]:
    """The words by which a template can be told how much to think. thoughts: of the template"""
    return () if thoughts is None else tuple(thoughts.efforts)


def thought_format_of(tokenizer: Any) -> ThoughtFormat | None:
    """What the chat template of a `transformers` tokenizer does with thoughts; None if it knows none."""
    found = _by_key(tokenizer) or _by_tags(tokenizer)
    return None if found is None else _with_switches(tokenizer, found)


def _by_key(tokenizer: Any) -> ThoughtFormat | None:
    """The format of a template that takes thoughts beside the content."""
    prompt = _rendered(tokenizer, _turns(), True)
    plain = _rendered(tokenizer, [*_turns(), _said(), *_turns()])
    if prompt is None or plain is None or ANSWER not in plain:
        return None
    for key in KEYS:
        whole = _rendered(tokenizer, [*_turns(), _said(**{key: THOUGHT})])
        if whole is None or not re.search(f"(?s){THOUGHT}.*{ANSWER}", whole):
            continue
        before, _, behind = whole.partition(THOUGHT)
        header = _shared(before, prompt, plain)
        opening, closing = before[len(header) :].strip(), behind.partition(ANSWER)[0].strip()
        if opening and closing:
            direct = plain[len(header) :].partition(ANSWER)[0].strip() if prompt == header else ""
            return ThoughtFormat(opening, closing, "" if direct.startswith(opening) else direct, key)
    return None


def _by_tags(tokenizer: Any) -> ThoughtFormat | None:
    """The format of a template that treats what stands between two tags of its own in an answer as no part of it.

    So it does if it sets that apart, or begins or ends it itself, or calls its tags by such a name.
    """
    for opening, closing in _tags(tokenizer):
        found = ThoughtFormat(opening, closing)
        told = [{}, *({name: value} for name in _switch_names(tokenizer) for value in (True, False))]
        ends = [found.ends_in(_invitation(tokenizer, switches)) for switches in told]
        text = f"{opening}\n{THOUGHT}\n{closing}\n\n{ANSWER}"
        history = _rendered(tokenizer, [*_turns(), _said(text), *_turns()]) or ""
        apart = ANSWER in history and f"{opening}\n{THOUGHT}\n{closing}" not in history
        if apart or _NAMED.search(closing) or any(end != "free" for end in ends):
            return found
    return None


def _with_switches(tokenizer: Any, found: ThoughtFormat) -> ThoughtFormat:
    """The same with how prompts end, and the names that change it."""
    ends = found.ends_in(_invitation(tokenizer))
    off: TemplateVariables | None = {} if ends == "skipped" else None
    on: TemplateVariables | None = None if ends == "skipped" else {}
    for name in _switch_names(tokenizer):
        for value in (False, True):
            told = found.ends_in(_invitation(tokenizer, {name: value}))
            if off is None and (told == "skipped" or (told == "free" and ends == "opened")):
                off = {name: value}
            if on is None and told != "skipped":
                on = {name: value}
    efforts = _efforts(tokenizer, on or {})
    silent = efforts.pop("none", None)
    plainly = _rendered(tokenizer, _turns(), True)
    if on is None or (silent is not None and _rendered(tokenizer, _turns(), True, silent) == plainly):
        on = next(reversed(efforts.values()), on)
    off = silent if off is None else off
    return ThoughtFormat(found.opening, found.closing, found.plain, found.key, ends, off, on, efforts)


def _efforts(tokenizer: Any, on: TemplateVariables) -> dict[str, TemplateVariables]:
    """What the template must be told so that the model thinks so much, by the words that it knows, "none" among them.

    It knows a word if it writes another prompt for it than for what is no word, or refuses that. Where it knows one, it
    also knows those that it names, of which one is the usual effort. on: told beside
    """
    named = {word for word in EFFORTS if re.search(rf"""(['"]){word}\1""", template_of(tokenizer))}
    for name in (name for name in _switch_names(tokenizer) if "effort" in name):
        told: dict[str, TemplateVariables] = {word: {**on, name: word} for word in ("none", *EFFORTS, NO_WORD)}
        prompts = {word: _rendered(tokenizer, _turns(), True, switches) for word, switches in told.items()}
        unknown = prompts.pop(NO_WORD)
        if unknown is not None and NO_WORD in unknown:
            return {word: told[word] for word in USUAL_EFFORTS}
        known = [word for word, made in prompts.items() if made is not None and (made != unknown or word in named)]
        if len({prompts[word] for word in known} | {unknown}) > 1:
            return {word: told[word] for word in known}
    return {}


def _tags(tokenizer: Any) -> Iterator[tuple[str, str]]:
    """The pairs of tags whose end the template's source names."""
    for found in dict.fromkeys(match[0] for match in _ENDS.finditer(template_of(tokenizer))):
        parts = _ENDS.fullmatch(found)
        assert parts is not None, "it was found by this very pattern"
        number = parts.lastindex or 1
        yield _STARTS[number - 1].format(parts[number]), found


def _switch_names(tokenizer: Any) -> list[str]:
    return list(dict.fromkeys(_SWITCH.findall(template_of(tokenizer))))


def _invitation(tokenizer: Any, switches: TemplateVariables | None = None) -> str:
    """What the template writes behind the last turn, for the model to go on from."""
    bare, prompt = (_rendered(tokenizer, _turns(), asked, switches) or "" for asked in (False, True))
    return prompt[len(_shared(bare, prompt)) :]


def _shared(*texts: str) -> str:
    """What texts have in common at their beginning."""
    first = min(texts, key=len)
    return next((first[:i] for i, mark in enumerate(first) if any(text[i] != mark for text in texts)), first)


def _turns() -> list[dict[str, str]]:
    return [{"role": "user", "content": QUESTION}]


def _said(text: str = ANSWER, **beside: str) -> dict[str, str]:
    return {"role": "assistant", "content": text, **beside}


def _rendered(
    tokenizer: Any, turns: list[dict[str, str]], prompt: bool = False, switches: TemplateVariables | None = None
) -> str | None:
    """The text of a conversation; None if the template refuses it."""
    try:
        return apply_template(tokenizer, turns, prompt, switches)
    except ModelError:
        raise
    except Exception:  # templates are programs of their own and raise what they like
        return None
