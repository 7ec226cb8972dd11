"""An endpoint, asked through the `openai` client: of a moderations endpoint, texts in and scores of categories out.

All that one call asks is asked at once, texts in lists of at most `MOST_TEXTS`; one time limit holds for all of it,
retries included. Errors say what failed and never repeat what the endpoint said, which may hold the key or the text.
Requests follow no redirect, and those to this machine no proxy, so texts go to the policy's address and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ig_guardrail.causes import log_cause
from ig_guardrail.errors import CostFailure, CostTimeout, ModelError, brief
from ig_guardrail.extras import require
from ig_guardrail.fields.addresses import THIS_MACHINE
from ig_guardrail.threads.event_loop import ForkedLoop, LoopThread

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MOST_TEXTS = 32  # in one request
RETRIES = 2  # of a request that does not get through, or is turned away for now (408, 409, 429, 5xx)

_USUAL_FIX = "repair the endpoint; `on_error: open` would let it be skipped, and every receipt would say so"
_FIXES = {
    401: "check the key in the environment variable that `api_key_env` names",
    404: "check `model` and `base_url`",
    429: "ask less often (a larger `every`, fewer `candidates`), or raise `timeout_ms`",
}

Result = TypeVar("Result")


class ScoreEndpoint:
    """One model of an endpoint. A thread of its own talks to it, and ends when this is collected."""

    def __init__(self, name: str, model: str, client: AsyncOpenAI, seconds: float) -> None:
        """name: of the cost model, for messages. seconds: how long one call may take."""
        self._name = name
        self._model = model
        self._client = client
        self._seconds = seconds
        self._thread = LoopThread(name, client)

    def judge(self, texts: Sequence[str], categories: Sequence[str]) -> list[Mapping[str, float]]:
        """For each text, the scores of those categories, in [0, 1]. Blocks the calling thread.

        Raises CostFailure if the endpoint fails or gives no such scores, CostTimeout if it takes too long.
        """
        lists = [texts[start : start + MOST_TEXTS] for start in range(0, len(texts), MOST_TEXTS)]
        found = self.ask([partial(self._moderated, one, categories) for one in lists])
        return [scores for answer in found for scores in answer]

    def ask(self, questions: Sequence[Callable[[AsyncOpenAI], Awaitable[Result]]]) -> list[Result]:
        """What each question gives, all asked at once. Blocks the calling thread. Raises as `judge` does.

        A question raises BadAnswer for an answer that it cannot use.
        """
        failure: CostFailure | None = None
        try:
            return self._thread.run(self._ask_all(questions))
        except CostFailure as error:
            failure = error
        except TimeoutError:
            reason = f"did not answer within {self._seconds:g} s"
            failure = self._failure(reason, "raise `timeout_ms`, or use a faster endpoint", CostTimeout)
        except ForkedLoop:
            reason = "is asked over connections of the process that this one was forked from"
            failure = self._failure(reason, "use it after the fork only, or start processes by 'spawn'")
        failure.__cause__ = failure.__context__ = None  # which may hold the texts, the key, or what was answered
        raise failure

    async def _ask_all(self, questions: Sequence[Callable[[AsyncOpenAI], Awaitable[Result]]]) -> list[Result]:
        """All answers. Raises the first failure; what is still being asked then is given up."""
        async with asyncio.timeout(self._seconds):
            asked = [asyncio.create_task(self._answer(one)) for one in questions]
            try:
                return [_given(await answer) for answer in asked]
            finally:
                for task in asked:
                    task.cancel()

    async def _answer(self, question: Callable[[AsyncOpenAI], Awaitable[Result]]) -> Result | CostFailure:
        """The answer, or why there is none. Raises nothing: an exit that is raised in a task would end its thread."""
        from openai import APIStatusError

        try:
            return await question(self._client)
        except APIStatusError as error:
            fix = _FIXES.get(error.status_code, _USUAL_FIX)
            return self._failure(f"answered with status {error.status_code}", fix)
        except UnusableReply as error:
            return self._failure(str(error), error.fix)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            log_cause(error)
            return self._failure(f"could not be asked ({type(error).__name__})", _USUAL_FIX)

    async def _moderated(
        self, texts: Sequence[str], categories: Sequence[str], client: AsyncOpenAI
    ) -> list[Mapping[str, float]]:
        reply = await client.moderations.with_raw_response.create(model=self._model, input=list(texts))
        return read_scores(reply.http_response.content, len(texts), categories)

    def _failure(self, reason: str, fix: str, kind: type[CostFailure] = CostFailure) -> CostFailure:
        what = f"cost model '{self._name}' failed: its endpoint {reason}"
        return kind(what, where=f"cost_models.{self._name}", why="what was not judged may not be shown", fix=fix)


def _given(answer: Result | CostFailure) -> Result:
    if isinstance(answer, CostFailure):
        raise answer
    return answer


def _is_cancelled() -> bool:
    """Whether the present task was told to end, by whoever waits for it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class UnusableReply(ValueError):
    """What an endpoint answered cannot be used; says what it lacks, and what to do about it."""

    def __init__(self, what: str, fix: str = "check `base_url`, `model` and `categories`") -> None:
        super().__init__(what)
        self.fix = fix


def read_scores(content: bytes, count: int, categories: Sequence[str]) -> list[Mapping[str, float]]:
    """The scores of those categories for each of `count` texts. Raises BadAnswer unless all are there, in [0, 1]."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        raise UnusableReply("did not answer in JSON") from None
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != count:
        given = len(results) if isinstance(results, list) else "no"
        raise UnusableReply(f"gave {given} results for {count} texts")
    return [{category: _score(result, category) for category in categories} for result in results]


def _score(result: Any, category: str) -> float:
    scores = result.get("category_scores") if isinstance(result, dict) else None
    score = scores.get(category) if isinstance(scores, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise UnusableReply(f"gave no score in [0, 1] for category '{category}'")
    return float(score)


def open_client(address: str, key: str | None, seconds: float) -> AsyncOpenAI:
    """A client for an address. Raises MissingExtra if the `openai` package is not installed.

    key: None sends a word that is no key. seconds: how long one request may take.
    Also raises ModelError for an address that is none.
    """
    require("openai", by="a cost model of kind `openai`", where="cost_models")
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    http = DefaultAsyncHttpxClient(follow_redirects=False, trust_env=not address.startswith(THIS_MACHINE))
    try:
        return AsyncOpenAI(
            api_key=key or "none", base_url=address, timeout=seconds, max_retries=RETRIES, http_client=http
        )
    except Exception as error:  # readers of addresses raise errors of their own
        raise ModelError(
            f"the address '{address}' cannot be read: {brief(error)}",
            where="cost_models",
            fix="write an `https://` address, or an `http://` address of this machine, with a port up to 65535",
        ) from error
