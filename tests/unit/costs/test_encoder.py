"""A sentence encoder as a cost: a prefix scores the same however it was cut and whatever is asked beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.catalog import build_cost_model, build_costs
from ig_guardrail.costs.encoder import loading
from ig_guardrail.costs.encoder.cost import MOST_ASKED, EncoderCost, EncoderState, read_encoder_cost, request_windows
from ig_guardrail.costs.encoder.loading import PackagedFile, open_encoder
from ig_guardrail.costs.encoder.sentences import KEPT, SentenceEncoder
from ig_guardrail.errors import HeadMismatch, MissingExtra, ModelError
from ig_guardrail.policy import compile_text, load_policy
from ig_guardrail.types import CostModelSpec, Message, Piece, Prompt, Role
from tests.examples import examples
from tests.unit.costs import encoders
from tests.unit.costs.artifacts import write

HAZARDS = ("hte", "ncr")
POLICY = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: mine, version: 1.0.0}}
taxonomy: ailuminate-1.0
cost_models:
  help: {entry}
budgets:
  - {{id: help, hazards: [hte, ncr], cost: help, threshold: 0.5}}
output: {{on_exceed: [end]}}
messages:
  refusal: {{en: No.}}
  closing: {{en: Let us stop.}}
"""
TEXTS = st.lists(st.sampled_from(["good", "bad", "soups", "zog", "why?", " ", "\n", "Bread"]), max_size=30).map(
    " ".join
)


