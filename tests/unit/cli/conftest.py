"""Running a command in this process, on scripted models."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from ig_guardrail.cli.main import run
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.guardrail import Guardrail


@dataclass(frozen=True)
class Ran:
    """How a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Command: TypeAlias = Callable[..., Ran]


@pytest.fixture
def ig(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`ig("run", "--prompt", "-", stdin=b"hello")` runs that command line."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def command(*arguments: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        written = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, written.out, written.err)

    return command


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Guardrail], Guardrail]:
    """`says(guardrail)` makes every command open that guardrail, whatever model and policy it names."""
    from ig_guardrail import assembly

    def use(guardrail: Guardrail) -> Guardrail:
        monkeypatch.setattr(assembly, "open_guardrail", lambda *names, **places: guardrail)
        return guardrail

    return use


@pytest.fixture
def runs_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[ScriptedEngine], None]:
    """`runs_on(engine)` puts that engine in the place of every language model."""
    from ig_guardrail.engine.loading import models

    def use(engine: ScriptedEngine) -> None:
        monkeypatch.setattr(models, "load_engine", lambda model, **how: engine)

    return use
