"""From options to an engine: the tokenizer is read, and the server asked what it serves and how it can be asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.kinds import EngineChoice
from ig_guardrail.engine.loading.description import named_ends, tokenizer_in
from ig_guardrail.engine.loading.generation import read_defaults
from ig_guardrail.engine.loading.models import find_description
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.loading.weights import token_vocabulary
from ig_guardrail.engine.openai_compatible.asking import Asker
from ig_guardrail.engine.openai_compatible.engine import OpenAICompatibleEngine, RemoteModel
from ig_guardrail.engine.openai_compatible.options import OPTIONS, ServerOptions, read_options
from ig_guardrail.engine.openai_compatible.orders import BlockOrder, ScoreOrder
from ig_guardrail.engine.openai_compatible.server import ModelServer, ServerError
from ig_guardrail.engine.openai_compatible.wires import CompletionsWire, LlamaCppWire, TextWire, TokensWire, Wire
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.engine.text.thoughts import efforts_of
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.errors import EngineError, ModelError, RequestError, brief
from ig_guardrail.threads.event_loop import LoopThread
from ig_guardrail.types import Message, Sampling

NAME = "openai_compatible"
CLOSE = 0.25  # nats between log-probabilities of a token that was drawn, and given: half precision differs by less
NOT_SERVED = (200, 400, 403, 404, 405, 422, 500, 501)  # said to a request of a form that is not taken; vLLM, 403
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """How a served model reads and writes: its tokenizer's conversations, and what its tokens mean."""

    tokenizer: Any
    chat: Chat
    language: TokenVocabulary

    def spell(self, ids: Sequence[int]) -> str:
        """The text of tokens as servers tell it."""
        return self._decoded(ids, skip=True)

    def write(self, ids: Sequence[int]) -> str:
        """The text of tokens with their markers, for a server that cuts it into tokens itself.

        Raises EngineError where it would read a word of it as a marker.
        """
        text = self._decoded(ids, skip=False)
        read: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        added = self.chat.added
        if [token for token in read if token in added] != [token for token in ids if token in added]:
            raise EngineError(
                "words of the conversation, or of the answer, would be read as a marker between messages",
                where="wire 'text'",
                why="this server takes texts, in which markers and words look alike",
                fix="use a server that takes token ids, such as vLLM or llama.cpp's llama-server",
            )
        return text

    def _decoded(self, ids: Sequence[int], skip: bool) -> str:
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=skip, clean_up_tokenization_spaces=False)
        return text


def open_choice(choice: EngineChoice) -> OpenAICompatibleEngine:
    """The engine of a model that a server serves by that name. `device` is where cost models run beside it.

    Raises RequestError for bad options, ModelError for a tokenizer that cannot be had, ServerError for a server that
    cannot be reached or asked.
    """
    choice.check_options(NAME, OPTIONS)
    for name, value in (("dtype", choice.dtype), ("weights", choice.weights)):
        if value != "auto":
            raise RequestError(
                f"{name} is '{value:.40}'",
                where=name,
                why="the server has loaded the model already, in numbers of its own choice",
                fix=f"leave out `{name}`",
            )
    options = read_options(choice.options)
    device = "cpu" if choice.device == "auto" else choice.device
    engine = engine_over(
        choice.model, options, read_tokens(options.tokenizer, choice.revision), ModelServer(options), device
    )
    return engine if choice.context is None else engine.with_context(choice.context)


def engine_over(
    model: str, options: ServerOptions, tokens: Tokens, server: ModelServer, device: str = "cpu"
) -> OpenAICompatibleEngine:
    """The engine of a model of a server, by tokens that were read already."""
    loop = LoopThread("server", server.resource)
    try:
        found = loop.run(find_wire(server, model, options, tokens))
    except BaseException:
        loop.end()
        raise
    window = options.context or found.context
    if window is None:
        loop.end()
        raise ModelError(
            "the server does not tell how many tokens its model reads",
            where=f"server {server.address}",
            why="prompt and answer must fit",
            fix="give the engine option `context`",
        )
    info = EngineInfo(
        model=model,
        model_sha256="",
        mode="/".join(filter(None, (NAME, found.wire.name, found.version))),
        numerics="served",
        device=device,
        layers=0,
        context=window,
        protected=tokens.language.protected(tokens.tokenizer.get_vocab().values()),
        language=tokens.language.sha256,
        defaults=read_defaults(options.tokenizer),
        thinks=tokens.language.thoughts is not None,
        efforts=efforts_of(tokens.chat.thoughts),
        tool_format=tokens.chat.format,
    )
    asker = Asker(server, found.wire, tokens.language, tokens.spell, options.session_header)
    return OpenAICompatibleEngine(RemoteModel(asker, tokens.chat, info, options.segment), loop)


def read_tokens(model: str, revision: str | None = None) -> Tokens:
    """The tokenizer of a folder, of a .gguf file, which is unpacked, or of a hub name, whose weights stay there.

    Raises ModelError, RequestError.
    """
    folder, _ = find_description(model, revision)
    try:
        with quiet():
            return tokens_of(tokenizer_in(folder), named_ends(folder))
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            f"the tokenizer's files cannot be read: {brief(error)}",
            where=f"tokenizer '{model}'",
            why="conversations are cut into tokens here, as the model's own tokenizer does",
            fix="name the folder or hub name of the model that is served, with config.json and tokenizer.json",
        ) from error