@pytest.fixture(scope="module", params=[encoders.onnx_encoder, encoders.bert_encoder], ids=["onnx", "safetensors"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make: Callable[[Path], Path] = request.param
    return make(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def cost(made: Path, tmp_path_factory: pytest.TempPathFactory) -> EncoderCost:
    encoder = open_encoder(str(made), None, "here")
    folder = encoders.head(tmp_path_factory.mktemp("head"), encoder)
    return read_encoder_cost(folder, encoder, "help", HAZARDS)


def fresh(cost: EncoderCost) -> EncoderState:
    return cost.start(Prompt((), ()))


def told(cost: EncoderCost, state: EncoderState, text: str, ended: bool = False) -> tuple[EncoderState, float]:
    ((after, scores),) = cost.advance([(state, Piece(text, ended=ended))])
    assert scores == (scores[0],) * len(HAZARDS)
    return after, scores[0]


def score(cost: EncoderCost, text: str, ended: bool = True) -> float:
    return told(cost, fresh(cost), text, ended)[1]


@settings(deadline=None, max_examples=examples(60))
@given(text=TEXTS, cuts=st.lists(st.integers(0, 300), max_size=6), ended=st.booleans())
def test_a_prefix_scores_the_same_however_it_was_cut(
    cost: EncoderCost, text: str, cuts: list[int], ended: bool
) -> None:
    places = sorted({0, *(cut % (len(text) + 1) for cut in cuts)})
    state, heard = fresh(cost), 0.0
    for start, stop in zip(places, [*places[1:], len(text)], strict=True):
        state, heard = told(cost, state, text[start:stop], ended and stop == len(text))
    assert heard == score(cost, text, ended)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(40))
@given(texts=st.lists(TEXTS, min_size=2, max_size=6))
def test_a_score_does_not_depend_on_what_is_asked_beside_it(cost: EncoderCost, texts: list[str]) -> None:
    together = cost.advance([(fresh(cost), Piece(text, ended=True)) for text in texts])
    cost.encoder._known.clear()
    assert [scores[0] for _, scores in together] == [score(cost, text) for text in texts]


@pytest.fixture(scope="module")
def exchanges(cost: EncoderCost, tmp_path_factory: pytest.TempPathFactory) -> EncoderCost:
    folder = encoders.head(tmp_path_factory.mktemp("exchanges"), cost.encoder, reads="exchange")
    return read_encoder_cost(folder, cost.encoder, "help", HAZARDS, "exchange")


def after(cost: EncoderCost, *turns: tuple[Role, str]) -> EncoderState:
    return cost.start(Prompt(tuple(Message(role, text) for role, text in turns), ()))


def test_an_exchange_scores_by_what_was_asked_last(cost: EncoderCost, exchanges: EncoderCost) -> None:
    soup = told(exchanges, after(exchanges, ("user", "why soup")), "good bread", ended=True)[1]
    talked = after(exchanges, ("system", "bad"), ("user", "how bad"), ("assistant", "bad"), ("user", "why soup"))
    assert told(exchanges, talked, "good bread", ended=True)[1] == soup
    assert told(exchanges, after(exchanges, ("user", "how bad")), "good bread", ended=True)[1] != soup
    assert score(exchanges, "good bread") == score(cost, "good bread")  # nothing was asked
    assert told(cost, after(cost, ("user", "how bad")), "good bread", ended=True)[1] == score(cost, "good bread")


def test_a_request_adds_its_line_to_the_logit_of_an_answer(exchanges: EncoderCost) -> None:
    head, (answer, asked) = exchanges.head, exchanges.encoder.vectors(["good bread", "why soup"])
    assert head.request is not None
    wanted = head.logit("good bread", answer) + head.request @ asked
    found = told(exchanges, after(exchanges, ("user", "why soup")), "good bread", ended=True)[1]
    assert found == pytest.approx(1 / (1 + np.exp(-wanted)), abs=1e-9)


def test_the_worst_window_of_a_request_counts_and_long_ones_are_read_from_both_ends(exchanges: EncoderCost) -> None:
    def asked(text: str) -> float:
        return told(exchanges, after(exchanges, ("user", text)), "good bread", ended=True)[1]

    windows = request_windows("why bad soup? how good bread! " * 3, exchanges.shape, exchanges.encoder)
    assert len(windows) > 3
    assert asked("why bad soup? how good bread! " * 3) == max(map(asked, windows))
    long = "why " * 5_000
    assert len(request_windows(long, exchanges.shape, exchanges.encoder)) <= MOST_ASKED / 4
    assert asked(f"zog {long}") == asked(f"zog {long}{long}") >= asked(long)
    assert {"zog"} <= set(request_windows(f"{long} zog", exchanges.shape, exchanges.encoder)[-1].split())


def test_a_request_is_read_once_however_many_candidates_answer(
    exchanges: EncoderCost, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, read = after(exchanges, ("user", "why soup")), []
    monkeypatch.setattr(SentenceEncoder, "_vector", lambda self, text: read.append(text) or np.ones(encoders.SIZE))
    exchanges.advance([(state, Piece(text, ended=True)) for text in ("good", "bad", "good")])
    assert read == ["good", "bad"]


@pytest.mark.parametrize(("made_for", "asked"), [("answer", "exchange"), ("exchange", "answer")])
def test_a_head_is_refused_for_what_it_was_not_trained_on(
    cost: EncoderCost, tmp_path: Path, made_for: str, asked: str
) -> None:
    described = {} if made_for == "answer" else {"reads": made_for}
    folder = encoders.head(tmp_path, cost.encoder, **described)
    with pytest.raises(ModelError, match="the head reads an answer") as raised:
        read_encoder_cost(folder, cost.encoder, "help", HAZARDS, asked)
    assert not isinstance(raised.value, HeadMismatch)  # nothing else may serve for it
    assert raised.value.where == "cost_models.help.reads"
    assert f"`reads: {made_for}`" in raised.value.fix


def test_a_head_that_reads_something_else_is_unfit(cost: EncoderCost, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="reads 'prompts', which is none of answer, exchange"):
        read_encoder_cost(encoders.head(tmp_path, cost.encoder, reads="prompts"), cost.encoder, "help", HAZARDS)


def test_the_worst_window_counts_to_the_end(cost: EncoderCost) -> None:
    calm = "good soup. " * 20
    assert score(cost, f"{calm}zog zog {calm}") == score(cost, f"{calm}zog zog {calm}{calm}") > score(cost, calm)


def test_a_text_without_words_scores_nothing_and_a_word_waits_until_it_is_whole(cost: EncoderCost) -> None:
    assert score(cost, " \n ") == 0
    state, heard = told(cost, fresh(cost), "zo")
    assert heard == 0
    assert told(cost, state, "g", ended=True)[1] == score(cost, "zog") > 0


def test_it_declares_a_level_of_text(cost: EncoderCost) -> None:
    assert (cost.granularity, cost.reading, cost.layers, cost.longest_match) == ("block", "level", (), 0)


def test_names_of_special_pieces_are_text(cost: EncoderCost) -> None:
    assert cost.encoder.pieces("[SEP]") > 1
    assert len(cost.encoder.tokenizer.encode("bad").ids) == 3  # the tokenizer neither pads nor cuts
    assert len(cost.encoder.tokenizer.encode("bad bad bad bad bad").ids) == 7


def test_vectors_have_length_one_and_are_kept_within_bounds(cost: EncoderCost) -> None:
    vectors = cost.encoder.vectors([f"good {number}" * (1 + number % 3) for number in range(KEPT + 5)])
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-9 for vector in vectors)
    assert len(cost.encoder._known) == KEPT


def test_many_threads_get_the_scores_of_one(cost: EncoderCost) -> None:
    texts = [f"good {word} soup bread" for word in ("zog", "bad", "why", "how")] * 5
    wanted = [score(cost, text) for text in texts]
    cost.encoder._known.clear()
    found: dict[int, float] = {}
    threads = [
        threading.Thread(target=lambda place=place: found.update({place: score(cost, texts[place])}))
        for place in range(len(texts))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place] for place in range(len(texts))] == wanted


def test_equal_files_are_opened_once(made: Path, cost: EncoderCost) -> None:
    assert open_encoder(str(made), None, "here") is cost.encoder


def test_onnx_runs_on_the_callers_thread_and_starts_none(tmp_path: Path) -> None:
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("only Linux lists the threads of a process")
    folder = encoders.onnx_encoder(tmp_path / "encoder", seed=5)
    open_encoder(str(folder), None, "here")  # whatever libraries start when they are loaded
    before = len(list(tasks.iterdir()))
    other = open_encoder(str(encoders.onnx_encoder(tmp_path / "other", seed=6)), None, "here")
    other.vectors(["good soup"])
    assert len(list(tasks.iterdir())) == before


def test_a_relative_folder_stands_beside_the_policy(made: Path, cost: EncoderCost) -> None:
    assert open_encoder(f"./{made.name}", made.parent, "here") is cost.encoder


def test_the_hash_covers_head_encoder_and_hazards(made: Path, cost: EncoderCost, tmp_path: Path) -> None:
    encoder = cost.encoder
    other = read_encoder_cost(encoders.head(tmp_path / "other", encoder, seed=1), encoder, "help", HAZARDS)
    fewer = read_encoder_cost(encoders.head(tmp_path / "same", encoder), encoder, "help", HAZARDS[:1])
    assert len({cost.sha256, other.sha256, fewer.sha256}) == 3


def test_a_head_of_another_encoder_is_refused(cost: EncoderCost, tmp_path: Path) -> None:
    other = open_encoder(str(encoders.onnx_encoder(tmp_path / "encoder", seed=9)), None, "here")
    with pytest.raises(HeadMismatch, match=r"was trained on encoder .*, not on this one") as raised:
        read_encoder_cost(encoders.head(tmp_path / "head", cost.encoder), other, "help", HAZARDS)
    assert "ig-guardrail train encoder --encoder" in raised.value.fix


@pytest.mark.parametrize(
    "described", [{"pieces": 0}, {"pieces": 6, "overlap": 6}, {"pieces": 511}, {"pieces": "6"}, {"overlap": -1}]
)
def test_windows_that_cannot_be_read_are_refused(cost: EncoderCost, tmp_path: Path, described: Any) -> None:
    with pytest.raises(ModelError, match="the artifact is unfit"):
        read_encoder_cost(encoders.head(tmp_path, cost.encoder, **described), cost.encoder, "help", HAZARDS)


def test_a_head_of_another_kind_is_refused(cost: EncoderCost, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="of kind 'lexical', not 'encoder'"):
        read_encoder_cost(write(tmp_path, "lexical", {}), cost.encoder, "help", HAZARDS)


def test_a_head_of_another_size_is_refused(cost: EncoderCost, tmp_path: Path) -> None:
    folder = encoders.head(tmp_path, SentenceEncoder("other", cost.encoder.sha256, 5, 24, None, lambda ids: None))
    with pytest.raises(ModelError, match="'weight' has 5 numbers instead of 8"):
        read_encoder_cost(folder, cost.encoder, "help", HAZARDS)


@pytest.mark.parametrize(
    ("pooling", "last", "why"),
    [
        ("pooling_mode_cls_token", "Normalize", "it pools by cls, mean, and only means are read here"),
        ("pooling_mode_mean_tokens", "Dense", "its part 'Dense' is not known here"),
    ],
)
def test_vectors_that_are_no_means_are_refused(tmp_path: Path, pooling: str, last: str, why: str) -> None:
    folder = encoders.onnx_encoder(tmp_path)
    encoders.write_modules(folder, pooling, last)
    if pooling == "pooling_mode_cls_token":
        config = json.loads((folder / "1_Pooling" / "config.json").read_text())
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({**config, "pooling_mode_mean_tokens": True}))
    with pytest.raises(ModelError, match=why):
        open_encoder(str(folder), None, "here")


