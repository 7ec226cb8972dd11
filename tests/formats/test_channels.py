"""Messages with headers, as gpt-oss writes them: thoughts, words and calls told apart, whatever a model would say."""

from __future__ import annotations

import json
import re
from collections import deque
from functools import cache

import numpy as np
import pytest

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.answer import AnswerDraft, AnswerRules
from ig_guardrail.engine.decoding.contexts import ContextRequest, begin
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.loading.weights import Weights, token_vocabulary
from ig_guardrail.engine.openai_compatible.opening import tokens_of
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.engine.tree import NodeTree
from ig_guardrail.errors import RequestError
from ig_guardrail.text.calls import ResponseFormat, parse_calls
from ig_guardrail.types import AssistantMessage, CallNotation, Draw, Message, Node, Prompt, Sampling, ToolCall
from tests.conformance.engine.tiny import tiny_weights
from tests.conformance.engine.tiny_server import TinyServer, tiny_engine
from tests.formats.shapes import SHAPES, chat
from tests.formats.test_reading import STOP, TOOLS
from tests.unit.engine.test_thoughts import recited_by

THINK, SAY, PREFACE = (f"<|channel|>{name}<|message|>" for name in ("analysis", "final", "commentary"))
OVER = "<|over|><|open|>assistant"
CALL = '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Bonn"}<|call|>'
MADE = ToolCall("get_weather", {"city": "Bonn"})
SCHEMA = {"type": "object", "properties": {"n": {"enum": [17]}}, "required": ["n"], "additionalProperties": False}
blocks = pytest.mark.parametrize("block", [1, 5, 64])


@cache
def weights() -> Weights:
    tokenizer = SHAPES["harmony"].tokenizer()
    made = tiny_weights(context=600, vocab_size=len(tokenizer))
    return Weights(made.name, made.sha256, made.model, tokenizer)


def recited(
    text: str, form: ResponseFormat | None = None, block: int = 5, thinks: int | None = None, most: int = 300
) -> Node:
    """What comes of a text that a model writes, whatever is asked of it, decoded in blocks."""
    grammar = None if form is None else form.grammar(most, chat("harmony").format)
    sampling = Sampling(temperature=0, max_tokens=most, grammar=grammar, max_reasoning_tokens=thinks)
    return recited_by(weights(), text, sampling, block)


def parts(node: Node, form: ResponseFormat) -> tuple[str, str, tuple[ToolCall, ...]]:
    """Thought, words and calls."""
    border = node.thought.characters
    words, calls = parse_calls(node.text[border:], notation=form.notation(chat("harmony").format))
    return node.text[:border], words, calls


@blocks
def test_messages_are_told_apart_by_their_headers(block: int) -> None:
    node = recited(f"{THINK}Let me see.{OVER}{THINK}And again.{OVER}{SAY}So it is.", block=block)
    assert (node.text, node.finish) == ("Let me see.\n\nAnd again.So it is.", "stop")
    assert node.text[node.thought.characters :] == "So it is."
    assert node.characters_at(node.thought.tokens) == node.thought.characters
    node = recited(f"{SAY}So it is.", block=block)
    assert (node.text, node.thought.taken) == ("So it is.", 0)


@blocks
@pytest.mark.parametrize("form", [None, ResponseFormat(TOOLS)])
def test_what_headers_are_made_of_is_no_text_of_a_thought(block: int, form: ResponseFormat | None) -> None:
    said = f"{THINK}I <|channel|>see<|constrain|>.<|message|>{OVER}{SAY}So it is."
    node = recited(said, form, block)
    assert (node.text, node.text[node.thought.characters :]) == ("I see.So it is.", "So it is.")
    node = recited(f"{THINK}I see.{CALL}", form, block)
    assert "<|" not in node.text[: node.thought.characters]


