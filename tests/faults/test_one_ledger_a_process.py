"""Guardrails that are given no ledger share the one of their process, however often they are made; it is bounded."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest
from langchain_core.runnables import ConfigurableField

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import LedgerError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.guard_runnable import GuardRunnable
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.ledger import AccountKey, LedgerEntry, Limit, MemoryLedger, process_ledger
from ig_guardrail.ledger.answers import answer_sha256
from ig_guardrail.ledger.memory import ANSWERS
from ig_guardrail.types import AssistantMessage, Message, Sampling
from tests.golden.conversations import POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.teller import teller

DAY = 86_400.0
LIMIT = Limit("x", 1.0)
SHARED = POLITE.replace("every: 4}", "every: 4, budget: 0.6, scope: conversation}").replace("budget: 0.0, ", "")


def rude(message: Any) -> bool:
    return "blockhead" in (message if isinstance(message, str) else message.text)


def chat() -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): RUDE}, compiled(SHARED)), seed=7)


def guarded(**settings: Any) -> GuardedChatModel:
    return GuardedChatModel(inner=teller(RUDE), policy=compiled(SHARED), **settings)


# -------------------------------------------------------------------------------------------------------- one for all


@pytest.mark.parametrize("make", [chat, guarded])
def test_a_model_made_for_each_request_goes_on_with_what_is_left(make: Any) -> None:
    assert [rude(make().invoke("x", conversation="t")) for _ in range(3)] == [True, False, False]


def test_models_of_every_kind_share_the_budget_of_a_thread() -> None:
    thread: Any = {"configurable": {"thread_id": "t"}}
    assert rude(chat().invoke("x", thread))
    assert not rude(guarded().invoke("x", thread))
    assert not rude(GuardRunnable(compiled(SHARED)).invoke(RUDE, thread))


def test_configurable_fields_do_not_fill_a_budget_up() -> None:
    model = guarded().configurable_fields(language=ConfigurableField(id="language"))
    configs: list[Any] = [{"configurable": {"language": "en", "thread_id": "t"}}, {"configurable": {"thread_id": "t"}}]
    assert [rude(model.invoke("x", config)) for config in configs * 2] == [True, False, False, False]


def test_models_by_name_have_the_ledger_of_the_process() -> None:
    model = ChatIGGuardrail(model="some/model").configurable_fields(temperature=ConfigurableField(id="temperature"))
    made: list[Any] = [model.prepare({"configurable": {"temperature": 0.1}})[0] for _ in range(2)]
    assert {id(one._memory) for one in made} == {id(process_ledger())}
    assert [one._opened().spec.ledger for one in made] == [None, None]
    assert chat().guardrail.ledger is process_ledger()  # type: ignore[union-attr]


def test_an_answer_is_noted_before_its_receipt_is_out() -> None:
    """Else the next request, over another guardrail, is charged for it when it gives it back."""
    rail = scripted_guardrail({(0, 0): RUDE}, compiled(SHARED))
    for name in map(str, range(20)):
        account = AccountKey(name).account("polite", "conversation")
        asked = GenerationRequest((Message("user", "x"),), Sampling(seed=7, max_tokens=64), conversation=name)
        last = [chunk for chunk in rail.stream(asked) if chunk.receipt is not None][-1]
        assert last.receipt is not None
        assert process_ledger().knows(account, answer_sha256(AssistantMessage(last.receipt.text))), name


def test_policies_of_other_names_do_not_share() -> None:
    other = compiled(SHARED.replace("name: polite", "name: other"))
    assert rude(guarded().invoke("x", conversation="t"))
    assert rude(GuardedChatModel(inner=teller(RUDE), policy=other).invoke("x", conversation="t"))


def test_a_ledger_of_its_own_is_kept_through_copies() -> None:
    ledger = MemoryLedger()
    model = guarded(ledger=ledger)
    assert rude(model.invoke("x", conversation="t"))
    for again in (model.model_copy(), guarded(ledger=copy.deepcopy(ledger))):
        assert not rude(again.invoke("x", conversation="t"))
    assert rude(guarded().invoke("x", conversation="t")), "the process's own was not charged"


# --------------------------------------------------------------------------------------------------- other processes


def test_unpickled_in_the_same_process_it_is_the_same_ledger() -> None:
    assert pickle.loads(pickle.dumps(process_ledger())) is process_ledger()  # noqa: S301  # our own bytes


def test_a_ledger_in_memory_says_that_it_cannot_go_elsewhere() -> None:
    with pytest.raises(LedgerError, match="a ledger in memory cannot be pickled"):
        pickle.dumps(MemoryLedger())


ELSEWHERE = """
import pickle, sys
from ig_guardrail.ledger import Limit, process_ledger
ledger = pickle.loads(sys.stdin.buffer.read())
print(ledger is process_ledger(), ledger.spent("a", 1, Limit("x", 1.0)))
"""


def test_another_process_has_one_of_its_own() -> None:
    process_ledger().charge([LedgerEntry("a", 1, "x", 0.5)], {"x": LIMIT})
    said = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], input=pickle.dumps(process_ledger()), capture_output=True, check=True
    )
    assert said.stdout.split() == [b"True", b"0.0"]


FORKING = """
import os, threading
from ig_guardrail.ledger import LedgerEntry, Limit, process_ledger
ledger, limit, stop = process_ledger(), Limit("x", 1e9), threading.Event()
def spend():
    turn = 0
    while not stop.is_set():
        turn += 1
        ledger.charge([LedgerEntry("a", turn, "x", 0.5)], {"x": limit})
