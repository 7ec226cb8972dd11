"""Guarded streams on vLLM: their invariants, that they end when they should, and the same verdicts as elsewhere."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from itertools import takewhile
from typing import Any

import psutil
import pytest
from langchain_core.tools import tool

from ig_guardrail.drive.charging import charge_text
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.runners import finish
from ig_guardrail.engine.kinds import EngineChoice
from ig_guardrail.engine.vllm.opening import open_vllm
from ig_guardrail.errors import EngineClosed, EngineError, GenerationFailed, RequestError
from ig_guardrail.evaluate.prompts import read_prompts
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.types import AssistantMessage, Chunk, Draw, Message, Receipt, Sampling

PROMPTS = read_prompts(files("ig_guardrail.evaluate.prompt_sets") / "demo.jsonl")[:7]
EVERYDAY = (
    "Explain why the sea is salty to a child.",
    "How do I press flowers in a book?",
    "Give me three tips for a first camping trip.",
    "Tell a short story about a ferry captain and a gull.",
    "Write a short thank-you note to a librarian.",
    "What can I cook with rice, eggs and spinach?",
)
SEED = 7


def asked(prompt: str, strategy: str | None = None, **sampling: Any) -> GenerationRequest:
    changes = {"temperature": 0.7, "seed": SEED, "max_tokens": 48} | sampling
    return GenerationRequest((Message("user", prompt),), Sampling(**changes), strategy)


def streamed(rail: Guardrail, request: GenerationRequest) -> tuple[str, Receipt]:
    """All that was shown, and the receipt."""
    chunks: list[Chunk] = list(rail.stream(request))
    (receipt,) = [chunk.receipt for chunk in chunks if chunk.receipt is not None]
    return "".join(chunk.text for chunk in chunks), receipt


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something comes true, which is looked for now and then."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        threading.Event().wait(0.05)
    return true()


def unfinished(rail: Guardrail) -> int:
    """Requests that vLLM holds."""
    return int(rail.engine._operations.requests.llm.get_num_unfinished_requests())  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------------- invariants


@pytest.fixture(scope="session")
def shown(rail: Guardrail) -> list[tuple[str, Receipt]]:
    """The demo's prompts, answered under the default policy."""
    return [streamed(rail, asked(row.prompt)) for row in PROMPTS]


def test_streams_stay_within_their_budgets(rail: Guardrail, shown: list[tuple[str, Receipt]]) -> None:
    for text, receipt in shown:
        assert text == receipt.text
        assert receipt.verdict.guarded
        assert receipt.verdict.outcome in ("completed", "refused", "ended")
        assert receipt.model["engine"].startswith("vllm-0.32.0/")
        assert all(charge.z_after >= 0 for charge in receipt.charges)
        assert receipt.substitutes == {}, "the packaged heads read the states of this engine"
    assert rail.engine.live_nodes() == 0


def test_drafts_that_go_over_budget_are_replaced(shown: list[tuple[str, Receipt]]) -> None:
    replaced = [receipt for _, receipt in shown if receipt.unsafe]
    assert replaced
    assert any(receipt.verdict.outcome == "completed" for receipt in replaced)


def test_what_is_calm_is_the_unguarded_stream(rail: Guardrail) -> None:
    """Each alone, one after another; calm is an answer for which nothing was drawn but what was shown."""
    calm = []
    for prompt in EVERYDAY:
        text, receipt = streamed(rail, asked(prompt))
        if receipt.tokens["discarded"] == 0:
            calm.append((text, streamed(rail, asked(prompt, "none"))[0]))
    assert len(calm) >= 4
    assert [text for text, _ in calm] == [plain for _, plain in calm]


def test_calm_streams_repeat_by_their_seeds_alone(rail: Guardrail) -> None:
    """Those that are searched for have candidates beside them, of which vLLM takes now these, now those in a pass."""
    requests = [asked(prompt, seed=seed, max_tokens=24) for seed, prompt in enumerate(EVERYDAY[:3])]
    alone = [streamed(rail, request) for request in requests]
    assert [receipt.tokens["discarded"] for _, receipt in alone] == [0, 0, 0]
    assert [streamed(rail, request)[0] for request in reversed(requests)] == [text for text, _ in reversed(alone)]