POOLINGS = [
    ({"embedding_dimension": 8, "pooling_mode": "mean", "include_prompt": True}, None),  # as newer releases write it
    ({"pooling_mode": ["mean"]}, None),
    ({"word_embedding_dimension": 8}, None),  # the mean, where nothing is said
    ({"pooling_mode_mean_tokens": False}, None),
    ({"pooling_mode": "mean", "pooling_mode_cls_token": True}, None),
    ({"pooling_mode": "lasttoken"}, "it pools by lasttoken"),
    ({"pooling_mode": ["mean", "max"]}, "it pools by max, mean"),
    ({"pooling_mode_mean_sqrt_len_tokens": True}, "it pools by mean_sqrt_len"),
    ({"pooling_mode": 3}, "it pools by 3"),
]


@pytest.mark.parametrize(("said", "why"), POOLINGS)
def test_pooling_is_read_as_old_and_new_releases_write_it(tmp_path: Path, said: Any, why: str | None) -> None:
    folder = encoders.onnx_encoder(tmp_path)
    encoders.write_modules(folder)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))
    if why is None:
        assert open_encoder(str(folder), None, "here").size == encoders.SIZE
    else:
        with pytest.raises(ModelError, match=why):
            open_encoder(str(folder), None, "here")


FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("xlm-roberta", {}),
    ("mpnet", {}),
    ("distilbert", {"dim": encoders.SIZE, "n_layers": 1, "n_heads": 2, "hidden_dim": encoders.SIZE}),
    ("modernbert", {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "more"), FAMILIES)
