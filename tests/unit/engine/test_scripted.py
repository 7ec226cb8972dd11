"""The scripted engine's own powers: scripts by lane, trees to enumerate, faults and gates on call."""

from __future__ import annotations

import math
import threading

import pytest

from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations, TokenTree, Vocabulary, pick, shaped, words
from ig_guardrail.errors import EngineClosed, EngineError, ModelError
from ig_guardrail.types import Draw, Message, Node, Sampling

PLAIN = Sampling(temperature=1.0, top_p=1.0)
TURNS = (Message("user", "hi"),)
VOCABULARY = Vocabulary(["a", "b"])
A, B, END = 0, 1, VOCABULARY.end
TREE = TokenTree({(): [(A, 0.5), (B, 0.25), (END, 0.25)], (A,): [(A, 0.1), (B, 0.9)]}, VOCABULARY)


def root_of(engine: ScriptedEngine, sampling: Sampling = PLAIN) -> Node:
    return engine.open(engine.encode(TURNS), sampling).result()


def test_each_lane_and_attempt_says_its_own_text() -> None:
    engine = ScriptedEngine(Continuations({(0, 0): "I hate you.", (1, 0): "I like you.", (1, 1): ["No", "pe"]}))
    root = root_of(engine)
    first = engine.extend([Draw(root, 3)], 8).result()
    again = engine.extend([Draw(root, 1, lane=1)], 8, attempt=1).result()
    assert [node.text for node in (*first, *again)] == ["I hate you.", "I like you.", "I hate you.", "Nope"]
    assert {node.finish for node in first} == {"stop"}


def test_a_continuation_is_taken_up_at_the_position_of_the_node() -> None:
    engine = ScriptedEngine(Continuations({(0, 0): "I hate all of it.", (1, 0): "You like some of it."}))
    (draft,) = engine.extend([Draw(root_of(engine))], 2).result()
    (other,) = engine.extend([Draw(draft, 1, lane=1)], 8).result()
    assert other.text == "I hate some of it."


def test_twins_may_say_something_else() -> None:
    engine = ScriptedEngine(Continuations({(0, 0): "Go away."}, steered={(0, 0): "Please stay."}))
    root = root_of(engine)
    twin = engine.open(engine.encode(TURNS), PLAIN, (), twin_of=root).result()
    assert [node.text for node in engine.extend([Draw(root), Draw(twin)], 8).result()] == ["Go away.", "Please stay."]


def test_lanes_can_enumerate_a_whole_tree() -> None:
    engine = ScriptedEngine(TREE, enumerate_lanes=True)
    children = engine.extend([Draw(root_of(engine), 5)], 3).result()
    assert [(child.text, child.finish) for child in children] == [
        ("ab", "stop"),
        ("aa", "stop"),
        ("b", "stop"),
        ("", "stop"),
        ("ab", "stop"),
    ]
    assert dict(TREE.answers()) == {(A, A): 0.05, (A, B): 0.45, (B,): 0.25, (): 0.25}


def test_random_lanes_follow_the_probabilities() -> None:
    engine = ScriptedEngine(TREE)
    children = engine.extend([Draw(root_of(engine), 4000)], 3).result()
    for answer, chance in TREE.answers():
        share = sum(child.ids == answer for child in children) / len(children)
        assert share == pytest.approx(chance, abs=0.03)


def test_bias_and_filters_shape_what_a_script_says() -> None:
    options = [(A, 0.5), (B, 0.3), (END, 0.2)]
    assert dict(shaped(options, PLAIN, [(A, -math.inf)])) == pytest.approx({B: 0.6, END: 0.4})
    assert shaped(options, Sampling(temperature=0.0), [(B, 1.0)]) == [(B, 1.0)]
    assert [token for token, _ in shaped(options, Sampling(temperature=1, top_p=0.6), ())] == [A, B]
    assert [token for token, _ in shaped(options, Sampling(temperature=1, top_p=1, top_k=1), ())] == [A]
    assert [token for token, _ in shaped(options, Sampling(temperature=1, top_p=1, min_p=0.5), ())] == [A, B]
    assert [pick([(A, 0.5), (B, 0.5)], uniform) for uniform in (0.0, 0.49, 0.5, 0.999999)] == [A, A, B, B]


def test_a_fault_strikes_the_call_it_was_meant_for() -> None:
    broken, refused = RuntimeError("out of memory"), ModelError("weights are gone")
    engine = ScriptedEngine(TREE, incidents=Incidents(faults={("extend", 2): broken, ("append", 1): refused}))
    root = root_of(engine)
    engine.extend([Draw(root)], 1).result()
    with pytest.raises(EngineError, match="the engine failed: RuntimeError: out of memory") as caught:
        engine.extend([Draw(root)], 1).result()
    assert caught.value.__cause__ is broken
    with pytest.raises(ModelError, match="weights are gone"):
        engine.append([(root, "a")]).result()
    assert engine.extend([Draw(root)], 1).result()
    assert engine.calls("extend") == 3


def test_a_gated_call_waits_and_a_close_meanwhile_stops_it() -> None:
    gate = threading.Event()
    engine = ScriptedEngine(TREE, incidents=Incidents(gates={("extend", 1): gate}))
    root = root_of(engine)
    waiting = engine.extend([Draw(root)], 1)
    assert not waiting.done()
    engine.close(root)
    gate.set()
    with pytest.raises(EngineClosed, match="was closed"):
        waiting.result()
    assert engine.live_nodes() == 0
    engine.shutdown()


def test_after_shutdown_nothing_is_answered() -> None:
    engine = ScriptedEngine(TREE)
    root = root_of(engine)
    engine.shutdown()
    assert engine.closed
    with pytest.raises(EngineClosed, match="was closed"):
        engine.extend([Draw(root)], 1).result()
    with pytest.raises(EngineClosed, match="the engine was shut down"):
        root_of(engine)


def test_any_text_can_be_written_and_no_text_holds_a_mark() -> None:
    vocabulary = Vocabulary(["the", "th", "€".encode()[:2]])
    assert vocabulary.ids("thethe")[:2] == (0, 0)
    for text in ("then €", "", "🌊\n"):
        assert b"".join(map(vocabulary.bytes_of, vocabulary.ids(text))).decode() == text
    marks = set(vocabulary.prompt_ids((Message("user", ""),)))
    assert not marks & set(vocabulary.ids("<|user|> user assistant system"))
    assert marks | {vocabulary.end} <= vocabulary.protected


def test_words_join_to_the_text() -> None:
    assert words("I do.  Now\n") == ["I", " do.", "  Now", "\n"]
