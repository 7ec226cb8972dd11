"""Cost models that the program gives: through the chat model, the middleware and a guardrail opened by name."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage

from ig_guardrail import assembly
from ig_guardrail.engine.loading import models
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import CostFailure, CostTimeout, ModelError, RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.checking.text_checks import readings, text_checks
from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Piece, Prompt
from tests.distributions import install
from tests.golden.conversations import KIND, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.obliging import denied_by

PATTERN = "kind: pattern, hazards: [hte], patterns: ['(?i)\\bblockhead'], longest_match: 9"
OPEN = POLITE.replace(PATTERN, "kind: provided, hazards: [hte]")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Minding:
    """Minds one word, wherever it stands in the answer."""

    hazards = ("hte",)
    granularity: Any = "block"
    reading: Any = "level"
    layers: tuple[int, ...] = ()
    longest_match = 0

    def __init__(self, word: str = "blockhead") -> None:
        self.name, self.sha256, self.word = "minding", word, word

    def start(self, prompt: Prompt) -> str:
        return ""

    def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
        texts = [known + piece.text for known, piece in steps]
        return [(text, (float(self.word in text),)) for text in texts]


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name opens a scripted model."""
    engine = ScriptedEngine(Continuations({(0, 0): RUDE, (1, 0): KIND}))
    monkeypatch.setattr(models, "load_engine", lambda model, **how: engine)


def chat(*, cache: InMemoryCache | None = None, **cost_models: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(model="scripted", policy=compiled(OPEN), seed=7, cost_models=cost_models, cache=cache)


def test_a_chat_model_is_held_to_the_cost_model_that_it_is_given() -> None:
    assert chat(rude=Minding()).invoke("Go.").content == KIND
    assert chat(rude=Minding("absent")).invoke("Go.").content == RUDE


def test_a_guardrail_opened_by_name_takes_them_too() -> None:
    rail = assembly.open_guardrail(GuardrailSpec("scripted", compiled(OPEN), cost_models={"rude": Minding()}))
    assert set(rail.costs.hashes) == {"rude"}


def test_without_it_the_chat_model_is_not_opened() -> None:
    with pytest.raises(ModelError, match="the program gives no cost model 'rude'"):
        chat().invoke("Go.")


def test_what_the_policy_names_itself_cannot_be_replaced() -> None:
    model = ChatIGGuardrail(model="scripted", policy=compiled(), cost_models={"rude": Minding("absent")})
    with pytest.raises(ModelError, match="the policy does not ask the program for a cost model 'rude'"):
        model.invoke("Go.")


def test_what_is_no_cost_model_is_refused_at_once() -> None:
    with pytest.raises(RequestError, match="cost_models: "):
        chat(rude="blockhead")


def test_a_copy_shares_it() -> None:
    minding = Minding()
    minding.lock = threading.Lock()  # type: ignore[attr-defined]  # which cannot be copied
    assert copy.deepcopy(chat(rude=minding)).cost_models["rude"] is minding


def test_it_is_no_part_of_what_is_written_down() -> None:
    model = chat(rude=Minding())
    assert "cost_models" not in model.model_dump()
    assert "Minding" not in repr(model)


def test_one_cache_never_serves_what_another_cost_model_let_through() -> None:
    cache = InMemoryCache()
    assert chat(cache=cache, rude=Minding("absent")).invoke("Go.").content == RUDE
    assert chat(cache=cache, rude=Minding()).invoke("Go.").content == KIND


def test_nor_what_another_version_of_an_installed_one_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    policy = compiled(POLITE.replace(PATTERN, "kind: python, entry_point: shouting, hazards: [hte]"))
    install(tmp_path, "shouting-costs", "1.0")
    model = ChatIGGuardrail(model="scripted", policy=policy, seed=7)
    old = model._get_llm_string()
    assert model._get_llm_string() == old
    (tmp_path / "shouting_costs-1.0.dist-info" / "METADATA").write_text("Name: shouting-costs\nVersion: 1.1\n")
    assert model._get_llm_string() != old


def test_another_cost_model_under_the_same_name_is_opened_anew() -> None:
    model = chat(rude=Minding("absent"))
    assert model.invoke("Go.").content == RUDE
    model.cost_models = {"rude": Minding()}
    assert model.invoke("Go.").content == KIND


def test_an_open_guardrail_keeps_its_own() -> None:
    with pytest.raises(RequestError, match="both a guardrail and cost models are given"):
        ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): KIND}), cost_models={"rude": Minding()})


