"""What a user says of a server: where it is, whose tokens it reads, and how it is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ig_guardrail.engine.kinds import EngineOptions
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.fields import addresses

WIRES = ("auto", "tokens", "completions", "llama.cpp", "text")
_WHERE = "engine_options"
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_PLAIN = ("yes", "no")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of the engine `openai_compatible`, as they are given: texts by name.

    base_url        where the server is, with its `/v1`
    tokenizer       the folder, the .gguf file or the hub name whose tokenizer and chat template the model has
    wire            how the server is asked; "auto" tries what it serves
    api_key_env     the environment variable that holds its key; none is sent if left out
    session_header  the header by which a router sends the blocks of one answer to one replica; "" for none
    segment         tokens that are asked for at once; a policy's `block` is best a multiple of it
    parallel        most requests at the same time
    timeout_s       seconds that one request may take
    context         most tokens of prompt and answer, where the server does not tell
    allow_http      "yes" lets conversations travel unencrypted to another machine
    """

    base_url: str
    tokenizer: str
    wire: str = "auto"
    api_key_env: str | None = None
    session_header: str = "X-Session-Id"
    segment: int = 16
    parallel: int = 32
    timeout_s: float = 60.0
    context: int | None = None
    allow_http: str = "no"
    key: str | None = field(default=None, repr=False)


_NUMBERS: Mapping[str, tuple[float, float]] = {
    "segment": (1, 512),
    "parallel": (1, 512),
    "timeout_s": (0.1, 3600),
    "context": (2, 2**31),
}


OPTIONS = tuple(name for name in ServerOptions.__dataclass_fields__ if name != "key")


def read_options(given: EngineOptions) -> ServerOptions:
    """The options, checked, with the key. Raises RequestError for what is none, ModelError without the key."""
    for name in ("base_url", "tokenizer"):
        if not str(given.get(name, "")).strip():
            raise _unfit(
                f"`{name}` is missing",
                "give base_url='http://localhost:8000/v1' and tokenizer='FOLDER or hub name of the served model'",
            )
    chosen: dict[str, str | int | float | None] = {name: _word(value) for name, value in given.items()}
    for name in _NUMBERS:
        if name in chosen:
            chosen[name] = _number(name, str(chosen[name]))
    options = ServerOptions(**chosen)  # type: ignore[arg-type]
    _check_words(options)
    return ServerOptions(**(chosen | {"base_url": _address(options), "key": _key(options)}))  # type: ignore[arg-type]


def _word(value: str | int | float | bool) -> str:
    """A value as the command line would give it."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value).strip()


def _number(name: str, text: str) -> int | float:
    least, most = _NUMBERS[name]
    try:
        value = float(text) if name == "timeout_s" else int(text)
    except ValueError:
        value = -1
    if not least <= value <= most:
        raise _unfit(f"`{name}` is {text!r:.40}", f"give a number from {least:g} to {most:g}")
    return value


def _check_words(options: ServerOptions) -> None:
    for name, value, choices in (("wire", options.wire, WIRES), ("allow_http", options.allow_http, _PLAIN)):
        if value not in choices:
            raise _unfit(f"`{name}` is {value!r:.40}", f"use one of: {', '.join(choices)}")
    if options.session_header and not _HEADER.fullmatch(options.session_header):
        raise _unfit("`session_header` is no name of a header", "use letters, digits and '-', or leave it empty")


def _address(options: ServerOptions) -> str:
    """The address without a slash at its end; over plain HTTP only to this machine, or where that is allowed."""
    address = options.base_url.rstrip("/")
    if re.fullmatch(addresses.PATTERN, address):
        return address
    plain = re.fullmatch(addresses.PLAIN_PATTERN, address)
    if plain and options.allow_http == "yes" and options.api_key_env is None:
        return address
    raise RequestError(
        f"base_url is {address!r:.120}",
        where=_WHERE,
        why="conversations are sent there, and a key if one is named",
        fix="write an `https://` address, or an `http://` address of this machine, without user or query; "
        "allow_http='yes' lets them travel unencrypted to another machine, without a key",
    )


def _key(options: ServerOptions) -> str | None:
    name = options.api_key_env
    if name is None:
        return None
    if not re.fullmatch(addresses.KEY_PATTERN, name):
        raise _unfit("`api_key_env` is no name of an environment variable that ends in API_KEY", "name the variable")
    key = os.environ.get(name, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ModelError(
            f"there is no key in the environment variable {name}",
            where=_WHERE,
            why="`api_key_env` says that the server's key is there",
            fix=f"set {name}, or leave out `api_key_env`",
        )
    return key


def _unfit(what: str, fix: str) -> RequestError:
    return RequestError(what, where=_WHERE, why="they say how the server is asked", fix=fix)