def test_beside_others_streams_go_by_their_seeds_until_rounding_parts_them(rail: Guardrail) -> None:
    requests = [asked(prompt, seed=seed, max_tokens=24) for seed, prompt in enumerate(EVERYDAY)]
    alone = [streamed(rail, request)[0] for request in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        together = list(pool.map(lambda request: streamed(rail, request)[0], requests))
    others = [streamed(rail, asked(prompt, seed=seed + 99, max_tokens=24))[0] for seed, prompt in enumerate(EVERYDAY)]
    same = sum(a == b for a, b in zip(alone, together, strict=True))
    print(f"{same} of {len(alone)} texts are the same beside others, where bfloat16 may round otherwise")
    assert shared(alone, together) > 1.5 * shared(alone, others)


def shared(texts: Sequence[str], others: Sequence[str]) -> int:
    """Characters that texts begin with alike, in all."""
    pairs = [zip(text, other, strict=False) for text, other in zip(texts, others, strict=True)]
    return sum(sum(1 for _ in takewhile(lambda both: both[0] == both[1], pair)) for pair in pairs)


def test_tools_are_called_by_their_form(rail: Guardrail) -> None:
    @tool
    def weather(city: str, days: int) -> str:
        """Tells the weather."""
        return f"{city} {days}"

    model = ChatIGGuardrail(guardrail=rail, seed=3, max_tokens=64).bind_tools([weather], tool_choice="weather")
    message = model.invoke("What will the weather be like in Oslo for three days?")
    (call,) = message.tool_calls
    assert (call["name"], sorted(call["args"])) == ("weather", ["city", "days"])


# --------------------------------------------------------------------------------------------- the same verdicts


def test_the_same_texts_are_charged_the_same(
    rail: Guardrail, usual: Guardrail, shown: list[tuple[str, Receipt]]
) -> None:
    assert rail.engine.info.model_sha256 == usual.engine.info.model_sha256
    apart = []
    for row, (text, _) in zip(PROMPTS, shown, strict=True):
        for said in filter(None, (text, "You are a stupid, worthless idiot and I hate you.")):
            one, other = (
                finish(charge_text(each.engine, each.costs, None, row.prompt, AssistantMessage(said)))
                for each in (rail, usual)
            )
            assert [charge.position for charge in one.charges] == [charge.position for charge in other.charges]
            apart += [abs(a.score - b.score) for a, b in zip(one.charges, other.charges, strict=True)]
            near = min((abs(left) for left in other.left.values()), default=1.0)
            assert near < 0.03 or {name: left < 0 for name, left in one.left.items()} == {
                name: left < 0 for name, left in other.left.items()
            }
    print(f"scores apart: at most {max(apart):.4f}, on average {sum(apart) / len(apart):.5f}, of {len(apart)}")
    assert max(apart) < 0.05


# ------------------------------------------------------------------------------------------- the end of a request


def test_work_that_nobody_waits_for_ends(rail: Guardrail) -> None:
    engine = rail.engine
    root = engine.open(engine.encode((Message("user", "Count."),)), Sampling(max_tokens=1500)).result()
    for draw in (Draw(root), Draw(root, 3, 1)):
        before = unfinished(rail)
        work = engine.extend([draw], 1400)
        assert until(lambda before=before: unfinished(rail) > before)
        work.cancel()
        assert until(lambda before=before: unfinished(rail) <= before)
    engine.close(root)
    assert until(lambda: unfinished(rail) == 0)


def test_closing_a_request_ends_its_work(rail: Guardrail) -> None:
    engine = rail.engine
    root = engine.open(engine.encode((Message("user", "Count."),)), Sampling(max_tokens=1500)).result()
    work = engine.extend([Draw(root, 2)], 1400)
    assert until(lambda: unfinished(rail) == 2)
    engine.close(root)
    with pytest.raises(EngineClosed):
        work.result()
    assert until(lambda: unfinished(rail) == 0)


def test_a_stream_that_is_left_leaves_nothing(rail: Guardrail) -> None:
    stream = rail.stream(asked(PROMPTS[3].prompt, max_tokens=400))
    next(stream)
    stream.close()
    assert until(lambda: unfinished(rail) == 0)
    assert rail.engine.live_nodes() == 0


def test_sessions_that_wait_make_room(rail: Guardrail) -> None:
    engine = rail.engine
    roots = [
        engine.open(engine.encode((Message("user", f"Count to {n}."),)), Sampling(max_tokens=64, seed=n)).result()
        for n in range(40)
    ]
    nodes = [future.result()[0] for future in [engine.extend([Draw(root)], 4) for root in roots]]
    assert until(lambda: unfinished(rail) <= 32)
    further = [future.result()[0] for future in [engine.extend([Draw(node)], 4) for node in nodes if not node.finish]]
    assert all(node.position > 4 or node.finish for node in further)
    for root in roots:
        engine.close(root)
    assert until(lambda: unfinished(rail) == 0)


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"speculative_config": "{}"}, "tokens are drawn by this engine"),
        ({"tensor_paralel_size": 2}, "'tensor_paralel_size' is not one of them"),
        ({"max_num_seqs": "many"}, "vLLM does not take the options"),
        ({"layers": "16,99"}, "layer 99"),
        ({"layers": "x"}, "give numbers"),
    ],
)
def test_options_that_are_not_taken_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        open_vllm(EngineChoice("embedded", options=options))


def test_another_context_than_the_models_is_refused_in_words() -> None:
    with pytest.raises((RequestError, EngineError), match=r"context|max_model_len"):
        open_vllm(EngineChoice("embedded", context=10**6))


# ----------------------------------------------------------------------------------------------- last: vLLM dies


def test_when_vllm_dies_streams_fail_and_show_nothing_more(rail: Guardrail) -> None:
    stream = rail.stream(replace(asked(PROMPTS[3].prompt), sampling=Sampling(max_tokens=600, seed=1)))
    shown = [next(stream).text]
    for process in psutil.Process().children(recursive=True):
        if "VLLM" in process.name() or "spawn_main" in " ".join(process.cmdline()):
            process.send_signal(signal.SIGKILL)
    with pytest.raises(GenerationFailed) as failure:
        shown += [chunk.text for chunk in stream]
    assert failure.value.receipt.verdict.outcome == "failed"
    assert failure.value.receipt.text == "".join(shown)
    assert until(lambda: rail.engine.closed)  # type: ignore[attr-defined]
    root = rail.engine.open(rail.engine.encode((Message("user", "Hi."),)), Sampling()).result()
    with pytest.raises(EngineError):
        rail.engine.extend([Draw(root)], 4).result()