class Deep(Minding):
    layers = (2,)


def test_a_prompt_check_with_hidden_states_is_refused_when_it_is_opened() -> None:
    with pytest.raises(ModelError, match="the prompt check cannot use the cost model 'rude'"):
        chat(rude=Deep()).invoke("Go.")
    with pytest.raises(ModelError, match="the prompt check cannot use the cost model 'rude'"):
        text_checks(compiled(OPEN), {"rude": Deep()})


class Said(GenericFakeChatModel):
    """A hosted model, as far as an agent can tell."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


async def test_the_middleware_checks_with_it_and_leaves_the_event_loop_free() -> None:
    loop = asyncio.get_running_loop()

    class Waiting(Minding):
        def advance(self, steps: Any) -> Any:
            free = threading.Event()
            loop.call_soon_threadsafe(free.set)
            assert free.wait(10), "the event loop is blocked"
            return super().advance(steps)

    guarded = GuardrailMiddleware(compiled(OPEN), cost_models={"rude": Waiting()})
    agent: Any = create_agent(Said(messages=iter([AIMessage("Hello.")])), [], middleware=[guarded])
    result = await agent.ainvoke({"messages": [HumanMessage("Go, blockhead.")]})
    assert result["messages"][-1].content == "I would rather not say that."


class Nonsense(Minding):
    def advance(self, steps: Any) -> Any:
        return [(state, (float("nan"),)) for state, _ in steps]


def test_a_text_check_fails_closed_where_a_cost_model_gives_no_score() -> None:
    checks = text_checks(compiled(OPEN), {"rude": Nonsense()})
    with pytest.raises(CostFailure, match="which is not a score"):
        checks.refuses_prompt("Go.")
    with pytest.raises(CostFailure, match="which is not a score"):
        denied_by(checks, readings("search", {}))


class OfTwo(Minding):
    hazards: Any = ("hte", "prv")

    def advance(self, steps: Any) -> Any:
        return [(state, (0.0, float("blockhead" in piece.text))) for state, piece in steps]


def test_a_text_check_reads_the_scores_of_its_budgets_hazards_alone() -> None:
    """As a guardrail does: what a cost model says of a hazard that a budget does not name costs it nothing."""
    policy = compiled(OPEN.replace("kind: provided, hazards: [hte]", "kind: provided, hazards: [hte, prv]"))
    checks = text_checks(policy, {"rude": OfTwo()})
    (budget,) = checks.budgets
    assert budget.hazards == ("hte",)
    assert denied_by(checks, ["You blockhead."]) is None
    assert checks.strain(budget, ["You blockhead."]) == 0.0
    wider = compiled(
        OPEN.replace("kind: provided, hazards: [hte]", "kind: provided, hazards: [hte, prv]").replace(
            "id: rudeness, hazards: [hte]", "id: rudeness, hazards: [hte, prv]"
        )
    )
    assert denied_by(text_checks(wider, {"rude": OfTwo()}), ["You blockhead."]) == "rudeness"


def test_a_text_check_takes_no_longer_than_the_policy_allows() -> None:
    over = threading.Event()

    class Hanging(Minding):
        def advance(self, steps: Any) -> Any:
            over.wait(60)
            return super().advance(steps)

    checks = text_checks(compiled(OPEN.replace("60000", "50")), {"rude": Hanging()})
    try:
        with pytest.raises(CostTimeout, match="did not answer in time"):
            checks.refuses_prompt("Go.")
    finally:
        over.set()
    assert checks.refuses_prompt("Go, blockhead.")
