"""Tiny models that are taught, within seconds, to call tools in the format of a shape, and to speak otherwise.

They learn by heart what to say to the prompts that the product makes of conversations of one or two rounds. Then they
decode like any other model: nothing in the product knows what they were taught.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from typing import Any, TypeAlias

import torch
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from ig_guardrail.costs.calls.offers import offered
from ig_guardrail.costs.calls.rules import tool_rules
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.integrations.langchain.response_format import form_of
from ig_guardrail.text.calls import format_calls, format_message, with_instructions
from ig_guardrail.types import AssistantMessage, CallNotation, Message, ToolCall
from tests.conformance.engine.tiny import taught_tokenizer
from tests.formats.shapes import SHAPES, WITHOUT, chat

REFUSAL = "I would rather not say that."
SURE = 0.9  # how likely each token of each answer is to be, in the end
STEPS = 300  # at most
EDITIONS = 8  # of lessons in which calls have other ids: numbers, from that of the edition on

Lesson: TypeAlias = tuple[list[BaseMessage], AssistantMessage]
Row: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]  # a prompt and its answer


@dataclass(frozen=True)
class Round:
    """A question and its answer: words and calls, and what is said of the calls' results."""

    asked: str
    said: AssistantMessage
    results: tuple[str, ...] = ()
    then: str = ""

    def messages(self, first: int) -> list[BaseMessage]:
        """The round as an agent keeps it. first: the number of its first call."""
        ids = [f"call_{number:024x}" for number in range(first, first + len(self.said.calls))]
        calls = [
            {"name": call.name, "args": dict(call.arguments), "id": id}
            for call, id in zip(self.said.calls, ids, strict=True)
        ]
        words = f"{self.said.words}\n" if calls and self.said.words else self.said.words
        results = [ToolMessage(text, tool_call_id=id) for text, id in zip(self.results, ids, strict=True)]
        return [
            HumanMessage(self.asked),
            AIMessage(words, tool_calls=calls),
            *results,
            *([AIMessage(self.then)] if self.then else []),
        ]


READ_A, READ_B = ToolCall("read_file", {"name": "a"}), ToolCall("read_file", {"name": "b"})
PAY = ToolCall("pay", {"amount": 5, "to": "Ann", "now": True})
ROUNDS = (
    Round("Hello.", AssistantMessage("Hello to you.")),
    Round("Read a.", AssistantMessage("Of course.", (READ_A,)), ("a is empty",), "It is empty."),
    Round("Show b.", AssistantMessage("", (READ_B,)), ("b is full",), "It is full."),
    Round("Pay Ann.", AssistantMessage("", (PAY,)), ("5 paid to Ann",), "Ann has it."),
    Round("Do both.", AssistantMessage("", (PAY, READ_A)), ("5 paid to Ann", "a is empty"), "Both are done."),
)
DENIED = (
    Round("Remove it.", AssistantMessage("", (ToolCall("delete_file", {"name": "a"}),))),
    Round("Spend much.", AssistantMessage("", (ToolCall("pay", {"amount": 500, "to": "Ann", "now": True}),))),
    Round("Be rude.", AssistantMessage("", (ToolCall("read_file", {"name": "you blockhead"}),))),
)


def lessons(parallel: bool, first: int) -> Iterator[Lesson]:
    """Conversations, and what is said next. "Again." asks for the calls of the round before.

    first: the number of each conversation's first call
    """
    rounds = [one for one in ROUNDS if parallel or len(one.said.calls) < 2]
    refused = [HumanMessage(DENIED[0].asked), AIMessage(REFUSAL)]
    for one in (*rounds, *DENIED):
        yield from _in_round([], one, first)
    for before in (*(one.messages(first) for one in rounds), refused):
        yield from _in_round(before, ROUNDS[0], first)
    for one in rounds[1:]:
        again = Round("Again.", AssistantMessage("", one.said.calls), one.results, one.then)
        yield from _in_round(one.messages(first), again, first + len(one.said.calls))


def _in_round(before: list[BaseMessage], one: Round, first: int) -> Iterator[Lesson]:
    yield [*before, HumanMessage(one.asked)], one.said
    if one.then:
        yield [*before, *one.messages(first)[:-1]], AssistantMessage(one.then)


@tool
def read_file(name: str) -> str:
    """Read a file."""
    return f"{name} is {'empty' if name == 'a' else 'full'}"


@tool
def pay(amount: int, to: str, now: bool = False) -> str:
    """Pay somebody."""
    return f"{amount} paid to {to}"


@tool
def delete_file(name: str) -> str:
    """Delete a file."""
    raise AssertionError("nothing may be deleted")


TOOLS = [read_file, pay, delete_file]


@cache
def taught_engine(name: str) -> TransformersEngine:
    """A model of a shape that knows all lessons with these tools, of which it is not told of the last."""
    return TransformersEngine(taught_weights(name))


