"""What a request does when a part of it fails, hangs or is left: closed, counted, freed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.errors import GenerationFailed, PolicyError, RequestError, UnguardedNotAllowed
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.types import (
    Expression,
    Message,
    Messages,
    Prompt,
    PromptRule,
    Sampling,
    SearchSettings,
)
from tests.toys import LetterCost, Letters, ask, guardrail, letters, toy_budget, toy_policy

CALM = letters((1, 0, 1, 0))
SAMPLING = Sampling(max_tokens=12, temperature=1.0, top_p=1.0)


class Hanging(LetterCost):
    """Answers only when the test lets it."""

    def __init__(self) -> None:
        super().__init__("level")
        self.go = threading.Event()

    def advance(self, steps: Any) -> Any:
        self.go.wait()
        return super().advance(steps)


class Raising(LetterCost):
    def advance(self, steps: Any) -> Any:
        raise RuntimeError("out of order")


def rail(model: Any = None, odds: Any = CALM, **keys: Any) -> Guardrail:
    spec = {"on_error": keys.pop("on_error")} if "on_error" in keys else {}
    policy = toy_policy([toy_budget("b", **keys)], **spec)
    return guardrail(odds, policy, {"level": model or LetterCost("level")})


def test_a_cost_model_that_hangs_is_timed_out_and_the_request_fails_closed() -> None:
    model = Hanging()
    one = rail(model)
    spec = replace(one.policy.cost_models[0], timeout_s=0.05)
    one = guardrail(CALM, replace(one.policy, cost_models=(spec,)), {"level": model})
    with pytest.raises(GenerationFailed, match=r"'level' did not answer within 0\.05 s") as failure:
        list(one.stream(ask(SAMPLING)))
    assert failure.value.receipt.verdict.outcome == "failed"
    assert failure.value.receipt.text == ""
    assert one.engine.live_nodes() == 0
    model.go.set()
    *_, last = one.stream(ask(SAMPLING))
    assert last.receipt is not None
    assert last.receipt.verdict.outcome == "completed", "the next request gets a fresh thread"


class Lazy(LetterCost):
    """Promises answers at once, or their scores, and makes them when it is asked for one."""

    def __init__(self, promised: str, layers: tuple[int, ...]) -> None:
        super().__init__("level", layers=layers)
        self.promised, self.go = promised, threading.Event()

    def advance(self, steps: Any) -> Any:
        answers = super().advance(steps)
        if self.promised == "answers":
            return (one for one in answers if not self.late())
        return [(state, (score for score in scores if not self.late())) for state, scores in answers]

    def late(self) -> None:
        self.go.wait(5)


@pytest.mark.parametrize("promised", ["answers", "scores"])
@pytest.mark.parametrize("asked", ["answer", "answer's states", "prompt"])
def test_a_cost_model_that_answers_only_when_it_is_read_is_timed_out_too(promised: str, asked: str) -> None:
    model = Lazy(promised, (1,) if asked == "answer's states" else ())
    budget = toy_budget("b", model="calm" if asked == "prompt" else "level")
    policy = toy_policy([budget], models=("level", "calm"))
    policy = replace(policy, cost_models=tuple(replace(one, timeout_s=0.05) for one in policy.cost_models))
    if asked == "prompt":
        policy = replace(policy, prompt=PromptRule(Expression("model", model="level"), 0.5, "refuse"))
    one = guardrail(CALM, policy, {"level": model, "calm": LetterCost("calm")})
    with pytest.raises(GenerationFailed, match=r"'level' did not answer within 0\.05 s") as failure:
        list(one.stream(ask(SAMPLING)))
    assert failure.value.receipt.text == ""
    model.go.set()


def test_a_cost_model_that_raises_is_named_with_the_type_of_its_error() -> None:
    with pytest.raises(GenerationFailed, match="cost model 'level' failed: it raised RuntimeError") as failure:
        list(rail(Raising("level")).stream(ask(SAMPLING)))
    assert "out of order" not in str(failure.value), "which might quote what was never shown"


class Giving(LetterCost):
    """Gives one score, whatever it reads."""

    def __init__(self, score: float) -> None:
        super().__init__("level")
        self.score = score

    def advance(self, steps: Any) -> Any:
        return [(state, (self.score,)) for state, _ in super().advance(steps)]


NO_SCORES = (float("nan"), float("inf"), float("-inf"), -0.01, 1.01)


@pytest.mark.parametrize("score", NO_SCORES)
def test_what_is_no_score_is_a_failure_of_the_cost_model_that_gave_it(score: float) -> None:
    with pytest.raises(GenerationFailed, match=rf"cost model 'level' failed: it gave {score!r}, which is not a score"):
        list(rail(Giving(score)).stream(ask(SAMPLING)))


@pytest.mark.parametrize("score", NO_SCORES)
def test_what_is_no_score_is_noted_where_the_cost_model_may_fail_open(score: float) -> None:
    *_, last = rail(Giving(score), on_error="open").stream(ask(SAMPLING))
    assert last.receipt is not None
    assert last.receipt.verdict.outcome == "completed"
    assert f"it gave {score!r}" in last.receipt.fail_open[0]


def test_fail_open_goes_on_and_the_receipt_says_so_each_time() -> None:
    *_, last = rail(Raising("level"), on_error="open").stream(ask(SAMPLING))
    assert last.receipt is not None
    assert last.receipt.verdict.outcome == "completed"
    assert last.receipt.fail_open
    assert all("it raised RuntimeError" in note for note in last.receipt.fail_open)


def test_a_passed_deadline_is_a_cancellation_with_a_receipt() -> None:
    model = Hanging()
    one = rail(model)
    *_, last = one.stream(ask(SAMPLING), timeout=0.05)
    model.go.set()
    assert last.receipt is not None
    assert (last.receipt.verdict.outcome, last.receipt.verdict.reason) == ("cancelled", "deadline")
    assert one.engine.live_nodes() == 0


def test_the_thinnest_deadline_still_ends_in_a_receipt() -> None:
    *_, last = rail().stream(ask(SAMPLING), timeout=0.0)
    assert last.receipt is not None
    assert last.receipt.verdict.outcome in ("cancelled", "completed")


BEFORE_THE_ANSWER = {
    "its messages are tried": (),
    "its beginning is read": (Message("assistant", "a"),),
    "an earlier answer is charged": (Message("assistant", "a"), Message("user", "go on")),
    "it is opened": (Message("user", "go on"),),
}


@pytest.mark.parametrize("moment", BEFORE_THE_ANSWER)
def test_who_leaves_while_a_context_is_opened_leaves_nothing(moment: str) -> None:
    gate = threading.Event()
    engine = ScriptedEngine(CALM, incidents=Incidents(gates={("open", 1): gate}))
    policy = toy_policy([toy_budget("b", scope="conversation")])
    one = Guardrail(engine, policy, {"level": LetterCost("level")}, ledger=MemoryLedger())
    if BEFORE_THE_ANSWER[moment]:
        one._approved.set()
    turns = (Message("user", "hello"), *BEFORE_THE_ANSWER[moment])
    *_, last = one.stream(GenerationRequest(turns, SAMPLING, conversation="c"), timeout=0.05)
    gate.set()
    assert last.receipt is not None
    assert last.receipt.verdict.reason == "deadline"
    engine.open(engine.encode((Message("user", "hello"),)), SAMPLING).result()  # behind all that was begun
    assert (engine.calls("open"), engine.live_nodes()) == (2, 1)


async def test_sync_and_async_give_the_same_stream() -> None:
    odds = letters((3, 2, 1, 1))
    for seed in range(20):
        sampling = replace(SAMPLING, seed=seed)
        sync = [chunk.text for chunk in rail(odds=odds).stream(ask(sampling))]
        other = [chunk.text async for chunk in rail(odds=odds).astream(ask(sampling))]
        assert sync == other


async def test_a_cancelled_task_frees_everything() -> None:
    model = Hanging()
    one = rail(model)

    async def read() -> None:
        async for _ in one.astream(ask(SAMPLING)):
            pass

    task = asyncio.create_task(read())
    while not one.costs.by_name["level"].worker._lane:
        await asyncio.sleep(0)
    assert one.engine.live_nodes() > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    model.go.set()
    assert one.engine.live_nodes() == 0


@pytest.mark.parametrize("steps", range(14))
def test_leaving_after_any_number_of_steps_frees_everything(steps: int) -> None:
    one = rail(odds=letters((3, 2, 1, 0)))
    drive = one._flow(ask(SAMPLING))
    reply: Any = None
    try:
        for _ in range(steps):
            step = drive.send(reply)
            reply = step.future.result() if hasattr(step, "future") else None
    except StopIteration:
        pass
    drive.close()
    assert one.engine.live_nodes() == 0


def test_the_start_up_check_refuses_messages_that_are_over_budget_themselves() -> None:
    policy = replace(toy_policy([toy_budget("b")]), messages=Messages({"en": "bbb"}, {"en": "a"}))
    one = Guardrail(ScriptedEngine(CALM), policy, {"level": LetterCost("level")})
    with pytest.raises(PolicyError, match=r"messages\.refusal\.en is over budget 'b' itself"):
        list(one.stream(ask(SAMPLING)))
    assert one.engine.live_nodes() == 0


def test_messages_are_given_in_the_language_that_was_asked_for() -> None:
    messages = Messages({"en": "[no", "de": "[nein"}, {"en": "[end", "de": "[ende"})
    policy = replace(toy_policy([toy_budget("b")]), messages=messages)
    one = guardrail(letters((0, 1, 0, 0)), policy, {"level": LetterCost("level")})
    for language, text in {"de": "[nein", "de-AT": "[nein", "sw": "[no"}.items():
        *_, last = one.stream(GenerationRequest((Message("user", "hi"),), SAMPLING, language=language))
        assert last.receipt is not None
        assert last.receipt.text == text


@dataclass(frozen=True)
class TurningBad:
    """A model that says a six times, and b ever after."""

    letters: Letters

    @property
    def vocabulary(self) -> Vocabulary:
        return self.letters.vocabulary

    def next_tokens(self, place: TokenPlace) -> Distribution:
        return [(0 if len(place.prefix) < 6 else 1, 1.0)]


@pytest.mark.parametrize("restart", [None, "be kind"])
def test_after_text_was_shown_the_ladder_closes_and_never_refuses(restart: str | None) -> None:
    search = SearchSettings(block=2, hold=0, candidates=2, shortest=0, steer=None, restart=restart)
    policy = toy_policy([toy_budget("b", every=2)], search)
    one = guardrail(TurningBad(CALM), policy, {"level": LetterCost("level")})
    *_, last = one.stream(ask(SAMPLING))
    assert last.receipt is not None
    assert last.receipt.verdict.outcome == "ended"
    assert last.receipt.text.startswith("aaaaaa")
    assert last.receipt.text.endswith("[closing")


def screened(action: str, text: str) -> tuple[Any, Guardrail]:
    rule = PromptRule(Expression("model", model="level"), 0.5, action)  # type: ignore[arg-type]
    one = guardrail(CALM, replace(toy_policy([toy_budget("b")]), prompt=rule), {"level": LetterCost("level")})
    turns = (Message("system", "bbb"), Message("user", "aaa"), Message("user", text))
    *_, last = one.stream(GenerationRequest(turns, SAMPLING))
    return last.receipt, one


def test_a_refused_prompt_is_refused_before_anything_is_decoded() -> None:
    receipt, one = screened("refuse", "bbbb")
    assert (receipt.verdict.outcome, receipt.text) == ("refused", "[refusal")
    assert receipt.tokens["generated"] == 0
    assert receipt.prompt_check["score"] == 1.0
    assert one.engine.live_nodes() == 0


@pytest.mark.parametrize(
    ("action", "text", "noted"), [("search", "bbbb", "search"), ("observe", "bb", "observe"), ("refuse", "a", "none")]
)
def test_other_prompts_are_answered_and_the_check_is_noted(action: str, text: str, noted: str) -> None:
    receipt, _ = screened(action, text)
    assert receipt.verdict.outcome == "completed"
    assert receipt.prompt_check["action"] == noted


def test_unguarded_decoding_needs_the_policys_leave() -> None:
    one = rail()
    strict = Guardrail(one.engine, replace(one.policy, allow_unguarded=False), {"level": LetterCost("level")})
    with pytest.raises(UnguardedNotAllowed, match="does not allow unguarded decoding"):
        list(strict.stream(ask(SAMPLING, "none")))


def test_the_unguarded_stream_is_marked_and_uncharged() -> None:
    *_, last = rail(odds=letters((0, 1, 0, 0))).stream(ask(SAMPLING, "none"))
    assert last.receipt is not None
    assert (last.receipt.text, last.receipt.verdict.guarded, last.receipt.spend) == ("b" * 12, False, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"min_p": 2.0}, "min_p is 2.0"),
        ({"stop": ("ok", "")}, "stop is 2 strings of 0 to 2 characters"),
    ],
)
def test_requests_that_cannot_be_served_say_why(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        list(rail().stream(ask(replace(SAMPLING, **change))))


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(RequestError, match=r"there is no strategy 'magic'(.|\n)*`ig-guardrail strategies` lists all"):
        list(rail().stream(ask(SAMPLING, "magic")))


@pytest.mark.parametrize("name", ["verifier", "token_verifier"])
def test_a_verifier_without_a_constitution_names_where_one_is_written(name: str) -> None:
    with pytest.raises(RequestError, match=r"'toy' has none(.|\n)*no other words(.|\n)*`fairness`"):
        list(rail().stream(ask(SAMPLING, name)))


def test_edits_of_hidden_states_need_a_cost_model_that_reads_them() -> None:
    with pytest.raises(RequestError, match="needs a value head, and no budget of policy 'toy' rests on one"):
        list(rail().stream(ask(SAMPLING, "re_control")))


def test_each_prefix_is_scored_once() -> None:
    seen: list[str] = []

    class Noting(LetterCost):
        def start(self, prompt: Prompt) -> Any:
            return ""

        def advance(self, steps: Sequence[Any]) -> Any:
            seen.extend(f"{text}{piece.text}{'.' if piece.ended else ''}" for text, piece in steps)
            return [(text + piece.text, (0.0,)) for text, piece in steps]

    search = SearchSettings(mode="always", candidates=6, block=4, hold=4, shortest=0)
    policy = toy_policy([toy_budget("b"), toy_budget("c", threshold=0.9)], search)
    list(guardrail(letters((2, 1, 1, 1)), policy, {"level": Noting("level")}).stream(ask(SAMPLING)))
    assert seen
    assert len(seen) == len(set(seen))
