"""Errors as HTTP tells them: a status, and a body in OpenAI's form. Nothing unreleased is ever part of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ig_guardrail.errors import GenerationFailed, GuardrailError, PromptTooLong, RequestError

FORM = "tools or response format"  # where a fault of a form is said to be by what reads both
GONE = 499  # nobody is there to read this status; it is for the log


@dataclass(frozen=True, slots=True)
class Fault:
    """What a caller is told. kind: OpenAI's `type`. retry_after: seconds, where trying again may help"""

    status: int
    kind: str
    code: str | None
    message: str
    param: str | None = None
    retry_after: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


class Refused(Exception):
    """A request that is not served."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def unfit(message: str, param: str | None, code: str | None = None, status: int = 400) -> Refused:
    """A request that no answer can be given to as it stands. Its message names the field: some clients show no more."""
    named = param is None or re.search(rf"(?<![\w.]){re.escape(param)}(?!\w)", message)
    return Refused(Fault(status, "invalid_request_error", code, message if named else f"{param}: {message}", param))


def fault_of(error: Exception) -> Fault:
    """What a caller is told of an error. Of those that are no error of his, no more than that the guard failed."""
    if isinstance(error, Refused):
        return error.fault
    if isinstance(error, PromptTooLong):
        return Fault(400, "invalid_request_error", "context_length_exceeded", str(error), "messages")
    if isinstance(error, RequestError):
        named = error.where == FORM or error.where.split() == [error.where]
        return Fault(400, "invalid_request_error", None, str(error), error.where if named else None)
    if isinstance(error, GenerationFailed):
        return Fault(503, "server_error", "guard_unavailable", "the guard failed while it worked", None, retry_after=1)
    if isinstance(error, GuardrailError):
        return Fault(503, "server_error", "guard_unavailable", "the guard cannot serve now", None, retry_after=1)
    return Fault(500, "server_error", "internal_error", "the server failed; its log says how", None)


@contextmanager
def named(names: Mapping[str, str]) -> Iterator[None]:
    """Have faults name fields as a wire does. names: its own, by those that what reads all wires has for them"""
    try:
        yield
    except (Refused, RequestError) as error:
        raise Refused(renamed(fault_of(error), names)) from error


def renamed(fault: Fault, names: Mapping[str, str]) -> Fault:
    """A fault with the names of a wire. In its words, those that are no words of a sentence are replaced."""
    message = fault.message
    if fault.param is not None and fault.param in names:
        message = re.sub(rf"^{re.escape(fault.param)}(?=: | is )", names[fault.param], message)
    for ours, theirs in names.items():
        if ours == FORM:
            message = message.replace(f"{FORM}: ", f"{theirs}: ", 1)
        elif "_" in ours:
            message = re.sub(rf"(?<![\w.]){ours}\b", theirs, message)
    return replace(fault, param=names.get(fault.param or "", fault.param), message=message)
