"""What is known of one request while it is served: the one account that metrics, traces and log lines are made of."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from langchain_core.messages import BaseMessage

from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.integrations.langchain.options import CallOptions
from ig_guardrail.integrations.openai_server.events import End, Ended, Told
from ig_guardrail.integrations.openai_server.faults import GONE
from ig_guardrail.stream.receipt import as_dict
from ig_guardrail.types import Outcome

Served: TypeAlias = Outcome | Literal["left", "rejected", "served"]
WORST: tuple[Outcome, ...] = ("failed", "cancelled", "refused", "ended", "completed")
FAULT = 500  # the first status that tells of a fault of the server's
ERROR = 400  # and of the caller's


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for which answers. Nothing here is a caller's words, unless texts are traced.

    model, policy  by the server's names; policy_sha256 names what the policy says
    options        with the tenant, and how many answers are asked for
    texts          the messages, where they are traced; else none
    """

    model: str
    policy: str
    policy_sha256: str
    options: CallOptions
    texts: Sequence[BaseMessage] = ()

    @property
    def tenant(self) -> str | None:
        """Whose budgets are spent."""
        return self.options.tenant


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer that ended. finish: None where the guard failed"""

    finish: Ended | None
    receipt: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Account:
    """One request. Times are seconds since it came.

    endpoint  the path of its route; "other" where there is none
    headers   of the request, where its caller's trace is looked for; none where nothing is traced
    id        as the reply names it
    gaps      seconds between two pieces of one answer, as they were given to the wire
    broke     whether something else than the guard failed in mid-answer
    """

    method: str = ""
    endpoint: str = "other"
    headers: Mapping[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    began_ns: int = field(default_factory=time.time_ns)
    id: str = ""
    status: int | None = None
    asking: Asking | None = None
    answers: list[Answered] = field(default_factory=list)
    first_delivered: float | None = None
    gaps: list[float] = field(default_factory=list)
    broke: bool = False
    seconds: float = 0.0
    _last: dict[int, float] = field(default_factory=dict)

    async def following(self, events: AsyncGenerator[Told, None]) -> AsyncGenerator[Told, None]:
        """The same events, noted as they pass."""
        async with aclosing(events):
            try:
                async for told in events:
                    self._note(told)
                    yield told
            except GenerationFailed as failure:
                self.answers.append(Answered(None, as_dict(failure.receipt)))
                raise
            except Exception as error:
                self.broke = not isinstance(error, RequestError)
                raise

    @property
    def outcome(self) -> Served:
        """How it went: the worst of its answers; `left` where the caller did not wait for the end of all."""
        outcomes = [answered.receipt["verdict"]["outcome"] for answered in self.answers]
        if self.broke or "failed" in outcomes or (self.status or 0) >= FAULT:
            return "failed"
        if self.asking is not None and len(outcomes) == self.asking.options.n:
            return next(one for one in WORST if one in outcomes)
        if self.status in (None, GONE) or (self.asking is not None and self.status < ERROR):
            return "left"
        return "rejected" if self.status >= ERROR else "served"

    @property
    def unended(self) -> int:
        """How many answers it asked for that have not ended."""
        return 0 if self.asking is None else self.asking.options.n - len(self.answers)

    def _note(self, told: Told) -> None:
        moment = time.monotonic()
        if isinstance(told.event, End):
            self.answers.append(Answered(told.event.finish, told.event.receipt))
            return
        if self.first_delivered is None:
            self.first_delivered = moment - self.began
        if told.choice in self._last:
            self.gaps.append(moment - self._last[told.choice])
        self._last[told.choice] = moment