@blocks
def test_an_answer_ends_with_its_message(block: int) -> None:
    for header in (SAY, PREFACE):
        node = recited(f"{header}So it is.{OVER}{THINK}More?", block=block)
        assert (node.text, node.finish) == ("So it is.", "stop")
    node = recited(f"{SAY}So it is.{OVER}{CALL}", ResponseFormat(TOOLS), block)
    assert (node.text, node.finish) == ("So it is.", "stop")


@blocks
def test_a_call_is_a_message_of_its_own(block: int) -> None:
    form = ResponseFormat(TOOLS)
    assert parts(recited(CALL, form, block), form) == ("", "", (MADE,))
    assert parts(recited(f"{THINK}I see.{OVER}{CALL}", form, block), form) == ("I see.", "", (MADE,))
    said = f"{THINK}I see.{OVER}{PREFACE}I look{OVER}{CALL}"
    node = recited(said, form, block)
    assert (parts(node, form), node.finish) == (("I see.", "I look\n", (MADE,)), "stop")
    assert node.characters_at(node.thought.tokens) == len("I see.")


@blocks
def test_words_before_a_call_are_followed_by_one(block: int) -> None:
    form = ResponseFormat((STOP,))
    node = recited(f"{PREFACE}I look.{OVER}{SAY}No, I do not.", form, block)
    assert parts(node, form) == ("", "I look.\n", (ToolCall("stop", {}),))


def test_a_form_decides_which_headers_there_are() -> None:
    must, never = ResponseFormat(TOOLS, "any"), ResponseFormat(TOOLS, "none")
    for said in (f"{SAY}Well.", f"{PREFACE}Well.{OVER}", " to=functions.get_weather", "Well."):
        thought, words, calls = parts(recited(said, must), must)
        assert (thought, words, len(calls)) == ("", "", 1)
    assert parts(recited(f"{THINK}I see.{OVER}{SAY}Well.", must), must)[:2] == ("I see.", "")
    assert parts(recited(f"{THINK}I see.{OVER}{CALL}", must), must) == ("I see.", "", (MADE,))
    thought, words, calls = parts(recited(f"{THINK}I see.{OVER}{CALL}", never), never)
    assert (thought, calls, "commentary" in words) == ("I see.", (), False)


@blocks
def test_json_follows_the_header_of_words(block: int) -> None:
    form = ResponseFormat(schema=SCHEMA)
    for said in (f'{SAY}{{"n": 17}}', f'{THINK}I see.{OVER}{SAY}{{"n": 17}}', f"{THINK}I see.{OVER}{CALL}"):
        node = recited(said, form, block)
        assert json.loads(node.text[node.thought.characters :]) == {"n": 17}
        assert node.text[: node.thought.characters] == ("I see." if THINK in said else "")


@blocks
@pytest.mark.parametrize("limit", [0, 1, 7])
def test_thoughts_have_one_limit_together(block: int, limit: int) -> None:
    form = ResponseFormat(TOOLS, "any")
    said = f"{THINK}xxxx{OVER}" * 40
    thought, words, calls = parts(recited(said, form, block, limit), form)
    assert (thought.replace("\n", "")[:limit].strip("x"), words, len(calls)) == ("", "", 1)
    node = recited(THINK + "x" * 60, None, block, limit)
    assert node.text[: node.thought.characters] == "x" * limit
    assert "final" not in node.text


def test_of_a_header_that_is_cut_nothing_is_shown() -> None:
    said = f"{THINK}I see.{OVER}{SAY}So it is."
    for most in range(1, len(weights().tokenizer.encode(said, add_special_tokens=False))):
        node = recited(said, most=most)
        assert "I see.So it is.".startswith(node.text), node.text


def test_what_ends_a_call_ends_the_answer() -> None:
    tokenizer = SHAPES["harmony"].tokenizer()
    ends = token_vocabulary(tokenizer, tokenizer.eos_token_id, len(tokenizer), chat("harmony").thoughts).end
    assert {tokenizer.convert_ids_to_tokens(end) for end in ends} == {"<|shut|>", "<|call|>"}


