"""Prompts: what is read once of those that begin alike, and how long others wait while a long one is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from statistics import quantiles
from threading import Event

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Draw, Message, Node, Sampling
from speed.stage import BLOCK, Stage, unhindered
from speed.timing import in_turn, ratios, row, seconds
from speed.together import LENGTHS, waits

PART = "prompts that begin alike"
WAITING = "streams beside a long prompt"
SHARED = 2000  # tokens
TURNS, WORDS = 10, 30  # of a conversation; each message has about three times as many tokens
ANSWER = 96  # tokens
SAID = Sampling(temperature=0.7, seed=1, max_tokens=ANSWER)
LONG = 4000  # tokens
TOKENS = 16
STREAMED = 32  # tokens of each stream that waits


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """The first token of a second request, a conversation of ten turns, and waits beside a prompt of 4,000 tokens."""
    rail = stage.rail(unhindered(stage.policy))
    fresh = count()
    runs: dict[str, Callable[[int], tuple[list[float], list[float]]]] = {
        "both": lambda _: first_tokens(stage, rail, next(fresh))
    }
    both = in_turn(runs, pairs, "a shared beginning")["both"]
    token, text = ([second[place] / first[place] for first, second in both] for place in (0, 1))
    ways = {
        "turns": lambda _: seconds(lambda: conversation(stage, TURNS, f"{next(fresh)}")),
        "once": lambda _: seconds(lambda: read(stage, TURNS - 1, None)),
        "anew": lambda _: seconds(lambda: conversation(stage, TURNS, None)),
    }
    talks = in_turn(ways, min(pairs, 3), "a conversation of ten turns")
    drawn = in_turn({"both": lambda _: talk(stage, f"talk {next(fresh)}")}, min(pairs, 3), "answers drawn")["both"]
    few = [stage.asked(length, STREAMED) for length in LENGTHS[:-1]]
    long = stage.asked(LONG, TOKENS)
    beside = in_turn(
        {"beside": lambda _: beside_prompt(rail, long, few), "alone": lambda _: waits(rail, few)},
        pairs,
        "beside a long prompt",
    )
    late = ratios(*([quantiles(one, n=100, method="inclusive")[98] for one in own] for own in beside.values()))
    return [
        row(
            PART,
            "second",
            f"time to the first token, a second request behind {SHARED} shared tokens / the first",
            token,
            at_most=0.1,
        ),
        row(PART, "text", f"the same to the first text shown, which is judged {BLOCK} tokens at a time", text),
        row(
            PART,
            "turns",
            f"CPU time of all {TURNS} prompts of a conversation / of the last one read once",
            ratios(talks["turns"], talks["once"]),
            at_most=1.1,
        ),
        row(
            PART,
            "drawn",
            f"the same where the answers, {ANSWER} tokens each, were drawn here",
            [turns / once for turns, once in drawn],
            at_most=1.1,
        ),
        row(PART, "anew", "the same without the prompt cache", ratios(talks["anew"], talks["once"])),
        row(
            WAITING,
            "wait",
            f"99th percentile of the wait of {len(few)} streams while a prompt of {LONG} tokens is read / without",
            late,
            at_most=3.0,
        ),
    ]


def first_tokens(stage: Stage, rail: Guardrail, number: int) -> tuple[list[float], list[float]]:
    """Of two requests that begin with the same 2,000 tokens, new ones: wall seconds to the first token, and to text."""
    story = stage.asked(SHARED, TOKENS)
    about = f"{number}. {story.turns[0].text}"

    def ask(kind: str, question: str) -> tuple[float, float]:
        turns = (Message("system", f"{kind} {about}"), Message("user", question))
        prompt = replace(stage.engine.encode(turns), cache_salt="")
        began = time.perf_counter()
        root = stage.engine.open(prompt, story.sampling).result()
        stage.engine.extend([Draw(root)], 1).result()
        token = time.perf_counter() - began
        stage.engine.close(root)
        turns = (Message("system", f"{kind}, text {about}"), Message("user", question))
        began = time.perf_counter()
        stream = rail.stream(replace(story, turns=turns, cache_salt=""))
        next(stream)
        text = time.perf_counter() - began
        stream.close()
        return token, text

    first, second = ask("Read", "What is this about?"), ask("Read", "Who tells it?")
    return list(first), list(second)


def conversation(stage: Stage, turns: int, salt: str | None) -> None:
    """Read the prompts of a conversation of so many turns, each the beginning of the next."""
    for turn in range(turns):
        read(stage, turn, salt)


def talk(stage: Stage, salt: str) -> tuple[float, float]:
    """CPU seconds of all prompts of a conversation whose answers the model gives, and of its last prompt read once."""
    said: list[Message] = []
    spent = 0.0
    for turn in range(TURNS):
        said.append(Message("user", f"{turn}." + " and the wind" * WORDS))
        prompt = replace(stage.engine.encode(said), cache_salt=salt)
        opened: list[Node] = []
        spent += seconds(lambda: opened.append(stage.engine.open(prompt, SAID).result()))  # noqa: B023  # called here
        node = opened[0]
        while node.finish is None:
            (node,) = stage.engine.extend([Draw(node)], BLOCK).result()
        stage.engine.keep(node)
        stage.engine.close(opened[0])
        said.append(Message("assistant", node.text))
    alone = replace(prompt, cache_salt=None)
    return spent, seconds(lambda: stage.engine.close(stage.engine.open(alone, SAID).result()))


def read(stage: Stage, turn: int, salt: str | None) -> None:
    """The prompt of one turn, behind those before and their answers; nothing is drawn."""
    said = [
        Message("assistant" if number % 2 else "user", f"{number}." + " and the wind" * WORDS)
        for number in range(2 * turn + 1)
    ]
    prompt = replace(stage.engine.encode(said), cache_salt=salt)
    stage.engine.close(stage.engine.open(prompt, Sampling()).result())


def beside_prompt(rail: Guardrail, long: GenerationRequest, few: list[GenerationRequest]) -> list[float]:
    """`waits` while prompts of the long request's length are read, one after another."""
    over = Event()

    def keep_reading() -> int:
        answered = 0
        while not over.is_set():
            next(stream := rail.stream(long))
            stream.close()
            answered += 1
        return answered

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(keep_reading)
        found = waits(rail, few)
        if reading.done():
            raise GuardrailError("nothing was read beside the streams", where="benchmark")
        over.set()
        reading.result()
    return found