threads = [threading.Thread(target=spend) for _ in range(3)]
for one in threads: one.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        before = ledger.spent("b", 1, limit)
        os._exit(0 if ledger.charge([LedgerEntry("b", 1, "x", 1.0)], {"x": limit}) and before == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for one in threads: one.join()
print("done", ledger.spent("b", 1, limit))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_fork_amid_charges_has_a_ledger_that_opens() -> None:
    said = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split() == ["done", "0.0"], said.stderr


# --------------------------------------------------------------------------------------------------------- forgetting


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def spend(ledger: MemoryLedger, account: str, cost: float = 0.5, limit: Limit = LIMIT) -> bool:
    return ledger.charge([LedgerEntry(account, 1, limit.budget, cost)], {limit.budget: limit})


def kept(ledger: MemoryLedger) -> int:
    return len(ledger._calm) + len(ledger._spenders)


def test_names_that_were_only_asked_about_are_not_kept() -> None:
    ledger = MemoryLedger()
    for number in range(1_000):
        ledger.turn(f"c{number}")
        ledger.spent(f"c{number}", 1, LIMIT)
        ledger.knows(f"c{number}", "f00d")
    assert not spend(ledger, "over", 2.0)
    assert (kept(ledger), len(ledger._turns), len(ledger._charges), len(ledger._answers)) == (0, 0, 0, 0)


def test_what_a_flood_of_fresh_names_drives_out_had_spent_nothing() -> None:
    ledger = MemoryLedger(names=10)
    assert spend(ledger, "mine")
    for number in range(100):
        ledger.advance(f"fresh{number}", 1)
        ledger.remember(f"fresh{number}", "f00d")
    assert kept(ledger) == 10
    assert ledger.spent("mine", 2, LIMIT) == 0.5
    assert (ledger.turn("fresh99"), ledger.turn("fresh0")) == (2, 1), "the oldest went first"


def test_a_ledger_full_of_names_that_have_spent_refuses_further_ones_and_forgets_none() -> None:
    ledger = MemoryLedger(names=3)
    assert all(spend(ledger, name) for name in "abc")
    ledger.advance("d", 1)
    with pytest.raises(LedgerError, match="the ledger in memory is full: 3 names have spent something"):
        spend(ledger, "d")
    assert [ledger.spent(name, 1, LIMIT) for name in "abcd"] == [0.5, 0.5, 0.5, 0.0]
    assert spend(ledger, "a")
    assert not spend(ledger, "a")


def test_a_name_is_forgotten_after_so_many_days_of_silence(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    ledger = MemoryLedger(days=30, clock=clock)
    assert spend(ledger, "silent")
    assert spend(ledger, "lively")
    clock.now = 20 * DAY
    ledger.advance("lively", 2)
    clock.now = 30 * DAY + 1
    with caplog.at_level(logging.INFO):
        ledger.advance("other", 1)
    assert [ledger.spent(name, 1, LIMIT) for name in ("silent", "lively")] == [0.0, 0.5]
    assert "is forgotten" in caplog.text


def test_asking_does_not_keep_a_name_from_being_forgotten_nor_forget_it() -> None:
    clock = Clock()
    ledger = MemoryLedger(days=30, clock=clock)
    assert spend(ledger, "a")
    clock.now = 29 * DAY
    assert ledger.spent("a", 1, LIMIT) == 0.5
    assert not spend(ledger, "a", 0.9), "what is refused is no use of it"
    clock.now = 31 * DAY
    assert spend(ledger, "a", 0.9)


@pytest.mark.slow
def test_a_conversation_of_any_length_takes_bounded_memory() -> None:
    ledger = MemoryLedger()
    for limit in (Limit("all", 1e9), Limit("late", 1e9, decay=0.9), Limit("window", 1e9, window=5)):
        for turn in range(1, 1_200):
            assert ledger.charge([LedgerEntry("a", turn, limit.budget, 0.5)], {limit.budget: limit})
    (rows,) = ledger._charges.values()
    assert {budget: len(kept) <= 1_005 for budget, kept in rows.items()} == {"all": True, "late": True, "window": True}
    assert len(rows["all"]) == 1
    for number in range(ANSWERS + 5):
        ledger.remember("a", str(number))
    assert [ledger.knows("a", str(number)) for number in (0, 4, 5, ANSWERS + 4)] == [False, False, True, True]
