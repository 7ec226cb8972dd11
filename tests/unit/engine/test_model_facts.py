"""What a model's files say of it: how it is sampled, what ends it, how much it reads, which commit it is of."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from ig_guardrail.assembly import open_engine
from ig_guardrail.engine.loading.context_window import window_of
from ig_guardrail.engine.loading.generation import generation_defaults, read_defaults
from ig_guardrail.engine.loading.models import load_engine, load_weights
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.loading.weights import Weights, vocabulary_of
from ig_guardrail.engine.text.endings import end_of_turn
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import PromptTooLong, RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Draw, GenerationDefaults, Message, Prompt, Sampling
from tests.conformance.engine.tiny import tiny_weights
from tests.faults.templates import MODELS
from tests.golden.conversations import compiled

pytestmark = pytest.mark.usefixtures("own_store")

MAKERS = {
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.8,
    "top_k": 20,
    "min_p": 0.05,
    "repetition_penalty": 1.05,
    "max_new_tokens": 7,
}
OWN = GenerationDefaults(0.6, 0.8, 20, 0.05, 1.05)
TURNS = (Message("user", "hi"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, whose makers say how it is sampled."""
    place = tmp_path_factory.mktemp("tiny")
    weights = tiny_weights(context=512)
    with quiet():
        weights.model.save_pretrained(place)
        weights.tokenizer.save_pretrained(place)
    settings = json.loads((place / "generation_config.json").read_text())
    (place / "generation_config.json").write_text(json.dumps({**settings, **MAKERS}))
    return place


# --------------------------------------------------------------------------------------------------------- defaults


def test_what_the_makers_say_is_known_before_and_after_loading(folder: Path) -> None:
    engine = load_engine(str(folder), device="cpu", dtype="float32")
    assert engine.info.defaults == read_defaults(str(folder)) == OWN
    engine.shutdown()
    assert read_defaults("embedded") == read_defaults("./nowhere") == GenerationDefaults()


def test_a_caller_is_heard_before_the_makers_and_they_before_us() -> None:
    asked = OWN.sampling(temperature=0.0, top_k=None, seed=5)
    assert (asked.temperature, asked.top_p, asked.top_k, asked.min_p, asked.repetition_penalty) == (
        0.0,
        0.8,
        20,
        0.05,
        1.05,
    )
    assert asked.from_model == ("top_p", "top_k", "min_p", "repetition_penalty")
    assert GenerationDefaults().sampling(temperature=None) == Sampling()
    assert GenerationDefaults(top_k=3).sampling(top_k=0).top_k == 0


@pytest.mark.parametrize("value", [-1, 101, "hot", True, float("nan"), [0.7]])
def test_what_no_request_could_ask_for_is_left_out_with_a_word(value: Any) -> None:
    with pytest.warns(UserWarning, match="generation_config.json says that temperature is"):
        assert generation_defaults({"temperature": value, "top_p": 0.5}, "m") == GenerationDefaults(top_p=0.5)


def test_silent_files_are_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert generation_defaults({"eos_token_id": 2, "temperature": None, "top_k": -1}, "m") == GenerationDefaults(
            top_k=0
        )


@pytest.mark.parametrize("text", ["[]", "{", "\udcff", "[" * 100_000])
def test_unreadable_settings_say_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "generation_config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_defaults(str(tmp_path)) == GenerationDefaults()


def test_a_chat_model_is_sampled_as_its_makers_say_and_its_receipt_tells(folder: Path) -> None:
    model = ChatIGGuardrail(model=str(folder), policy=compiled(), device="cpu", dtype="float32", max_tokens=8, seed=3)
    assert model._get_ls_params()["ls_temperature"] == 0.6
    said = model.invoke("hi").response_metadata["ig_guardrail"]["sampling"]
    assert {name: said[name] for name in OWN.known()} == OWN.known()
    assert sorted(said["from_model"]) == sorted(OWN.known())
    asked = model.invoke("hi", temperature=1.5, top_k=0).response_metadata["ig_guardrail"]["sampling"]
    assert (asked["temperature"], asked["top_k"], asked["top_p"]) == (1.5, 0, 0.8)
    assert sorted(asked["from_model"]) == ["min_p", "repetition_penalty", "top_p"]
    again = model.model_copy(update={"temperature": 0.0, "repetition_penalty": 1.0})
    kept = again.invoke("hi").response_metadata["ig_guardrail"]["sampling"]
    assert (kept["temperature"], kept["repetition_penalty"]) == (0.0, 1.0)
    assert again._get_ls_params()["ls_temperature"] == 0.0


