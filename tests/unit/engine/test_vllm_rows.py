"""Blocks as vLLM's worker draws them, on logits that a test makes up; no vLLM is needed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.scripted.script import Vocabulary
from ig_guardrail.engine.vllm.orders import BlockOutcome, Order, digest, read_order, read_told
from ig_guardrail.engine.vllm.rows import Desk, Span
from ig_guardrail.errors import EngineError
from ig_guardrail.types import Sampling

WORDS = Vocabulary(["a", "b", "c", "d"])
SIZE = WORDS.end + 1
PROMPT = [0, 1, 2]
GREEDY = Sampling(temperature=0.0, max_tokens=9)


def after(ids: Sequence[int]) -> torch.Tensor:
    """Logits behind tokens: the next one in the alphabet is likeliest."""
    logits = torch.zeros(SIZE)
    logits[(ids[-1] + 1) % 4] = 5.0
    return logits


def state(ids: Sequence[int]) -> torch.Tensor:
    """The state behind tokens, which also tells them."""
    return torch.tensor([float(len(ids)), float(ids[-1])])


def project(states: torch.Tensor) -> torch.Tensor:
    """The logits that belong to states."""
    return torch.stack([after([int(row[1])]) for row in states])


class Pretence:
    """A vLLM of one process: requests that are read and drawn in step."""

    def __init__(self) -> None:
        self.told: list[BlockOutcome] = []
        self.desk = Desk(WORDS.language, Grammars(WORDS.language, WORDS.ids), self.told.append)

    def run(
        self,
        orders: dict[str, Order],
        ids: dict[str, list[int]],
        steps: int,
        spoil: Callable[[str], bool] | None = None,
    ) -> None:
        """So many passes; the first reads all that a request has."""
        read = dict.fromkeys(ids, 0)
        for _ in range(steps):
            spans = {}
            for place, (name, tokens) in enumerate(ids.items()):
                states = torch.stack([state(tokens[: at + 1]) for at in range(read[name], len(tokens))])
                spans[name] = Span(place, read[name], states, {1: states}, whole=True)
                read[name] = len(tokens)
            logits = torch.stack([after(tokens) for tokens in ids.values()])
            for place, name in enumerate(ids):
                if spoil is not None and spoil(name):
                    logits[place] = math.nan
            asked = {name: (order.plain(), lambda name=name: ids[name]) for name, order in orders.items()}
            drawn = self.desk.step(asked, spans, logits, project)
            for name, token in drawn.items():
                ids[name] = [*ids[name], token]


def order(ids: Sequence[int], **changes: object) -> Order:
    made = Order("one", len(ids), digest(ids), len(PROMPT), len(ids) - len(PROMPT), 4, 9, GREEDY)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_an_order_survives_the_way_to_the_worker() -> None:
    sent = order(PROMPT, bias=((3, -1.5),), sampling=Sampling(stop=("x",), logit_bias=((1, 2.0),)), layers=(1, 2))
    assert read_order(json.loads(json.dumps(sent.plain()))) == sent


def test_what_is_told_survives_the_way_back() -> None:
    states = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
    told = BlockOutcome(
        "one", (1, 2), (-0.5, -0.25), "stop", further=(3, -1.0), likeliest=(((1, -0.5),),), hidden={4: states}
    )
    read = read_told(told.frames())
    assert replace(read, hidden={}) == replace(told, hidden={})
    assert torch.equal(read.hidden[4], states)
    with pytest.raises(EngineError, match="cannot be read"):
        read_told([b"{}"])


def test_a_block_is_told_when_its_last_token_is_drawn() -> None:
    vllm = Pretence()
    vllm.run({"r": order(PROMPT)}, {"r": list(PROMPT)}, 4)
    (told,) = vllm.told
    assert (told.ids, told.finish, told.hidden) == ((3, 0, 1, 2), None, {})
    assert told.logprobs == pytest.approx([math.log(math.exp(5) / (math.exp(5) + SIZE - 1))] * 4, abs=1e-6)


def test_with_states_it_is_told_when_they_were_read_and_the_token_behind_it_is_known() -> None:
    vllm = Pretence()
    sent = order(PROMPT, layers=(1,), further=True)
    vllm.run({"r": sent}, {"r": list(PROMPT)}, 4)
    assert vllm.told == []
    vllm.run({"r": sent}, {"r": [*PROMPT, 3, 0, 1, 2]}, 1)
    (told,) = vllm.told
    assert told.further is not None
    assert told.further[0] == 3
    assert told.hidden[1].tolist() == [[4.0, 3.0], [5.0, 0.0], [6.0, 1.0], [7.0, 2.0]]


def test_a_block_goes_on_with_the_token_that_was_drawn_before() -> None:
    vllm = Pretence()
    sent = order([*PROMPT, 3], start=0, begun=(-0.25,))
    vllm.run({"r": sent}, {"r": [*PROMPT, 3]}, 3)
    assert (vllm.told[0].ids, vllm.told[0].logprobs[0]) == ((3, 0, 1, 2), -0.25)


def test_other_tokens_than_were_judged_are_not_gone_on_from() -> None:
    vllm = Pretence()
    ids = {"r": [*PROMPT[:-1], 3]}
    vllm.run({"r": order(PROMPT)}, ids, 1)
    assert "not the 3 it was given" in str(vllm.told[0].error)
    assert ids["r"][-1] == WORDS.end


def test_what_goes_wrong_with_one_request_leaves_the_others() -> None:
    vllm = Pretence()
    warm = order(PROMPT, key="two", sampling=Sampling(temperature=1.0, max_tokens=9))
    vllm.run({"r": order(PROMPT), "s": warm}, {"r": list(PROMPT), "s": list(PROMPT)}, 4, lambda name: name == "s")
    assert [(told.key, told.error is None) for told in vllm.told] == [("two", False), ("one", True)]


def test_an_answer_that_ends_is_told_with_its_end() -> None:
    vllm = Pretence()
    ids = {"r": list(PROMPT)}
    vllm.run({"r": order(PROMPT, bias=((WORDS.end, 100.0),))}, ids, 1)
    assert (vllm.told[0].ids, vllm.told[0].finish, ids["r"][-1]) == ((), "stop", WORDS.end)


def test_forced_tokens_are_told_with_their_log_probabilities_and_what_is_likelier() -> None:
    vllm = Pretence()
    ids = [*PROMPT, 3, 1]
    sent = order(ids, start=0, tokens=0, layers=(1,), likeliest=1, ranked=True)
    vllm.run({"r": sent}, {"r": ids}, 1)
    (told,) = vllm.told
    own, other = (math.log(value / (math.exp(5) + SIZE - 1)) for value in (math.exp(5), 1.0))
    assert told.logprobs == pytest.approx([own, other], abs=1e-6)
    assert [likeliest[0][0] for likeliest in told.likeliest] == [3, 0]
    assert told.ranked is not None
    assert float(told.ranked[2]) == pytest.approx(own, abs=1e-6)
    assert len(told.hidden[1]) == 2


def test_forced_tokens_that_vllm_did_not_read_are_an_error() -> None:
    vllm = Pretence()
    ids = [*PROMPT, 3, 1]
    states = torch.stack([state(ids)])
    asked = {"r": (order(ids, start=0, tokens=0).plain(), lambda: ids)}
    vllm.desk.step(asked, {"r": Span(0, 4, states, {}, whole=True)}, after(ids)[None], project)
    assert "read 0 of 2 forced tokens" in str(vllm.told[0].error)
