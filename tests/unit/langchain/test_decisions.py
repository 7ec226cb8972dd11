"""Decision models: one of LangChain's as a cost model, and a policy as one of LangChain's, where LangChain has them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import GenerationFailed, ModelError, RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.decisions import DecisionCost, policy_decisions
from ig_guardrail.types import Message, Piece, Prompt, Receipt, Sampling
from tests.golden.conversations import CALM, KIND, POLITE, RUDE, compiled

INSULT = {"hte": "Does this answer insult anyone?"}
REFUSAL = "I would rather not say that."
HALF_SPENT = compiled(POLITE.replace("threshold: 0.5, budget: 0.0", "threshold: 0.5, budget: 0.25, weight: 0.5"))
TOOLS = 'tools: {deny: ["delete_*"]}\n'


@pytest.fixture
def decisions() -> Any:
    """LangChain's module of decision models, for tests that need one."""
    return pytest.importorskip("langchain_core.decisions")


@pytest.fixture
def manners(decisions: Any) -> Any:
    """A decision model that minds one word, and keeps the states it was asked about."""

    class Manners(decisions.BaseDecisionModel):
        model: str = "manners-1"
        seen: list[str] = []  # noqa: RUF012  # a pydantic field

        @property
        def _provider(self) -> str:
            return "tests"

        def _classify(self, state: Any, questions: Mapping[str, Any]) -> Any:
            self.seen.append(state)
            answer = decisions.NoulAnswer(type="noul", noul=0.9 if "blockhead" in state else 0.1)
            return decisions.ClassifierResponse(model=self.model, answers=dict.fromkeys(questions, answer))

    return Manners()


def answer(model: Any, told: Mapping[tuple[int, int], str]) -> Receipt:
    """What a guardrail says whose only cost model is a decision model."""
    rail = Guardrail(ScriptedEngine(Continuations(told)), compiled(), {"rude": DecisionCost(model, INSULT, "rude")})
    *_, last = rail.stream(GenerationRequest((Message("user", "Go."),), Sampling(seed=7, max_tokens=64)))
    assert last.receipt is not None
    return last.receipt


# ------------------------------------------------------------------------------------------ theirs as a cost model


def test_a_calm_answer_passes_and_is_charged_with_the_probability(manners: Any) -> None:
    receipt = answer(manners, {(0, 0): CALM})
    assert (receipt.verdict.outcome, receipt.text) == ("completed", CALM)
    assert {line.score for line in receipt.charges} == {0.1}


def test_an_answer_it_finds_harmful_gives_way_to_another_or_is_refused(manners: Any) -> None:
    assert answer(manners, {(0, 0): RUDE, (1, 0): KIND}).text == KIND
    assert answer(manners, {(0, 0): RUDE}).text == REFUSAL


def test_it_is_asked_about_the_whole_answer_so_far_and_not_about_what_was_asked(manners: Any) -> None:
    answer(manners, {(0, 0): CALM})
    asked = [state for state in manners.seen if CALM.startswith(state)]
    assert CALM in asked
    assert "The sky looks blue" in asked
    assert all("Go." not in state for state in asked)
    assert manners.seen.count("Go.") == 1, "the prompt, checked by the policy's rule"


def test_answers_of_one_wave_are_asked_about_together(manners: Any) -> None:
    cost = DecisionCost(manners, INSULT)
    start = cost.start(Prompt((), ()))
    folds = cost.advance([(start, Piece("You ")), ("You ", Piece("blockhead"))])
    assert folds == [("You ", (0.1,)), ("You blockhead", (0.9,))]


def test_hazards_keep_their_order(decisions: Any) -> None:
    def reply(request: Mapping[str, Any]) -> Any:
        chances = {"hte": 0.2, "prv": 0.7}
        answers = {name: decisions.NoulAnswer(type="noul", noul=chances[name]) for name in request["questions"]}
        return decisions.ClassifierResponse(model="m", answers=answers)

    cost = DecisionCost(RunnableLambda(reply), {"prv": "Private?", "hte": "Insulting?"})
    assert cost.hazards == ("prv", "hte")
    assert cost.advance([("", Piece("x"))]) == [("x", (0.7, 0.2))]


def test_an_answer_that_is_no_probability_fails_closed(decisions: Any) -> None:
    score = decisions.ScoreAnswer(type="score", score=0.0, legend={0: "kind"}, probabilities={0: 1.0}, confidence=1.0)
    for answers in ({"hte": score}, {}):
        reply = decisions.ClassifierResponse(model="m", answers=answers)
        ranking = RunnableLambda(lambda request, reply=reply: reply)
        with pytest.raises(GenerationFailed, match="gave no probability for 'hte'") as failed:
            answer(ranking, {(0, 0): CALM})
        assert failed.value.receipt.text == ""