def tokens_of(tokenizer: Any, named: int | Sequence[int] | None = None) -> Tokens:
    """What a `transformers` tokenizer makes of conversations and tokens. named: end tokens of generation settings."""
    chat = chat_of(tokenizer)
    return Tokens(tokenizer, chat, token_vocabulary(tokenizer, named, len(tokenizer), chat.thoughts))


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server was found to be: its wire, its version if it tells one, and how many tokens its model reads."""

    wire: Wire
    version: str = ""
    context: int | None = None


async def find_wire(server: ModelServer, model: str, options: ServerOptions, tokens: Tokens) -> ServerFacts:
    """The first wire by which a server answers as it should. Raises ServerError if there is none."""
    wires = [wire for wire in wires_of(model, tokens) if options.wire in ("auto", wire.name)]
    refused: list[str] = []
    for wire in wires:
        trial = Trial(Asker(server, wire, tokens.language, tokens.spell), tokens)
        try:
            await trial.draws()
        except ServerError as error:
            if error.status not in NOT_SERVED:
                raise
            refused.append(f"{wire.name} ({error.what.removeprefix('the server ')})")
            continue
        return ServerFacts(await trial.fitted(), await version_of(server), await window_of(server, model))
    raise server.failed(
        f"cannot be asked by any wire: {'; '.join(refused)}",
        "start it with an endpoint that takes token ids (vLLM, llama.cpp's llama-server); see docs/remote-engines.md",
    )


def wires_of(model: str, tokens: Tokens) -> tuple[Wire, ...]:
    """All forms of the wire, the most exact first."""
    text = TextWire(model, tokens.write, tokens.chat.text_ids, tokens.spell)
    return (TokensWire(model), CompletionsWire(model), LlamaCppWire(), text)


@dataclass(frozen=True, slots=True)
class Trial:
    """Small questions to a server by one wire."""

    asker: Asker
    tokens: Tokens

    def order(self, tokens: int = 4, **changes: Any) -> BlockOrder:
        """A short answer to a short question, drawn at temperature 1."""
        sampling = Sampling(temperature=1.0, top_p=1.0)
        prompt = self.tokens.chat.encode((Message("user", "Tell me a story."),)).ids
        return replace(BlockOrder(prompt, tokens, sampling, seed=7, salt="0" * 64), **changes)

    async def draws(self) -> None:
        """Raises ServerError unless it draws tokens."""
        await self.asker.draw(self.order(2, top=min(1, self.asker.wire.most_top)), RequestUsage(0))

    async def fitted(self) -> Wire:
        """The wire with what the server was found to do by it."""
        wire = self.asker.wire
        found: dict[str, Any] = {"wide": await self.is_wide()}
        if isinstance(wire, CompletionsWire):
            found |= {"scores": await self.scores(), "masks": await self.masks()}
        return replace(wire, **found)  # type: ignore[type-var]

    async def is_wide(self) -> bool:
        """Whether one request for several answers gives those that requests for one each give."""
        try:
            both = await self.ids(self.order(count=2))
            return both == [*await self.ids(self.order()), *await self.ids(self.order(seed=8))]
        except ServerError:
            return False

    async def scores(self) -> bool:
        """Whether it tells log-probabilities of tokens that it is given, and of those that it draws the same."""
        try:
            (block,) = await self.asker.draw(self.order(), RequestUsage(0))
            drawn = block.tokens
            order = ScoreOrder((*self.order().prompt, *(one.id for one in drawn)), len(drawn), salt="1" * 64)
            told = await self.asker.score(order, RequestUsage(0))
        except ServerError:
            return False
        pairs = zip(told, drawn, strict=True)
        return all(abs((one.logprob or 0.0) - (other.logprob or 0.0)) < CLOSE for one, other in pairs)

    async def masks(self) -> bool:
        """Whether it draws only tokens that it is allowed."""
        likely = {token for ids in await self.ids(self.order()) for token in ids}
        few = tuple(token for token in range(self.tokens.language.size) if token not in likely)[:8]
        try:
            await self.ids(self.order(2, allowed=few))
        except ServerError:
            return False
        return True

    async def ids(self, order: BlockOrder) -> list[list[int]]:
        """The tokens of each answer."""
        blocks = await self.asker.draw(order, RequestUsage(0))
        return [[token.id for token in block.tokens] for block in blocks]


async def version_of(server: ModelServer) -> str:
    """What a server calls its version: vLLM at /version, llama.cpp at /props; "" where it says none."""
    for path, name in (("/version", "version"), ("/props", "build_info")):
        told = await _said(server, path)
        version = told.get(name) if isinstance(told, dict) else None
        if isinstance(version, str) and _VERSION.fullmatch(version):
            return version
    return ""


async def named_models(server: ModelServer) -> list[str]:
    """The models that a server says it serves. Raises ServerError if it cannot be reached."""
    try:
        listed = await server.get("models")
    except ServerError as error:
        if error.status is None:
            raise
        return []
    models = listed.get("data") if isinstance(listed, dict) else None
    names = [one.get("id") for one in models if isinstance(one, dict)] if isinstance(models, list) else []
    return [name for name in names if isinstance(name, str) and name.isprintable() and len(name) < 200]


async def window_of(server: ModelServer, model: str) -> int | None:
    """How many tokens a model reads: vLLM tells it at /v1/models, llama.cpp at /props; None where nobody tells."""
    listed = await _said(server, "models")
    models = listed.get("data") if isinstance(listed, dict) else None
    for one in models if isinstance(models, list) else []:
        length = one.get("max_model_len") if isinstance(one, dict) and one.get("id") == model else None
        if isinstance(length, int) and not isinstance(length, bool) and length >= 2:
            return length
    props = await _said(server, "/props")
    settings = props.get("default_generation_settings") if isinstance(props, dict) else None
    window = settings.get("n_ctx") if isinstance(settings, dict) else None
    return window if isinstance(window, int) and not isinstance(window, bool) and window >= 2 else None


async def _said(server: ModelServer, path: str) -> Any:
    try:
        return await server.get(path)
    except ServerError:
        return None
