"""A share of the requests is answered under another policy: always the same ones, and receipts tell."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, HumanMessage

from ig_guardrail import ChatIGGuardrail, GuardedChatModel
from ig_guardrail.engine.loading import models
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import PolicyError, RequestError
from ig_guardrail.integrations.langchain.checking.text_checks import TextChecks
from ig_guardrail.integrations.langchain.guard_runnable import GuardRunnable
from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
from ig_guardrail.ledger import AccountKey, MemoryLedger
from ig_guardrail.policy import load_policy
from ig_guardrail.rollout import reload
from ig_guardrail.rollout.canary import Canary, place_of
from ig_guardrail.workbench.traffic.recordings import read_recordings
from tests.golden.conversations import CALM, POLITE, RUDE
from tests.unit.langchain.test_reload import Said, write

NEW = POLITE.replace("version: 1.0.0", "version: 1.1.0").replace("threshold: 0.5, budget", "threshold: 0.4, budget")
NAMES = [f"c{place}" for place in range(400)]


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is a script; all else is opened as it is."""
    monkeypatch.setattr(models, "load_engine", lambda model, **how: ScriptedEngine(Continuations({(0, 0): CALM})))
    monkeypatch.setattr(reload, "EVERY", 0.0)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    write(old, POLITE)
    write(new, NEW)
    return old, new


def chat(files: tuple[Path, Path], share: float, **settings: Any) -> ChatIGGuardrail:
    canary = {"policy": files[1], "share": share, **settings.pop("canary", {})}
    return ChatIGGuardrail(model="toy", policy=files[0], canary=canary, cache=False, **settings)


def told(model: ChatIGGuardrail, **options: Any) -> tuple[str, str]:
    """The arm and the policy's version, as the receipt has them."""
    receipt = model.invoke("Why?", **options).response_metadata["ig_guardrail"]
    return receipt["arm"], receipt["policy"]["version"]


def test_a_name_keeps_its_arm_and_a_growing_share_keeps_who_is_in_it() -> None:
    within = [
        {name for name in NAMES if Canary("new.yaml", share).arm_of(name, None) == "canary"}
        for share in (0.0, 0.05, 0.3, 1.0)
    ]
    assert [len(one) for one in (within[0], within[3])] == [0, len(NAMES)]
    assert within[0] <= within[1] <= within[2] <= within[3]
    assert 100 < len(within[2]) < 140
    other = {name for name in NAMES if Canary("new.yaml", 0.3, salt="other").arm_of(name, None) == "canary"}
    assert other != within[2]


def test_places_are_even() -> None:
    places = sorted(map(place_of, NAMES))
    assert max(abs(place - rank / len(places)) for rank, place in enumerate(places)) < 0.08


def test_receipts_tell_the_arm_and_the_policy(files: tuple[Path, Path]) -> None:
    model = chat(files, 0.5)
    expected = {name: Canary("", 0.5).arm_of(name, None) for name in NAMES[:8]}
    assert {name: told(model, conversation=name) for name in expected} == {
        name: (arm, "1.1.0" if arm == "canary" else "1.0.0") for name, arm in expected.items()
    }
    assert set(expected.values()) == {"stable", "canary"}
    assert told(model) == ("stable", "1.0.0")
    assert model.invoke("Why?", config={"configurable": {"thread_id": next(iter(expected))}}).response_metadata[
        "ig_guardrail"
    ]["arm"] == next(iter(expected.values()))


def test_a_tenant_is_never_the_callers_word(files: tuple[Path, Path]) -> None:
    within, without = (
        next(name for name in NAMES if (place_of(f"0 {name}") < 0.5) is is_in) for is_in in (True, False)
    )
    tenants = {"tenant_of": lambda config: config["metadata"]["customer"], "canary": {"by": "tenant"}}
    model = chat(files, 0.5, **tenants)
    for name, arm in ((within, "canary"), (without, "stable")):
        config = {"metadata": {"customer": name}, "configurable": {"tenant": within, "thread_id": within}}
        assert model.invoke("Why?", config=config).response_metadata["ig_guardrail"]["arm"] == arm
    with pytest.raises(RequestError, match="names another tenant"):
        model.invoke("Why?", config={"metadata": {"customer": without}}, tenant=within)