def test_a_decision_model_that_raises_fails_closed(manners: Any) -> None:
    class Down(type(manners)):  # type: ignore[misc]
        def _classify(self, state: Any, questions: Any) -> Any:
            raise ConnectionError("the service is down")

    with pytest.raises(GenerationFailed, match=r"it raised ConnectionError\n"):
        answer(Down(), {(0, 0): CALM})


def test_its_hash_tells_models_and_questions_apart(manners: Any) -> None:
    one, again = DecisionCost(manners, INSULT), DecisionCost(manners, INSULT)
    others = [
        DecisionCost(manners, {"hte": "Is this rude?"}),
        DecisionCost(manners.model_copy(update={"model": "manners-2"}), INSULT),
    ]
    assert one.sha256 == again.sha256
    assert one.sha256 not in [other.sha256 for other in others]


def test_a_cost_without_questions_is_refused(manners: Any) -> None:
    with pytest.raises(ModelError, match="has no questions"):
        DecisionCost(manners, {})


# ------------------------------------------------------------------------------------------------ a policy as theirs


def strain(policy: Any, state: Any) -> float:
    model = policy_decisions(policy)
    response = model.invoke({"state": state, "questions": model.questions})
    (found,) = response.nouls.values()
    chance: float = found.noul
    return chance


@pytest.mark.usefixtures("decisions")
def test_a_policy_tells_whether_a_text_breaks_a_budget() -> None:
    assert strain(compiled(), "You blockhead.") == 1.0
    assert strain(compiled(), CALM) == 0.0
    assert strain(HALF_SPENT, "You blockhead.") == 0.5, "used up, and not overdrawn"


@pytest.mark.usefixtures("decisions")
@pytest.mark.parametrize(
    "state",
    [
        HumanMessage("You blockhead."),
        [HumanMessage("Hello."), AIMessage("You blockhead.")],
        {"tool_call": {"id": "1", "name": "send", "args": {"text": "You blockhead."}}, "messages": []},
    ],
)
def test_messages_and_tool_calls_are_read_too(state: Any) -> None:
    assert strain(compiled(), state) == 1.0


@pytest.mark.usefixtures("decisions")
async def test_the_same_when_awaited() -> None:
    model = policy_decisions(compiled())
    response = await model.ainvoke({"state": "You blockhead.", "questions": model.questions})
    assert response.nouls["rudeness"].noul == 1.0
    assert response.model == "polite 1.0.0"


def test_another_question_or_state_is_refused_and_not_guessed_at(decisions: Any) -> None:
    model = policy_decisions(compiled())
    ours = model.questions["rudeness"].instructions
    for question in (
        decisions.Noul(instructions="Is it raining?"),
        decisions.Choice(instructions=ours, criteria={"a": 1}),
    ):
        with pytest.raises(RequestError, match=r"ask one of: Does this break budget 'rudeness' of the policy\?"):
            model.invoke({"state": "hello", "questions": {"rudeness": question}})
    for state in (["a", "b"], {"text": "a"}, []):
        with pytest.raises(RequestError, match="the state is"):
            model.invoke({"state": state, "questions": model.questions})


@pytest.mark.usefixtures("decisions")
@pytest.mark.filterwarnings("ignore")
def test_auto_mode_blocks_a_call_that_the_policy_denies() -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "AutoModeMiddleware"):
        pytest.skip("this LangChain has no auto mode")
    model = policy_decisions(compiled(POLITE + TOOLS))
    (question,) = [asked for name, asked in model.questions.items() if name != "rudeness"]
    auto = middleware.AutoModeMiddleware(tools=["delete_file"], instructions=question.instructions, classifier=model)
    call = {"name": "delete_file", "args": {"name": "a"}, "id": "1", "type": "tool_call"}
    request = middleware.types.ToolCallRequest(tool_call=call, tool=None, state={"messages": []}, runtime=None)
    denied = auto.wrap_tool_call(request, lambda request: pytest.fail("the call was made"))
    assert denied.status == "error"


# --------------------------------------------------------------------------------------------------------- in between


def test_where_langchain_has_no_decision_models_the_first_use_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_core.decisions", None)
    monkeypatch.delattr("langchain_core.decisions", raising=False)
    for use in (lambda: policy_decisions(compiled()), lambda: DecisionCost(RunnableLambda(str), INSULT)):
        with pytest.raises(ModelError, match=r"this LangChain has no decision models[\s\S]*langchain-core>=1\.8"):
            use()
