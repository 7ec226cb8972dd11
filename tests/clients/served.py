"""A server on a port of this machine, with a policy for each way in which an answer may go.

Prints its port, and serves until its input is closed.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations, Distribution, TokenPlace, Vocabulary, words
from ig_guardrail.errors import EngineError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server.app import make_app
from tests.golden.conversations import CALM, LATE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.obliging import obliging_guardrail
from tests.unit.langchain.test_thoughts import FREE, MIND, written
from tests.unit.server.serving import server_of

THINKER = Continuations({(0, 0): written(MIND, CALM)}, thoughts=FREE)
BEGUN = " ".join(CALM.split()[:12])


@dataclass
class Endless:
    """Repeats itself, and counts the tokens that it was asked for."""

    drawn: int = 0
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(list(dict.fromkeys(words(CALM)))))

    def next_tokens(self, place: TokenPlace) -> Distribution:
        self.drawn += 1
        return [(len(place.prefix) % self.vocabulary.end, 1.0)]


@dataclass(frozen=True)
class Failing:
    """Fails in the middle of its answer."""

    said: Continuations = field(default_factory=lambda: Continuations({(0, 0): CALM}))

    @property
    def vocabulary(self) -> Vocabulary:
        return self.said.vocabulary

    def next_tokens(self, place: TokenPlace) -> Distribution:
        if place.prefix == self.vocabulary.ids(BEGUN):
            raise EngineError("the weights caught fire")
        return self.said.next_tokens(place)


def guardrails(endless: Endless) -> dict[str, Guardrail]:
    """By the name of the policy; the first is what no model's name calls."""
    told = {"calm": CALM, "rude": RUDE, "late": LATE}
    return {
        "obliging": obliging_guardrail(),
        **{name: scripted_guardrail({(0, 0): text}) for name, text in told.items()},
        "o1-claude-sonnet-4": guard(ScriptedEngine(THINKER, context=4096), compiled()),
        "failing": guard(ScriptedEngine(Failing(), context=4096), compiled()),
        "endless": guard(ScriptedEngine(endless, context=200_000), compiled()),
    }


def main() -> None:
    endless = Endless()

    async def tell_drawn(request: Request) -> Response:
        return JSONResponse({"drawn": endless.drawn})

    app = make_app(server_of(guardrails=guardrails(endless)))
    app.routes.append(Route("/drawn", tell_drawn))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    socket = server.config.bind_socket()
    socket.listen()  # who asks at once is answered when all is open
    print(socket.getsockname()[1], flush=True)

    def wait() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=wait, daemon=True).start()
    server.run(sockets=[socket])


if __name__ == "__main__":
    main()