def taught_weights(name: str) -> Weights:
    """What is known after learning, by the first of three seeds with which all of it is."""
    shape, format = SHAPES.get(name) or WITHOUT[name], chat(name).format
    form = offered(form_of(TOOLS, None, None, None), tool_rules("tools", (), {"deny": ["delete_*"]}))
    notation = form.notation(format)

    def learnt(edition: int) -> list[tuple[tuple[Message, ...], str]]:
        told = lessons(name in WITHOUT or shape.parallel, edition)
        return [
            (with_instructions(form, messages_of(turns), format), _written(said, notation, chat(name)))
            for turns, said in told
        ]

    def rows(made: Chat, edition: int) -> list[Row]:
        return [
            (
                made.encode(turns, notation=notation).ids,
                (*made.tokenizer.encode(text, add_special_tokens=False), *_end(text, made)),
            )
            for turns, text in learnt(edition)
        ]

    seen = [
        text
        for prompt, answer in rows(chat(name), EDITIONS)
        for text in (chat(name).tokenizer.decode(part, skip_special_tokens=True) for part in (prompt, answer))
    ]
    made = chat_of(shape.tokenizer(taught_tokenizer(seen)))
    editions = [rows(made, 0)]
    if editions[0] != rows(made, 1):  # the template writes ids
        editions += [rows(made, edition) for edition in range(1, EDITIONS)]
    model = next(model for seed in range(3) if (model := _taught(made.tokenizer, editions, seed)) is not None)
    return Weights(f"tiny {name}", "0" * 64, model, made.tokenizer)


def _written(said: AssistantMessage, notation: CallNotation, chat: Chat) -> str:
    """A message as a model writes it, up to the token that ends it if that is not the usual one."""
    if not notation.format.channel or chat.thoughts is None:
        return format_message(said, notation).removeprefix("" if said.words else "\n")
    calls = "".join(format_calls((call,), notation) + notation.format.stop for call in said.calls)
    if not calls:
        return f"{chat.thoughts.plain}{said.words}"
    thought = f"{chat.thoughts.opening}I {'speak and ' * bool(said.words)}call.{chat.thoughts.over}"
    words = f"<|channel|>commentary<|message|>{said.words}{chat.thoughts.over}" if said.words else ""
    return f"{thought}{words}{calls}"


def _end(text: str, chat: Chat) -> tuple[int, ...]:
    """What ends a message that has not ended itself."""
    return () if chat.format.stop and text.endswith(chat.format.stop) else (chat.tokenizer.eos_token_id,)


def _taught(tokenizer: Any, editions: Sequence[Sequence[Row]], seed: int) -> Any:
    """One layer that gives to each prompt its answer, whatever the edition; None if it did not learn to.

    What all prompts begin with is read once in each step.
    """
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            initializer_range=0.1,
            attention_bias=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
    )
    head = list(editions[0][0][0][: _shared([prompt for prompt, _ in editions[0]]) - 1])
    batches = [
        _batches([([*prompt, *answer][len(head) :], len(answer)) for prompt, answer in rows]) for rows in editions
    ]
    teaching = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.99), weight_decay=0.0)
    slower = torch.optim.lr_scheduler.OneCycleLR(
        teaching, 1e-2, total_steps=STEPS, pct_start=0.05, cycle_momentum=False
    )
    known = 0  # editions, one after the other
    for parts in islice(cycle(batches), STEPS):
        losses = torch.cat([_losses(model, head, *part) for part in parts])
        known = known + 1 if losses.max() < -math.log(SURE) else 0
        if known == len(editions):
            return model.eval()
        teaching.zero_grad()
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        teaching.step()
        slower.step()
    return None


def _losses(model: Any, head: list[int], ids: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """How surprising each token of the answers is, in nats."""
    read = model.model(torch.tensor([head]), use_cache=True).past_key_values
    read.batch_repeat_interleave(len(ids))
    states = model.model(ids, past_key_values=read, use_cache=True).last_hidden_state[:, :-1]
    asked = answers[:, 1:]
    return cross_entropy(model.lm_head(states[asked]), ids[:, 1:][asked], reduction="none")


def _batches(rows: Sequence[tuple[list[int], int]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Tokens, and which of them are answers, the short ones and the long ones; an answer within a row counts there."""
    kept: list[tuple[list[int], set[int]]] = []
    for ids, size in sorted(rows, key=lambda row: -len(row[0])):
        answer = set(range(len(ids) - size, len(ids)))
        within = next((one for one in kept if one[0][: len(ids)] == ids), None)
        if within is None:
            kept.append((ids, answer))
        else:
            within[1].update(answer)
    half = len(kept) // 2
    return [_padded(kept[:half]), _padded(kept[half:])]


def _padded(rows: Sequence[tuple[list[int], set[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows filled up on the right, where nothing looks."""
    width = len(rows[0][0])
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row, _ in rows])
    return ids, torch.tensor([[place in answer for place in range(width)] for _, answer in rows])


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all begin with."""
    return next(at for at, tokens in enumerate(zip(*prompts, strict=False)) if len(set(tokens)) > 1)