def test_other_families_are_read_as_transformers_reads_them(tmp_path: Path, family: str, more: Any) -> None:
    import torch
    from transformers import AutoModel

    folder = encoders.family_encoder(tmp_path, family, **more)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    encoder = open_encoder(str(folder), None, "here")
    ids = encoder.tokenizer.encode("good soups, bad zog").ids
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder)(torch.tensor([ids]), torch.ones(1, len(ids))).last_hidden_state
    mean = states[0].numpy().mean(axis=0)
    assert encoder.vectors(["good soups, bad zog"])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["xlm-roberta", "mpnet"])  # they count positions from behind the padding piece's
def test_an_encoder_that_reads_less_than_its_files_say_is_refused_until_they_say_so(
    tmp_path: Path, family: str
) -> None:
    folder = encoders.family_encoder(tmp_path, family, seed=2, max_position_embeddings=22)
    with pytest.raises(ModelError, match="it cannot read a text of 22 pieces: index ") as raised:
        open_encoder(str(folder), None, "here")
    assert "sentence_bert_config.json" in raised.value.fix
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    encoder = open_encoder(str(folder), None, "here")
    assert len(encoder.vectors(["good " * 50])) == 1


def damaged(folder: Path, file: str, content: bytes | None) -> Path:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("tokenizer.json", None, "tokenizer.json cannot be read: No such file"),
        ("tokenizer.json", b"{}", "its tokenizer.json cannot be read"),
        ("onnx/model.onnx", b"no graph", "ONNX Runtime cannot read its graph"),
        ("modules.json", b"{", "modules.json is not JSON"),
        ("modules.json", b'{"0": "Transformer"}', "modules.json is no list of parts"),
        ("modules.json", b'["Transformer"]', "modules.json is no list of parts"),
        ("sentence_bert_config.json", b"[]", "sentence_bert_config.json is no JSON object"),
        ("config.json", b"3", "config.json is no JSON object"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_message(tmp_path: Path, file: str, content: bytes | None, why: str) -> None:
    with pytest.raises(ModelError, match=r"the encoder '.*' cannot be had") as raised:
        open_encoder(str(damaged(encoders.onnx_encoder(tmp_path), file, content)), None, "cost_models.help.encoder")
    assert raised.value.where == "cost_models.help.encoder"
    assert why in (raised.value.why or "")


def test_a_graph_that_asks_for_more_is_refused(tmp_path: Path) -> None:
    folder = encoders.onnx_encoder(tmp_path, inputs=("input_ids", "attention_mask", "pixels"))
    with pytest.raises(ModelError, match="its graph does not lead from input_ids"):
        open_encoder(str(folder), None, "here")


def test_a_graph_whose_weights_are_in_another_file_is_refused_wherever_that_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    graph = encoders.onnx_encoder(tmp_path, seed=8) / "onnx" / "model.onnx"
    onnx.save_model(onnx.load(graph), graph, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    monkeypatch.chdir(graph.parent)  # ONNX Runtime would find it there
    with pytest.raises(ModelError, match="its graph has weights in another file") as raised:
        open_encoder(str(tmp_path), None, "here")
    assert "save it in one file" in raised.value.fix


def test_weights_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = encoders.bert_encoder(tmp_path)
    kept = load_file(folder / "model.safetensors")
    kept.pop("embeddings.word_embeddings.weight")
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="its files hold no weights for embeddings"):
        open_encoder(str(folder), None, "here")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match="file not fully covered"):
        open_encoder(str(folder), None, "here")


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no folder '\./none'"):
        open_encoder("./none", tmp_path, "here")


