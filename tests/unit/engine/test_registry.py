"""Which engine runs a model, and what it is told."""

from __future__ import annotations

import pytest

from ig_guardrail import ChatIGGuardrail
from ig_guardrail.assembly import open_engine
from ig_guardrail.engine import registry
from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.kinds import EngineChoice, EngineKind
from ig_guardrail.engine.registry import engine_kind
from ig_guardrail.errors import RequestError
from ig_guardrail.spec import GuardrailSpec
from tests.toys import letters

ENGINE = letters([1, 1, 1])


def _open(choice: EngineChoice) -> Engine:
    choice.check_options("letters", {"speed"})
    return ENGINE


@pytest.fixture
def spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = EngineKind("letters", "spells", _open, lambda model: model == "abc")
    monkeypatch.setattr(registry, "ENGINES", {"letters": kind, **registry.ENGINES})


@pytest.mark.usefixtures("spelling")
def test_auto_takes_the_first_that_fits() -> None:
    assert engine_kind("auto", "abc").name == "letters"
    assert engine_kind("auto", "embedded").name == "transformers"
    assert open_engine(GuardrailSpec("abc", engine_options={"speed": 2})) is ENGINE
    assert open_engine(GuardrailSpec("other", engine="letters")) is ENGINE


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RequestError, match=r"(?s)there is no engine 'vlm'.*auto, .*transformers"):
        ChatIGGuardrail(engine="vlm").invoke("Hello")


@pytest.mark.usefixtures("spelling")
def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(RequestError, match=r"(?s)no option 'sped'.*use one of: speed"):
        open_engine(GuardrailSpec("abc", engine_options={"sped": 2}))
    with pytest.raises(RequestError, match=r"(?s)engine 'transformers' has no option 'threads'.*leave out"):
        open_engine(GuardrailSpec("embedded", engine_options={"threads": 2}))


@pytest.mark.usefixtures("spelling")
def test_an_exit_needs_an_engine_that_reads_between_layers() -> None:
    with pytest.raises(RequestError, match="engine 'letters' cannot be given an early exit"):
        open_engine(GuardrailSpec("abc", exit="somewhere"))


def test_two_engines_are_two_openings() -> None:
    one, other = (ChatIGGuardrail(engine_options=options) for options in ({}, {"threads": 2}))
    assert one._get_llm_string() != other._get_llm_string()