# ------------------------------------------------------------------------------------------------------- end tokens


def test_every_end_that_the_settings_name_ends_an_answer() -> None:
    weights = tiny_weights()
    note = weights.tokenizer.convert_tokens_to_ids("<|note|>")
    weights.model.generation_config.eos_token_id = [weights.tokenizer.eos_token_id, note, 7]
    engine = TransformersEngine(weights)
    root = engine.open(engine.encode(TURNS), Sampling()).result()
    for end in (weights.tokenizer.eos_token_id, note, 7):
        (node,) = engine.extend([Draw(root)], 4, bias=[(end, 1e5)]).result()
        assert (node.ids, node.finish) == ((), "stop")
        assert end in engine.info.protected
    engine.shutdown()


def ended_by(weights: Weights, *texts: str) -> bool:
    named = {weights.tokenizer.convert_tokens_to_ids(text) for text in texts}
    return vocabulary_of(weights).end == named


@pytest.mark.parametrize(
    ("name", "closing"),
    [
        ("chatml", "<|im_end|>"),
        ("llama-3", "<|eot_id|>"),
        ("gemma", "<end_of_turn>"),
        ("phi-3", "<|end|>"),
        ("zephyr", "</s>"),
        ("llama-2", "</s>"),
        ("mistral-v1", "</s>"),
        ("mistral-v3", "</s>"),
        ("alpaca", None),
        ("bare", None),
    ],
)
def test_the_template_s_end_of_turn_ends_an_answer_too(name: str, closing: str | None) -> None:
    tokenizer = MODELS[name].tokenizer()
    weights = Weights(name, "", tiny_weights(vocab_size=len(tokenizer)).model, tokenizer)
    assert end_of_turn(tokenizer) == (None if closing is None else tokenizer.convert_tokens_to_ids(closing))
    assert ended_by(weights, "<|shut|>", *filter(None, [closing]))
    weights.model.generation_config.eos_token_id = [1, 2]
    assert vocabulary_of(weights).end == {1, 2, tokenizer.eos_token_id}, "several named ends are taken at their word"


def test_where_answers_have_channels_the_end_of_one_ends_no_answer() -> None:
    model = MODELS["chatml"]
    tokenizer = model.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|channel|>", "<|body|>"]})
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] }}"
        "{% if m['role'] == 'assistant' %}{{ '<|channel|>final' }}{% endif %}"
        "{{ '<|body|>' + m['content'] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
    )
    assert end_of_turn(tokenizer) is None


def test_thoughts_before_the_words_hide_no_end() -> None:
    tokenizer = MODELS["chatml"].tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
        "{% if m['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
        "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    assert end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids("<|im_end|>")


# ---------------------------------------------------------------------------------------------------------- context


def test_a_context_caps_prompt_and_answer_together(folder: Path) -> None:
    spec = GuardrailSpec(str(folder), device="cpu", dtype="float32", context=40)
    engine, whole = open_engine(spec), load_engine(str(folder), device="cpu", dtype="float32")
    assert (engine.info.context, whole.info.context) == (40, 512)
    prompt = Prompt(TURNS, engine.encode(TURNS).ids * 8)
    for ids, fits in ((prompt.ids[:40], False), (prompt.ids[:39], True)):
        opened = engine.open(Prompt(TURNS, ids), Sampling(seed=2))
        if fits:
            (node,) = engine.extend([Draw(opened.result())], 8).result()
            assert (node.position, node.finish) == (1, "length")
        else:
            with pytest.raises(PromptTooLong, match="the prompt has 40 tokens, and the model reads 40"):
                opened.result()
    (same,) = whole.extend([Draw(whole.open(prompt, Sampling(seed=2)).result())], 4).result()
    assert same.position == 4
    whole.shutdown()


