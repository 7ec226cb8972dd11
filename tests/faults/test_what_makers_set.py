"""What a model's makers set beside temperature and the like is kept, or told as not taken, and never passed over."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.cli.checkup import check_model
from ig_guardrail.engine.loading.generation import UNTAKEN, _tell, generation_defaults, read_defaults
from ig_guardrail.engine.loading.models import load_engine
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.types import Draw, GenerationDefaults, Message, Sampling
from tests.conformance.engine.tiny import tiny_weights
from tests.golden.conversations import compiled

TURNS = (Message("user", "hi"),)


@pytest.fixture(autouse=True)
def _told_anew() -> None:
    """Each test is told, whichever others were."""
    _tell.cache_clear()


def model_with(place: Path, **settings: Any) -> str:
    """The folder of a tiny model, whose makers set so much."""
    weights = tiny_weights(context=512)
    with quiet():
        weights.model.save_pretrained(place)
        weights.tokenizer.save_pretrained(place)
    file = place / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return str(place)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[TransformersEngine]:
    """What would say token 5 or 6 at once, and may not."""
    named = model_with(tmp_path, suppress_tokens=[5, 100_000], bad_words_ids=[[6], [7, 8]])
    with pytest.warns(UserWarning, match="bad_words_ids"):
        opened = load_engine(named, device="cpu", dtype="float32")
    yield opened
    opened.shutdown()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_token_that_the_makers_suppress_is_never_drawn(engine: TransformersEngine, temperature: float) -> None:
    assert engine.info.defaults.banned == (5, 100_000, 6)
    sampling = Sampling(temperature=temperature, logit_bias=((5, 100.0), (6, 100.0), (9, 60.0)), seed=3)
    root = engine.open(engine.encode(TURNS), sampling).result()
    (node,) = engine.extend([Draw(root)], 4, bias=[(6, 1e5)]).result()
    assert node.ids[0] == 9
    assert not {5, 6} & {*node.ids}


def test_other_tokens_are_drawn_as_without(tmp_path: Path) -> None:
    said = []
    for number, settings in enumerate(({}, {"suppress_tokens": [3]})):
        opened = load_engine(model_with(tmp_path / str(number), **settings), device="cpu", dtype="float32")
        root = opened.open(opened.encode(TURNS), Sampling(temperature=0.0, logit_bias=((9, 30.0),))).result()
        said.append(opened.extend([Draw(root)], 6).result()[0].ids)
        opened.shutdown()
    assert said[0] == said[1] == (9,) * 6


def test_texts_at_which_the_makers_stop_end_an_answer_beside_the_caller_s(tmp_path: Path) -> None:
    named = model_with(tmp_path, stop_strings=["###", "\nUser:"])
    own = read_defaults(named)
    assert own.stop == ("###", "\nUser:")
    assert own.sampling(stop=("END", "###")).stop == ("END", "###", "\nUser:")
    assert own.sampling().from_model == ("stop",)
    model = ChatIGGuardrail(model=named, policy=compiled(), device="cpu", dtype="float32", max_tokens=4, stop="END")
    said = model.invoke("hi").response_metadata["ig_guardrail"]["sampling"]
    assert list(said["stop"]) == ["END", "###", "\nUser:"]
    assert "stop" in said["from_model"]


def test_a_command_tells_what_the_makers_set_and_once_what_is_not_taken(tmp_path: Path) -> None:
    named = model_with(tmp_path, stop_strings="###", temperature=0.5, typical_p=0.9)
    asked = ["run", "--model", named, "--device", "cpu", "--prompt", "hi", "--max-tokens", "3", "--dtype", "fp32"]
    done = subprocess.run([sys.executable, "-m", "ig_guardrail", *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "its makers set temperature 0.5, stop '###'" in " ".join(done.stderr.split())
    assert done.stderr.count("which is not taken") == 1


def test_a_chat_model_tells_once_what_is_not_taken(tmp_path: Path) -> None:
    named = model_with(tmp_path, typical_p=0.9)
    model = ChatIGGuardrail(model=named, policy=compiled(), device="cpu", dtype="float32", max_tokens=4)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        model.invoke("hi")
        model.invoke("ho")
    assert len([one for one in told if "is not taken" in str(one.message)]) == 1


def test_where_the_file_is_missing_config_json_is_read_before_loading_as_it_is_with_it(tmp_path: Path) -> None:
    named = model_with(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "temperature": 0.3, "repetition_penalty": 1.2}))
    opened = load_engine(named, device="cpu", dtype="float32")
    assert opened.info.defaults == read_defaults(named) == GenerationDefaults(temperature=0.3, repetition_penalty=1.2)
    opened.shutdown()


VALUES: dict[str, Any] = {
    "begin_suppress_tokens": [3],
    "bad_words_ids": [[3, 4], [5]],
    "sequence_bias": [[[3], -2.0]],
    "min_length": 10,
    "min_new_tokens": 10,
    "no_repeat_ngram_size": 3,
    "encoder_no_repeat_ngram_size": 3,
    "encoder_repetition_penalty": 1.2,
    "typical_p": 0.9,
    "epsilon_cutoff": 0.001,
    "eta_cutoff": 0.001,
    "top_h": 0.4,
    "exponential_decay_length_penalty": [20, 1.1],
    "forced_bos_token_id": 1,
    "num_beams": 4,
    "guidance_scale": 1.5,
    "penalty_alpha": 0.6,
    "dola_layers": "high",
    "watermarking_config": {"bias": 2.0},
    "presence_penalty": 1.5,
    "frequency_penalty": 0.5,
}


def test_each_setting_that_is_not_taken_has_a_value_here() -> None:
    assert VALUES.keys() == UNTAKEN.keys()


@pytest.mark.parametrize("name", VALUES)
def test_what_would_change_answers_and_is_not_taken_is_told(name: str) -> None:
    with pytest.warns(UserWarning, match=f"generation_config.json sets {name}, which is not taken") as told:
        generation_defaults({name: VALUES[name], "top_p": 0.5}, "m")
    assert len(told) == 1


def test_all_that_is_not_taken_is_told_at_once() -> None:
    with pytest.warns(UserWarning, match="sets min_length, typical_p, which are not taken") as told:
        assert generation_defaults({"typical_p": 0.9, "min_length": 4}, "m") == GenerationDefaults()
    assert len(told) == 1


@pytest.mark.parametrize(
    "settings",
    [
        dict(UNTAKEN),
        dict.fromkeys(UNTAKEN),
        {"min_length": 0, "num_beams": 1, "typical_p": 1.0, "bad_words_ids": [], "sequence_bias": {}},
        {
            "max_length": 4096,
            "max_new_tokens": 20,
            "do_sample": True,
            "bad_words_ids": [[3], [4]],
            "suppress_tokens": [],
        },
        {
            "forced_eos_token_id": 2,
            "length_penalty": 2.0,
            "early_stopping": True,
            "use_cache": False,
            "bos_token_id": 1,
        },
        {
            "cache_implementation": "hybrid",
            "pad_token_id": 0,
            "transformers_version": "4.57.0",
            "top_k": 64,
            "top_p": 0.95,
        },
    ],
)
def test_what_changes_no_answer_needs_no_word(settings: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generation_defaults(settings, "m")


@pytest.mark.parametrize("name", ["suppress_tokens", "bad_words_ids", "stop_strings"])
@pytest.mark.parametrize("value", [3, {"a": 1}, [-1], [None], [[]], [True], [""], [1.5], [["a"]], [["x"] * 3]])
def test_lists_that_cannot_be_read_are_left_out_with_a_word(name: str, value: Any) -> None:
    with pytest.warns(UserWarning, match=f"generation_config.json (says that {name} is|sets {name}, which is not)"):
        assert generation_defaults({name: value}, "m") == GenerationDefaults()


def test_the_doctor_tells(tmp_path: Path) -> None:
    named = model_with(tmp_path, suppress_tokens=[3, 4], stop_strings=["###"], temperature=0.5)
    (sampling,) = [one.detail for one in check_model(named, None, None) if one.part == "sampling"]
    assert "temperature 0.5" in sampling
    assert "stops at '###'" in sampling
    assert "never draws 2 of its tokens" in sampling
