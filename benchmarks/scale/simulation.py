"""Replicas, streams and a ledger as events: when each block is drafted, judged, charged and shown. By simpy."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, TypeAlias

import simpy

from scale.machine import Machine

Events: TypeAlias = Generator[simpy.Event, Any, Any]


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of all replicas together.

    streams   answers being written at a time; as one ends, the next is asked for
    prompt    tokens of each that are not known yet
    answer    tokens of each
    block     tokens that are judged at a time
    charged   share of blocks that cost something of a budget that answers share
    guarded   whether they are guarded at all
    """

    streams: int
    prompt: int = 150
    answer: int = 48
    block: int = 16
    charged: float = 0.0
    guarded: bool = True


@dataclass(frozen=True, slots=True)
class Plant:
    """What serves. at_once: streams of one replica; rate: charges a second that the ledger bears, all together"""

    machine: Machine
    replicas: int
    at_once: int
    rate: float


@dataclass(slots=True)
class Found:
    """What came of it. seconds: simulated; busy: of all replicas; firsts, tokens: of answers, as they ended"""

    seconds: float = 0.0
    busy: float = 0.0
    tokens: int = 0
    charges: int = 0
    firsts: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Tokens a second, of all replicas."""
        return self.tokens / self.seconds

    def first(self, percent: int) -> float:
        """Seconds to the first text, of so many percent."""
        return quantiles(self.firsts, n=100)[percent - 1]


def simulate(plant: Plant, load: Load, requests: int, seed: int = 1) -> Found:
    """So many requests, asked by so many callers, each of whom waits for his answer."""
    env, found, chance = simpy.Environment(), Found(), random.Random(seed)
    ledger = simpy.Resource(env, capacity=max(1, round(plant.rate * plant.machine.charge)))
    replicas = [_Replica(env, plant, found) for _ in range(plant.replicas)]
    left = iter(range(requests))
    places = random.Random(seed)

    def place() -> _Replica:
        """The replica of a conversation: any of them, as hashing has it; where that is full, the next that is not."""
        first = places.randrange(plant.replicas)
        turned = [*replicas[first:], *replicas[:first]]
        return next((one for one in turned if one.slots.count < plant.at_once), turned[0])

    def call() -> Events:
        for _ in left:
            began = env.now
            replica = place()
            with replica.slots.request() as slot:
                yield slot
                yield replica.ask("read", load.prompt)
                shown = 0
                while shown < load.answer:
                    tokens = min(load.block, load.answer - shown)
                    yield replica.ask("draw", tokens)
                    yield replica.ask("judge" if load.guarded else "plain", tokens)
                    if load.guarded and chance.random() < load.charged:
                        yield from charge()
                    if not shown:
                        found.firsts.append(env.now - began)
                    shown += tokens
                found.tokens += shown

    def charge() -> Events:
        asked = env.now
        with ledger.request() as turn:
            yield turn
            yield env.timeout(plant.machine.charge)
        found.charges += 1
        found.waits.append(env.now - asked)

    ended = env.all_of([env.process(call()) for _ in range(load.streams)])
    env.run(ended)
    found.seconds = env.now
    return found


class _Replica:
    """One engine: it draws a token for all that are ready, judges what was drawn, and reads prompts between."""

    def __init__(self, env: simpy.Environment, plant: Plant, found: Found) -> None:
        self._env, self._machine, self._found = env, plant.machine, found
        self.slots = simpy.Resource(env, capacity=plant.at_once)
        self._work: deque[tuple[str, int, simpy.Event]] = deque()  # what is no drawing
        self._drawing: list[list[Any]] = []  # tokens that are left of a block, and what waits for them
        self._called = env.event()
        env.process(self._run())

    def ask(self, what: str, tokens: int) -> simpy.Event:
        """Work to be done; the event is its end."""
        over = self._env.event()
        if what == "draw":
            self._drawing.append([tokens, over])
        else:
            self._work.append((what, tokens, over))
        if not self._called.triggered:
            self._called.succeed()
        return over

    def _run(self) -> Events:
        machine = self._machine
        while True:
            if not self._work and not self._drawing:
                self._called = self._env.event()
                yield self._called
            while self._work:
                what, tokens, over = self._work.popleft()
                each = {"read": machine.read, "judge": machine.judge, "plain": machine.plain}[what]
                yield from self._busy(tokens * each + (machine.serve if what == "read" else 0.0))
                over.succeed()
                yield self._env.timeout(0)  # whoever waited for it has his next work to be done
            if self._drawing:
                drawn = list(self._drawing)
                yield from self._busy(machine.step(len(drawn)))
                for one in drawn:
                    one[0] -= 1
                    if not one[0]:
                        self._drawing.remove(one)
                        one[1].succeed()
                yield self._env.timeout(0)

    def _busy(self, seconds: float) -> Events:
        yield self._env.timeout(seconds)
        self._found.busy += seconds