@pytest.mark.parametrize(("name", "revision"), [("minilm", "v1"), ("./encoder", "v1"), ("org/name", "../up")])
def test_only_models_of_the_hub_have_revisions(name: str, revision: str) -> None:
    with pytest.raises(ModelError, match="cannot be had\n  why: only models of the hub have revisions"):
        open_encoder(name, None, "here", revision)


def test_one_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = encoders.onnx_encoder(tmp_path)
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: module != "onnxruntime")
    for name in ("minilm", str(folder)):
        with pytest.raises(MissingExtra, match="cannot be used without onnxruntime") as raised:
            open_encoder(name, None, "cost_models.help.encoder")
        assert raised.value.fix == "run `pip install 'ig-guardrail[encoder]'`"


def test_a_packaged_file_that_was_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: True)
    monkeypatch.setattr(loading, "MINILM", PackagedFile("ig_guardrail", "errors.py", "0" * 64))
    monkeypatch.setattr(loading, "MINILM_SHA256", "0" * 64)  # else one that is open in this process serves
    with pytest.raises(ModelError, match=r"errors\.py is not the file that the packaged heads were trained on"):
        open_encoder("minilm", None, "here")


def test_an_encoder_without_a_limit_of_its_own_has_one(tmp_path: Path) -> None:
    folder = encoders.onnx_encoder(tmp_path / "encoder", seed=3)
    assert open_encoder(str(folder), None, "here").longest == loading.LONGEST
    other = encoders.onnx_encoder(tmp_path / "other", seed=4)
    (other / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    assert open_encoder(str(other), None, "here").room == 14
    shutil.rmtree(folder)


def test_a_policy_names_head_and_encoder_by_folder(made: Path, cost: EncoderCost, tmp_path: Path) -> None:
    encoders.head(tmp_path / "heads" / "mine", cost.encoder)
    shutil.copytree(made, tmp_path / "encoder")
    text = POLICY.format(entry="{kind: encoder, head: ./heads/mine, encoder: ./encoder, hazards: [hte, ncr]}")
    (tmp_path / "policy.yaml").write_text(text)
    policy = load_policy(str(tmp_path / "policy.yaml"))
    built = build_costs(policy.cost_models, engine=None, base_dir=None)["help"]
    assert built.model.sha256 == cost.sha256


def test_what_serves_without_the_extra_is_the_one_that_the_policy_names(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = "{kind: encoder, head: toxic-tone, hazards: [hte, ncr], otherwise: words}"
    words = "\n  words: {kind: lexical, model: words, hazards: [hte, ncr]}"
    policy, faults = compile_text(POLICY.format(entry=entry + words), "policy.yaml")
    assert policy is not None, faults
    monkeypatch.setattr("ig_guardrail.extras._is_there", lambda module: module != "onnxruntime")
    built = build_costs(policy.cost_models, engine=None, base_dir=None)["help"]
    assert built.entry == "words"
    assert isinstance(built.passed[0], MissingExtra)


def test_a_head_that_does_not_ship_is_named_with_those_that_do() -> None:
    entry = CostModelSpec("help", "encoder", ("hte",), {"head": "toxic-tome"}, timeout_s=2.0)
    with pytest.raises(ModelError, match="there is no artifact 'toxic-tome'") as raised:
        build_cost_model(entry, engine=None, base_dir=None)
    assert raised.value.fix == "write 'toxic-tone'"


def test_nothing_is_told_to_the_makers_of_onnx_runtime(tmp_path: Path) -> None:
    said = "from ig_guardrail.costs.encoder.loading import open_encoder; open_encoder('minilm', None, '')"
    told = {name: one for name, one in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    home = {**told, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", said], env=home, check=True, timeout=120)
    assert list(tmp_path.rglob("*onnxruntime*")) == []