@pytest.mark.parametrize("context", [0, 1, 513, -3])
def test_a_context_that_cannot_be_is_refused(folder: Path, context: int) -> None:
    with pytest.raises(RequestError, match=rf"context is {context}, and model '.*' reads 512 tokens"):
        open_engine(GuardrailSpec(str(folder), device="cpu", dtype="float32", context=context))


@pytest.mark.parametrize("context", [True, 7.5, "40"])
def test_a_context_is_a_whole_number(context: Any) -> None:
    with pytest.raises(RequestError, match="context is"):
        GuardrailSpec(context=context)


def test_the_profile_obeys_and_what_does_not_fit_is_told_as_ever(folder: Path) -> None:
    from langchain_core.exceptions import ContextOverflowError

    named: Callable[..., ChatIGGuardrail] = lambda **more: ChatIGGuardrail(  # noqa: E731
        model=str(folder), policy=compiled(), device="cpu", dtype="float32", **more
    )
    assert named().profile["max_input_tokens"] == 512  # type: ignore[index]
    assert named(context=64).profile["max_input_tokens"] == 64  # type: ignore[index]
    assert ChatIGGuardrail(model="no/files", context=64).profile["max_input_tokens"] == 64  # type: ignore[index]
    with pytest.raises(ContextOverflowError):
        named(context=64).invoke("word " * 40)
    answer = named(context=64, max_tokens=2).invoke("hi")
    assert answer.response_metadata["ig_guardrail"]["model"]["context"] == 64


# --------------------------------------------------------------------------------------------------------- revision


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the hub was asked for; it has one commit."""
    commit = tmp_path / "snapshots" / ("ab" * 20)
    commit.parent.mkdir()
    commit.symlink_to(folder)
    asked: list[Any] = []

    def download(name: str, revision: str | None = None, **_: Any) -> str:
        asked.append((name, revision))
        return str(commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return asked


def test_a_revision_is_asked_of_the_hub_and_its_commit_is_told(hub: list[Any]) -> None:
    model = ChatIGGuardrail(
        model="someone/tiny", revision="v1.0", policy=compiled(), device="cpu", dtype="float32", max_tokens=2
    )
    assert model.invoke("hi").response_metadata["ig_guardrail"]["model"]["revision"] == "ab" * 20
    assert hub == [("someone/tiny", "v1.0")]
    other = model.model_copy(update={"revision": None})
    other.invoke("hi")
    assert hub[1:] == [("someone/tiny", None)], "another revision is another engine"
    assert model._get_llm_string() != other._get_llm_string()


@pytest.mark.parametrize("model", ["embedded", "FOLDER", "some/model.gguf"])
def test_what_is_no_model_of_the_hub_has_no_revision(folder: Path, model: str) -> None:
    with pytest.raises(RequestError, match=r"revision 'main' of model .* was asked for"):
        load_engine(str(folder) if model == "FOLDER" else model, revision="main")


@pytest.mark.parametrize("revision", ["", "../../etc", "a/../b", "-x", "a b", "x" * 300])
def test_a_revision_is_a_name(hub: list[Any], revision: str) -> None:
    with pytest.raises(RequestError, match="revision is"):
        load_weights("someone/tiny", "cpu", "float32", revision)
    assert hub == []


def test_files_in_the_hub_s_cache_are_read_at_that_revision(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def cached(name: str, file: str, revision: str | None = None) -> str:
        asked.append((name, file, revision))
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    assert window_of("someone/tiny", "v2") == 512
    assert read_defaults("someone/tiny", "v2") == OWN
    assert asked == [("someone/tiny", "config.json", "v2"), ("someone/tiny", "generation_config.json", "v2")]
