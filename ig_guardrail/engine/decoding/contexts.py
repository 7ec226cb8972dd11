"""How a context begins: its root node, and the rules its answers keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.answer import AnswerRules
from ig_guardrail.engine.decoding.messages import messages_of
from ig_guardrail.engine.grammar.grammar import Grammar, Grammars
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.tree import Context, NodeTree, RequestUsage, TreeEntry
from ig_guardrail.errors import PromptTooLong, RequestError
from ig_guardrail.types import Node, Prompt, Sampling, StateEdit

S = TypeVar("S")

NEVER = -1e30  # is added to the logit of a token that is not to be drawn; finite, since a form may leave nothing else


@dataclass(frozen=True, slots=True)
class ContextRequest:
    """What was asked of `Engine.open`."""

    prompt: Prompt
    sampling: Sampling
    layers: tuple[int, ...]
    twin_of: Node | None
    edit: StateEdit | None = None


def begin(
    tree: NodeTree[S], asked: ContextRequest, language: TokenVocabulary, grammars: Grammars, info: EngineInfo
) -> tuple[Node, Context]:
    """The root of a new context, its prompt not yet read, and the context.

    Raises RequestError for what cannot be served, EngineClosed for a twin of a closed request.
    """
    number = tree.number()
    if asked.twin_of is None:
        account, root = RequestUsage(number), _empty_root(number)
    else:
        account, root = tree.context_of(asked.twin_of).account, _twin_root(number, asked.twin_of)
    if not asked.prompt.ids:
        raise RequestError("the prompt has no tokens", where="prompt", fix="make it with the engine's `encode`")
    language.check(asked.prompt.ids, where="prompt")
    language.check((token for token, _ in asked.sampling.logit_bias), where="logit_bias")
    _check_layers((*asked.layers, *((asked.edit.layer,) if asked.edit else ())), info.layers)
    limit = _answer_limit(asked.sampling, len(asked.prompt.ids), root.position, info.context)
    grammar = grammars.compiled(asked.sampling.grammar) if asked.sampling.grammar is not None else None
    messages = messages_of(language, grammar)
    if grammar is not None and asked.twin_of is None:
        (messages or grammar).demand(limit)
    thinking = _most_thinking(asked.sampling.max_reasoning_tokens, limit, language, grammar)
    rules = AnswerRules(language, asked.sampling.stop, limit, grammar, asked.prompt.opened, thinking, messages)
    never = tuple((token, NEVER) for token in info.defaults.banned if token < language.size)
    sampling = replace(asked.sampling, logit_bias=(*asked.sampling.logit_bias, *never)) if never else asked.sampling
    return root, Context(account, asked.prompt, sampling, asked.layers, rules, asked.edit)


def spell(
    tree: NodeTree[S],
    asked: ContextRequest,
    text: str,
    text_ids: Callable[[str], tuple[int, ...]],
    language: TokenVocabulary,
    grammars: Grammars,
    info: EngineInfo,
) -> Node:
    """A text behind a fresh root, in the tokens that `append` forces there, and not read; see `TextSpeller.spelled`."""
    root, context = begin(tree, asked, language, grammars, info)
    unread: TreeEntry[S] = TreeEntry(root, context, context.rules.replay(()), None)
    return unread.forced(text, text_ids).node(tree.number(), {})


def _empty_root(number: int) -> Node:
    return Node(id=number, root=number, parent=None, ids=(), position=0, text="", offsets=(), visible=0)


def _twin_root(number: int, node: Node) -> Node:
    """A root that says of the answer all that `node` and its ancestors say."""
    return Node(
        id=number,
        root=number,
        parent=None,
        ids=node.answer_ids(),
        position=node.position,
        text=node.text,
        offsets=tuple(offset for step in node.path() for offset in step.offsets),
        visible=node.visible,
        finish=node.finish,
        thought=node.thought,
    )


def _check_layers(layers: tuple[int, ...], count: int) -> None:
    strange = [layer for layer in layers if not 1 <= layer <= count]
    if strange:
        raise RequestError(
            f"hidden states of layer {strange[0]} were asked for, and the model has {count} layers",
            where="layers",
            why="a cost model that reads them was made for another model",
            fix=f"ask for layers from 1 to {count}" if count else "use an engine with hidden states",
        )


def _most_thinking(asked: int | None, limit: int, language: TokenVocabulary, grammar: Grammar | None) -> int | None:
    """Tokens after which a thought is ended: as asked, and so that a form can be closed behind it."""
    if language.thoughts is None or grammar is None or not grammar.shortest:
        return asked
    left = max(0, limit - grammar.shortest - len(language.thoughts.begins) - len(language.thoughts.ends))
    return left if asked is None else min(asked, left)


def _answer_limit(sampling: Sampling, prompt: int, answered: int, context: int) -> int:
    """The most answer tokens after `prompt` tokens, of which `answered` are there already."""
    if sampling.max_tokens < 1:
        raise RequestError(
            f"max_tokens is {sampling.max_tokens}",
            where="max_tokens",
            why="an answer needs room for one token",
            fix="give at least 1",
        )
    needed = prompt + answered + 1
    if needed > context:
        raise PromptTooLong(
            f"the prompt has {prompt + answered} tokens, and the model reads {context}",
            where="messages",
            why="the prompt and one token of the answer must fit the context together",
            fix=f"shorten the conversation by at least {needed - context} tokens",
        )
    return min(sampling.max_tokens, context - prompt)
