"""On an event loop nothing is read from files and no check is waited for: threads do that, and the loop stays free."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from ig_guardrail import ChatIGGuardrail, GuardedChatModel, GuardInput
from ig_guardrail.engine.loading import generation, models
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.integrations.langchain.checking.text_checks import TextChecks
from ig_guardrail.rollout import reload, rollout
from tests.golden.conversations import CALM, POLITE, compiled
from tests.unit.langchain.teller import teller


class Threads:
    """In which threads some functions ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: dict[str, list[threading.Thread]] = {}
        self._patch = monkeypatch

    def of(self, where: Any, name: str) -> None:
        ran, inner = self.seen.setdefault(name, []), getattr(where, name)

        def noted(*given: Any, **named: Any) -> Any:
            ran.append(threading.current_thread())
            return inner(*given, **named)

        self._patch.setattr(where, name, noted)

    def on_the_loop(self) -> list[str]:
        return [name for name, ran in self.seen.items() if threading.current_thread() in ran]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    engine = ScriptedEngine(Continuations({(0, 0): CALM}))
    monkeypatch.setattr(models, "load_engine", lambda model, **how: engine)
    return Threads(monkeypatch)


async def streamed(model: Any) -> str:
    return "".join([chunk.text async for chunk in model.astream("why?")])


async def protocol_events(model: Any) -> list[Any]:
    return [event async for event in await model.astream_events("why?", version="v3")]


WAYS: dict[str, Callable[[Any], Any]] = {
    "ainvoke": lambda model: model.ainvoke("why?"),
    "astream": streamed,
    "protocol events": protocol_events,
    "abatch": lambda model: model.abatch(["why?", "how?"]),
    "agenerate": lambda model: model.agenerate([[HumanMessage("why?")]]),
    "a chain": lambda model: (model | (lambda message: message.text)).ainvoke("why?"),
}


pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


@pytest.mark.parametrize("reloading", [False, True])
@pytest.mark.parametrize("way", WAYS)
async def test_a_policy_and_a_models_files_are_read_in_threads(
    way: str, reloading: bool, tmp_path: Path, threads: Threads
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLITE)
    threads.of(rollout, "load_policy")
    threads.of(generation, "read_defaults")
    threads.of(rollout, "state_of")
    model = ChatIGGuardrail(model="scripted", policy=file, seed=7, reload=reloading)
    for _ in range(2):
        await WAYS[way](model)
    assert threads.seen["load_policy"]
    assert not threads.on_the_loop()


async def test_a_file_that_is_followed_is_looked_at_in_a_thread(tmp_path: Path, threads: Threads) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLITE)
    local = ChatIGGuardrail(model="scripted", policy=file, seed=7, reload=True)
    hosted = GuardedChatModel(inner=teller(CALM), policy=file, reload=True)
    threads.of(reload, "_states")
    for model, opening in ((local, local._opened()), (hosted, hosted._opened)):
        for way in WAYS.values():
            await way(model)
            for following in opening._reloading.values():
                following._next = 0.0  # as if a tenth of a second had passed
    assert threads.seen["_states"]
    assert not threads.on_the_loop()


async def test_an_input_is_checked_in_a_thread(threads: Threads) -> None:
    threads.of(TextChecks, "refuses_prompt")
    assert await GuardInput(compiled()).ainvoke("why?") == "why?"
    assert threads.seen["refuses_prompt"]
    assert not threads.on_the_loop()