def test_a_history_keeps_words_thoughts_and_calls() -> None:
    said = AssistantMessage("I look.", (ToolCall("get_weather", {"city": "Bonn"}, "call_1"),), thought="I see.")
    turns = (
        Message("user", "How is the weather?"),
        Message("assistant", "I look.", (said,)),
        Message("tool", "sunny", call_id="call_1"),
    )
    form = CallNotation(chat("harmony").format, TOOLS)
    text = chat("harmony").tokenizer.decode(chat("harmony").encode(turns, notation=form).ids)
    assert text.endswith(
        f"<|open|>assistant{SAY}I look.<|over|><|open|>assistant{THINK}I see.<|over|>"
        '<|open|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Bonn"}<|call|>'
        '<|open|>functions.get_weather to=assistant<|channel|>commentary<|message|>"sunny"<|over|><|open|>assistant'
    )


def test_words_that_are_given_have_their_header() -> None:
    engine = TransformersEngine(weights())
    root = engine.open(engine.encode((Message("user", "How is the weather?"),)), Sampling(max_tokens=90)).result()
    for given in ("Well, ", THINK + "I see."):
        (node,) = engine.append([(root, given)]).result()
        assert (node.text, node.thought.characters) == (given, 0)
        assert weights().tokenizer.decode(node.ids).startswith(SAY)
    engine.close(root)
    engine.shutdown()


@cache
def world() -> tuple[TokenVocabulary, Grammars]:
    """The tokens of the shape, and the grammars for them."""
    tokenizer = weights().tokenizer
    language = token_vocabulary(tokenizer, tokenizer.eos_token_id, len(tokenizer), chat("harmony").thoughts)
    return language, Grammars(language, lambda text: tokenizer.encode(text, add_special_tokens=False))


def rules_of(form: ResponseFormat | None, limit: int, thinks: int | None = None) -> AnswerRules:
    """The rules of an answer of a form."""
    language, grammars = world()
    text = None if form is None else form.grammar(300, chat("harmony").format)
    sampling = Sampling(max_tokens=limit, grammar=text, max_reasoning_tokens=thinks)
    info = EngineInfo("tiny", "0" * 64, "tiny", "float32", "cpu", 0, 1000, frozenset())
    return begin(NodeTree[None](), ContextRequest(Prompt((), (1,)), sampling, (), None), language, grammars, info)[
        1
    ].rules


def begun(rules: AnswerRules) -> AnswerDraft:
    """An answer before its first token."""
    root = Node(id=0, root=0, parent=None, ids=(), position=0, text="", offsets=(), visible=0)
    return AnswerDraft(rules, root, rules.replay(()))


def recite(rules: AnswerRules, said: str) -> Node:
    """What comes of a text that a model would write, where it must write something else: the first that may be."""
    draft, wanted = begun(rules), deque(weights().tokenizer.encode(said, add_special_tokens=False))
    while draft.finish is None:
        allowed = draft.allowed()
        token = wanted.popleft() if wanted else min(world()[0].end)
        if allowed is not None and not (allowed[token] and draft.may_read(token)):
            token = draft.fitting(np.flatnonzero(allowed).tolist(), 1)[0]
        draft.read(draft.due(token))
    return draft.node(1, {})


def drafted(said: str, form: ResponseFormat | None, limit: int, thinks: int | None = None) -> Node:
    """The same under the rules of a form."""
    return recite(rules_of(form, limit, thinks), said)


def test_no_half_of_a_header_is_shown_where_an_answer_is_cut() -> None:
    for form, said in (
        (None, f"{THINK}I see.{OVER}{SAY}"),
        (ResponseFormat(schema=SCHEMA), f"{THINK}I see.{OVER}{SAY}"),
        (ResponseFormat(TOOLS), f"{THINK}I see.{OVER}{PREFACE}Well.{OVER}<|channel|>comment"),
    ):
        rules = rules_of(form, 300)
        draft = begun(rules)
        for token in weights().tokenizer.encode(said):
            assert draft.read(token)
            cut = AnswerDraft(rules, draft.node(1, {}), draft.held)
            cut.end("length")
            assert "I see.Well.\n".startswith(cut.node(2, {}).text)