async def test_it_is_the_same_on_an_event_loop_and_in_streams(files: tuple[Path, Path]) -> None:
    model = chat(files, 1.0)
    message = await model.ainvoke("Why?", conversation="a")
    assert message.response_metadata["ig_guardrail"]["arm"] == "canary"
    *_, last = [chunk async for chunk in model.astream("Why?", conversation="a") if chunk.response_metadata]
    assert last.response_metadata["ig_guardrail"]["arm"] == "canary"


def test_what_a_conversation_has_spent_is_spent_in_both_arms(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {(lane, attempt): RUDE for lane in range(4) for attempt in range(4)}
    monkeypatch.setattr(models, "load_engine", lambda model, **how: ScriptedEngine(Continuations(answers)))
    for path in files:
        write(path, path.read_text().replace("budget: 0.0, every: 4", "budget: 0.6, every: 4, scope: conversation"))
    ledger = MemoryLedger()
    outcomes = [
        chat(files, share, ledger=ledger).invoke("Why?", conversation="c").response_metadata["ig_guardrail"]
        for share in (0.0, 1.0)
    ]
    assert [one["arm"] for one in outcomes] == ["stable", "canary"]
    assert [one["verdict"]["outcome"] for one in outcomes] == ["completed", "refused"]


def test_arms_must_bear_one_name(files: tuple[Path, Path]) -> None:
    write(files[1], NEW.replace("name: polite", "name: other"))
    with pytest.raises(PolicyError, match="the policy is called 'other', and the one beside it 'polite'"):
        chat(files, 0.5).invoke("Why?")


@pytest.mark.parametrize("broken", ["budgets: [", NEW.replace("I would rather not say that.", "You blockhead.")])
def test_a_canary_that_cannot_start_is_told_to_all(files: tuple[Path, Path], broken: str) -> None:
    write(files[1], broken)
    with pytest.raises(PolicyError):
        chat(files, 0.0).invoke("Why?")


def test_each_arm_follows_its_file(files: tuple[Path, Path]) -> None:
    model = chat(files, 1.0, reload=True)
    assert told(model, conversation="a") == ("canary", "1.1.0")
    write(files[1], NEW.replace("1.1.0", "1.2.0"))
    assert told(model, conversation="a") == ("canary", "1.2.0")
    assert told(model) == ("stable", "1.0.0")
    write(files[1], NEW.replace("name: polite", "name: other"))
    assert told(model, conversation="a") == ("canary", "1.2.0")
    assert model.policy_fault is not None
    assert "called 'other'" in model.policy_fault


def test_arms_share_recordings_and_no_cached_answers(files: tuple[Path, Path], tmp_path: Path) -> None:
    model = chat(files, 1.0, record=tmp_path / "rec.jsonl")
    told(model)
    told(model, conversation="a")
    recorder = model._opened().current().recorder
    assert recorder is not None
    recorder.flush()
    arms = [(one.arm, one.policy["version"]) for _, one in read_recordings(tmp_path / "rec.jsonl")]
    assert arms == [("stable", "1.0.0"), ("canary", "1.1.0")]
    keys = [model._get_llm_string(None, conversation=name) for name in (None, "a")]
    assert keys[0] != keys[1]
    assert load_policy(files[1]).sha256 in keys[1]


def hosted(files: tuple[Path, Path], share: float, **settings: Any) -> GuardedChatModel:
    canary = {"policy": files[1], "share": share, **settings.pop("canary", {})}
    return GuardedChatModel(inner=Said(), policy=files[0], canary=canary, cache=False, **settings)


async def test_a_hosted_model_has_the_same_arms(files: tuple[Path, Path]) -> None:
    model = hosted(files, 0.5)
    expected = {name: Canary("", 0.5).arm_of(name, None) for name in NAMES[:8]}
    for name, arm in expected.items():
        version = "1.1.0" if arm == "canary" else "1.0.0"
        for message in (model.invoke("Why?", conversation=name), await model.ainvoke("Why?", conversation=name)):
            receipt = message.response_metadata["ig_guardrail"]
            assert (receipt["arm"], receipt["policy"]["version"]) == (arm, version)
    assert model.invoke("Why?").response_metadata["ig_guardrail"]["arm"] == "stable"
    keys = {arm: model._get_llm_string(None, conversation=name) for name, arm in expected.items()}
    assert load_policy(files[1]).sha256 in keys["canary"]
    assert load_policy(files[0]).sha256 in keys["stable"]
    assert copy.deepcopy(model)._opened is model._opened
    again = pickle.loads(pickle.dumps(model._opened))  # noqa: S301
    assert [again.policy(AccountKey(name)).version for name in expected] == [
        "1.1.0" if arm == "canary" else "1.0.0" for arm in expected.values()
    ]


def test_arms_of_a_hosted_model_share_a_ledger_and_a_log_and_follow_their_files(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    model = hosted(files, 1.0, reload=True, audit=tmp_path / "audit.jsonl")
    model.invoke("Why?")
    write(files[1], NEW.replace("1.1.0", "1.2.0"))
    model.invoke("Why?", conversation="a")
    arms = [(one.arm, one.policy["version"]) for _, one in read_recordings(tmp_path / "audit.jsonl")]
    assert arms == [("stable", "1.0.0"), ("canary", "1.2.0")]
    write(files[1], NEW.replace("name: polite", "name: other"))
    model.invoke("Why?", conversation="a")
    assert "called 'other'" in str(model.policy_fault)
    with pytest.raises(PolicyError, match="the policy is called 'other'"):
        hosted(files, 0.0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NAMES[:4])
def test_a_middleware_and_the_model_within_it_are_in_one_arm(
    files: tuple[Path, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextChecks, "judged", lambda *_: pytest.fail("judged again, under another policy"))
    guard = GuardrailMiddleware(files[0], canary={"policy": files[1], "share": 0.5})
    agent: Any = create_agent(chat(files, 0.5), [], middleware=[guard])
    config = {"configurable": {"thread_id": name}}
    answer = agent.invoke({"messages": [HumanMessage("Why?")]}, config)["messages"][-1]
    assert answer.response_metadata["ig_guardrail"]["arm"] == Canary("", 0.5).arm_of(name, None)


def test_a_guard_in_a_chain_has_arms_and_follows_its_file(files: tuple[Path, Path]) -> None:
    guard = GuardRunnable(files[0], canary={"policy": files[1], "share": 1.0}, reload=True)

    def answered(**config: Any) -> tuple[str, str]:
        receipt = guard.invoke(AIMessageChunk(CALM), {"configurable": config}).response_metadata["ig_guardrail"]
        return receipt["arm"], receipt["policy"]["version"]

    assert [answered(), answered(thread_id="a")] == [("stable", "1.0.0"), ("canary", "1.1.0")]
    write(files[0], POLITE.replace("1.0.0", "1.0.1"))
    assert answered() == ("stable", "1.0.1")
    write(files[0], "budgets: [")
    assert (answered(), guard.policy_fault is None) == (("stable", "1.0.1"), False)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"share": 2}, "share is 2"),
        ({"share": True}, "share is True"),
        ({"by": "mood"}, "by is 'mood'"),
        ({"every": 3}, "'every' is no setting"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        ChatIGGuardrail(canary={"policy": "strict", "share": 0.5, **given})
    with pytest.raises(RequestError, match=why):
        GuardedChatModel(inner=Said(), policy="strict", canary={"policy": "strict", "share": 0.5, **given})
    with pytest.raises(RequestError, match="it has no 'share'"):
        ChatIGGuardrail(canary={"policy": "strict"})
    with pytest.raises(RequestError, match="it is 3"):
        GuardRunnable("strict", canary=3)  # type: ignore[arg-type]
