"""The gate alone, on hand-made nodes: what it takes, what it refuses, what it lets out and when."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from ig_guardrail.budget import BudgetRule
from ig_guardrail.errors import CostFailure, EngineError
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.types import Accepted, Denied, Measure, Node, Thought
from tests.toys import toy_budget

numbers = count(1)


def root() -> Node:
    return Node(next(numbers), 0, None, (), 0, "", (), 0)


def child(parent: Node, letters: str, finish: Any = None, visible: int | None = None) -> Node:
    text = parent.text + letters
    ends = tuple(range(len(parent.text) + 1, len(text) + 1))
    ids = tuple(map(ord, letters))
    seen = len(text) if visible is None else visible
    return Node(next(numbers), 0, parent, ids, len(text), text, ends, seen, finish=finish)


def rule(name: str = "b", granularity: Any = "block", **keys: Any) -> BudgetRule:
    return BudgetRule(toy_budget(name, **{"threshold": 0.5, "budget": 0.25, **keys}), granularity, "level")


def scored(gate: Gate, node: Node, score: float = 0.0) -> list[Measure]:
    """The measures that are due for a node, all with one score."""
    return [Measure(budget, point.position, point.ended, score) for budget, point in gate.due(node)]


def commit(gate: Gate, node: Node, score: float = 0.0) -> Accepted | Denied:
    return gate.commit(node, scored(gate, node, score))


def test_a_commit_over_budget_is_denied_with_the_budget_and_the_place() -> None:
    start = root()
    gate = Gate(start, [rule()], Hold())
    assert commit(gate, child(start, "abcd"), 0.76) == Denied("budget", "b", 4)
    assert isinstance(commit(gate, child(start, "abcd"), 0.75), Accepted)


def test_a_shadow_budget_is_charged_and_denies_nothing() -> None:
    start = root()
    gate = Gate(start, [rule(mode="shadow")], Hold())
    assert isinstance(commit(gate, child(start, "abcd"), 1.0), Accepted)
    assert gate.release() == "abcd"
    assert gate.spend() == {"b": pytest.approx(0.5)}


def test_a_denied_commit_charges_nothing_and_shows_nothing() -> None:
    start = root()
    gate = Gate(start, [rule()], Hold())
    before = (gate.tip, gate.charges, gate.balance(), gate.spend())
    commit(gate, child(start, "abcd"), 1.0)
    assert (gate.tip, gate.charges, gate.balance(), gate.spend()) == before
    assert gate.release() == ""
    assert commit(gate, child(start, "efgh"), 0.6) == Accepted({"b": pytest.approx(0.15)}, 0)


def test_a_violation_inside_a_block_is_denied_though_its_end_recovers() -> None:
    start = root()
    gate = Gate(start, [rule(every=2)], Hold())
    node = child(start, "abcd")
    scores = [Measure("b", 2, False, 1.0), Measure("b", 4, False, 0.0)]
    assert gate.commit(node, scores) == Denied("budget", "b", 2)


def test_a_new_branch_rolls_the_account_back_to_the_common_ancestor() -> None:
    start = root()
    gate = Gate(start, [rule(accumulate="sum")], Hold(tokens=9))
    first = child(start, "abcd")
    commit(gate, first, 0.6)
    commit(gate, child(first, "xxxx"), 0.6)
    assert gate.spend() == {"b": pytest.approx(0.2)}
    other = child(first, "yyyy")
    commit(gate, other, 0.55)
    assert gate.spend() == {"b": pytest.approx(0.15)}
    assert gate.tip is other
    assert [line.position for line in gate.charges] == [4, 8]


def test_shown_text_cannot_be_replaced() -> None:
    start = root()
    gate = Gate(start, [rule()], Hold())
    commit(gate, child(start, "abcd"))
    assert gate.release() == "abcd"
    assert commit(gate, child(start, "abxx")) == Denied("released text cannot be replaced")
    assert isinstance(commit(gate, child(start, "abcdefgh")), Accepted), (
        "the same tokens in one block are no replacement"
    )
    assert gate.release() == "efgh"


def test_text_waits_for_the_last_charge_point_of_every_enforced_budget() -> None:
    start = root()
    gate = Gate(
        start, [rule("often", every=2), rule("seldom", every=8), rule("noted", every=64, mode="shadow")], Hold()
    )
    first = child(start, "abcdef")
    commit(gate, first)
    assert gate.release() == "", "the budget that is charged every 8 tokens was not charged yet"
    second = child(first, "ghijk")
    commit(gate, second)
    assert gate.release() == "abcdefgh"
    commit(gate, child(second, "l", finish="stop"))
    assert gate.release() == "ijkl"


def test_a_final_cost_holds_the_whole_answer() -> None:
    start = root()
    gate = Gate(start, [rule(), rule("whole", granularity="final")], Hold())
    first = child(start, "abcdefgh")
    commit(gate, first)
    assert gate.release() == ""
    commit(gate, child(first, "i", finish="length"))
    assert gate.release() == "abcdefghi"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.01, 1.01])
def test_what_is_not_a_score_stops_the_stream(score: float) -> None:
    start = root()
    gate = Gate(start, [rule()], Hold())
    with pytest.raises(CostFailure, match=r"which is not a score in \[0, 1\]"):
        commit(gate, child(start, "abcd"), score)
    assert gate.tip is start


def test_measures_that_are_missing_surplus_or_of_another_place_stop_the_stream() -> None:
    start = root()
    gate = Gate(start, [rule()], Hold())
    node = child(start, "abcdefgh")
    due = scored(gate, node)
    elsewhere = [due[0], Measure("b", 7, False, 0.0)]
    for wrong in ([], due[:1], [*due, due[0]], elsewhere, [*due[:1], Measure("b", 8, True, 0.0)]):
        with pytest.raises(CostFailure, match="are not those that are due"):
            gate.commit(node, wrong)
    assert isinstance(gate.commit(node, list(reversed(due))), Accepted)


def test_a_closed_gate_takes_and_shows_nothing_more() -> None:
    start = root()
    gate = Gate(start, [rule()], Hold())
    first = child(start, "abcd")
    commit(gate, first)
    gate.release()
    second = child(first, "e" * 40)
    commit(gate, second)
    assert gate.close("The end.") == "\n\nThe end."
    assert gate.close("Again.") == ""
    assert gate.release() == ""
    assert commit(gate, child(second, "ijkl")) == Denied("the stream is closed")
    assert gate.text == "abcd\n\nThe end."


def test_a_message_alone_stands_without_a_gap() -> None:
    assert Gate(root(), [rule()], Hold()).close("No.") == "No."


def test_nodes_of_another_answer_and_the_root_itself_are_denied() -> None:
    start, other = root(), root()
    gate = Gate(start, [rule()], Hold())
    for node in (start, other, child(other, "abcd")):
        assert gate.commit(node, []) == Denied("not a continuation of this answer")


def test_text_that_changes_under_the_gate_is_an_error_and_not_a_retraction() -> None:
    start = root()
    gate = Gate(start, [], Hold())
    first = child(start, "abcd")
    commit(gate, first)
    gate.release()
    lying = Node(next(numbers), 0, first, (1,), 5, "xbcde", (5,), 5)
    commit(gate, lying)
    with pytest.raises(EngineError, match="the text of a committed prefix changed"):
        gate.release()
    assert gate.text == "abcd"


def test_a_stop_string_is_not_shown_and_its_text_is_still_charged() -> None:
    start = root()
    gate = Gate(start, [rule()], Hold(stops=("END",)))
    first = child(start, "abcE")
    commit(gate, first)
    assert gate.release() == "abc"
    last = child(first, "ND", finish="stop", visible=3)
    assert [point.position for _, point in gate.due(last)] == [6]
    commit(gate, last)
    assert gate.release() == ""
    assert gate.text == "abc"


def test_shown_text_is_paid_for_by_the_charge_point_behind_it() -> None:
    """Blocks may be committed in parts: what is shown of one is paid for by the charge at its end."""
    start = root()
    gate = Gate(start, [rule(every=8)], Hold(tokens=8))
    node, paid = start, []
    for _ in range(4):
        node = child(node, "abcd")
        commit(gate, node, 0.6)
        paid.append((gate.payable(), gate.release()))
    assert paid[:2] == [(None, ""), (None, "")]
    assert paid[2] == ({"b": pytest.approx(0.1)}, "abcd")
    last = child(node, "e", finish="stop")
    commit(gate, last, 0.7)
    assert gate.payable() == {"b": pytest.approx(0.2)}
    assert gate.release()
    assert gate.payable() is None


def thinking(parent: Node, letters: str, thought: int, finish: Any = None) -> Node:
    """The same, where so many characters of the text are a thought."""
    return replace(child(parent, letters, finish), thought=Thought(thought, thought, True))


def test_a_thought_that_is_hidden_can_be_replaced_until_something_behind_it_is_shown() -> None:
    start = root()
    gate = Gate(start, [], Hold(hidden=True))
    commit(gate, thinking(start, "abcd", 4))
    assert gate.release() == ""
    assert (gate.released, gate.shown, gate.payable()) == (0, False, None)
    other = thinking(start, "xyzw", 4)
    assert isinstance(commit(gate, other), Accepted)
    answer = thinking(other, "Hi", 4)
    commit(gate, answer)
    assert gate.release() == "Hi"
    assert (gate.text, gate.reasoning, gate.released, gate.end) == ("Hi", "", 6, 6)
    assert commit(gate, thinking(start, "abcdHo", 4)) == Denied("released text cannot be replaced")
    commit(gate, thinking(answer, " there", 4, "stop"))
    assert gate.release() == " there"
    assert gate.close("[closing") == "\n\n[closing"


def test_a_thought_that_is_shown_is_told_apart_from_what_follows() -> None:
    start = root()
    gate = Gate(start, [], Hold(stops=("cde",), unit=lambda text, ended, words: 0))
    thought = thinking(start, "abcd", 4)
    commit(gate, thought)
    assert gate.release() == "abcd", "stop strings and units are of the answer"
    assert (gate.text, gate.reasoning, gate.shown) == ("", "abcd", True)
    commit(gate, thinking(thought, "efgh", 4, "length"))
    assert gate.release() == ""
    assert gate.close("[closing") == "[closing"
    assert (gate.text, gate.reasoning) == ("[closing", "abcd")


def test_an_answer_that_ends_in_a_hidden_thought_shows_nothing() -> None:
    start = root()
    gate = Gate(start, [], Hold(hidden=True))
    commit(gate, thinking(start, "abcd", 4, "length"))
    assert (gate.release(), gate.text, gate.reasoning) == ("", "", "")