def test_an_answer_is_read_again_as_it_was_read() -> None:
    said = f"{THINK}\u00e9{OVER}{THINK}x{OVER}{PREFACE}Well.{OVER}{CALL}"
    for form, thinks in ((None, None), (ResponseFormat(TOOLS), None), (ResponseFormat(TOOLS), 1)):
        rules = rules_of(form, 300, thinks)
        draft = begun(rules)
        for token in weights().tokenizer.encode(said):
            token = draft.due(token)
            if not draft.read(token):
                break
            assert rules.replay(draft.answer_ids()) == draft.held


def test_a_header_that_was_begun_goes_on_at_the_limit_of_thoughts() -> None:
    for limit in range(1, 40):
        node = drafted(f"{THINK}xx{OVER}" * 9, ResponseFormat(schema=SCHEMA), 120, thinks=limit)
        assert json.loads(node.text[node.thought.characters :]) == {"n": 17}


def test_a_thought_ends_in_the_middle_of_a_character() -> None:
    node = drafted(THINK + "\U0001f642" * 9, ResponseFormat(schema=SCHEMA), 120, thinks=6)
    assert node.text == "\U0001f642" + '{"n": 17}'


@pytest.mark.parametrize("form", [ResponseFormat(schema=SCHEMA), ResponseFormat(TOOLS, "any")])
def test_headers_leave_room_for_the_form(form: ResponseFormat) -> None:
    with pytest.raises(RequestError, match="it takes") as told:
        rules_of(form, 1)
    least = int(re.findall(r"it takes (\d+)", told.value.what)[0])
    with pytest.raises(RequestError, match="it takes"):
        rules_of(form, least - 1)
    for room in range(least, least + 50):
        for said in (f"{THINK}xx{OVER}" * 9, f"{SAY}" + "x" * 90, CALL, f"{THINK}" + "x" * 90):
            assert recite(rules_of(form, room), said).finish == "stop", (room, said)


def test_json_beside_tools_has_no_words_before_a_call() -> None:
    form = ResponseFormat(TOOLS, schema=SCHEMA)
    for said in (f'{PREFACE}{{"n": 17}}{OVER}{CALL}', f'{SAY}{{"n": 17}}{OVER}{CALL}', CALL):
        text = drafted(said, form, 200).text
        assert text == '{"n": 17}' or "{" not in parse_calls(text, notation=form.notation(chat("harmony").format))[0]


def test_what_ends_a_call_that_nobody_asked_for_ends_the_answer() -> None:
    node = drafted(CALL.replace("<|call|>", "") + f"{OVER}{SAY}Well.", None, 200)
    assert (node.finish, "final" in node.text) == ("stop", False)


class Headed(TinyServer):
    """A server of a model whose messages have headers; it draws what it likes."""

    def __post_init__(self) -> None:
        self.weights, self.end = weights(), weights().tokenizer.eos_token_id
        self.tokens = tokens_of(self.weights.tokenizer)


@pytest.mark.parametrize("wire", ["tokens", "completions", "llama.cpp"])
def test_a_server_that_draws_no_header_is_led_into_one(wire: str) -> None:
    engine = tiny_engine(Headed((wire,)), segment=4)
    grammar = ResponseFormat(TOOLS).grammar(300, chat("harmony").format)
    root = engine.open(Prompt((), (1,)), Sampling(temperature=1.0, seed=5, max_tokens=14, grammar=grammar)).result()
    (node,) = engine.extend([Draw(root)], 14).result()
    assert "<|channel|>" in weights().tokenizer.decode(node.ids)
    assert engine.expand(root, 2).result()
    engine.close(root)
    engine.shutdown()
