"""Building indexes: documents are read strictly, with the model's own tokens, and written whole or not at all."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ig_guardrail.assembly import guard_text
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.costs.provenance.index import read_index, write_index
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Vocabulary
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import HeadMismatch, ModelError, RequestError
from ig_guardrail.learn import index as building
from ig_guardrail.learn.data.rows import DataError
from ig_guardrail.learn.index import SourceDocument, build_index, document_of, index_texts, read_documents
from ig_guardrail.policy import compile_text
from ig_guardrail.types import CostModelSpec
from tests.conformance.engine.tiny import tiny_weights
from tests.toys import letters
from tests.unit.costs.provenance.corpora import indexed

DEEP = "[" * 100_000


def files(folder: Path) -> list[Path]:
    (folder / "note.txt").write_text("one\ntwo\n")
    (folder / "rows.jsonl").write_text('{"text": "first"}\n\n{"text": " "}\n{"text": "second"}\n')
    (folder / "more.jsonl.gz").write_bytes(gzip.compress(b'{"text": "third"}'))
    return [folder / name for name in ("note.txt", "rows.jsonl", "more.jsonl.gz")]


def test_a_text_file_is_a_document_and_so_is_a_line_of_json(tmp_path: Path) -> None:
    assert read_documents(files(tmp_path), "text") == [
        SourceDocument("note.txt", "one\ntwo\n"),
        SourceDocument("rows.jsonl:1", "first"),
        SourceDocument("rows.jsonl:4", "second"),
        SourceDocument("more.jsonl.gz:1", "third"),
    ]


@pytest.mark.parametrize("line", ["{", "3", '{"body": "x"}', '{"text": 4}', DEEP], ids=range(5))
def test_a_line_that_is_no_document_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "x"}\n' + line)
    with pytest.raises(DataError, match="not a document") as raised:
        read_documents([file], "text")
    assert raised.value.where == f"{file}:2"


def test_what_cannot_be_read_as_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(b"\xff\xd8\xff")
    for file in (tmp_path, tmp_path / "nothing.txt", tmp_path / "picture.txt"):
        with pytest.raises(DataError, match="cannot be read") as raised:
            read_documents([file], "text")
        assert str(file) in str(raised.value)


def test_a_corpus_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "MAX_CHARACTERS", 12)
    with pytest.raises(DataError, match="over 12 characters"):
        read_documents(files(tmp_path), "text")


def test_characters_are_those_known_after_each_token() -> None:
    vocabulary = Vocabulary(["ab", b"\xc3", b"\xa9"])
    document = document_of("d", vocabulary.ids("abéab"), vocabulary.language.detokenizer)
    assert (document.ids.tolist(), document.characters.tolist()) == ([0, 1, 2, 0], [2, 2, 3, 5])


def test_an_index_fits_the_engine_that_has_the_tokenizer() -> None:
    weights = tiny_weights(context=64)
    index = index_texts(weights.tokenizer, [SourceDocument("d", "so it is <|im_end|> so it is")], "tiny")
    assert index.language == TransformersEngine(weights).info.language
    assert index.tokens == len(chat_of(weights.tokenizer).text_ids("so it is <|im_end|> so it is"))


def test_an_index_is_never_written_over_and_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, out = files(tmp_path), tmp_path / "indexes" / "mine"
    monkeypatch.setattr(building, "load_tokenizer", lambda model: None)
    monkeypatch.setattr(building, "index_texts", lambda *rest: indexed([1, 2]))
    assert build_index("toy", given, out).tokens == read_index(out).tokens == 2
    with pytest.raises(RequestError, match="is there already"):
        build_index("toy", given, out)

    def broken(index: object, folder: Path) -> None:
        (folder / "ids.npy").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building, "write_index", broken)
    with pytest.raises(Exception, match="cannot be written"):
        build_index("toy", given, tmp_path / "indexes" / "other")
    assert [entry.name for entry in (tmp_path / "indexes").iterdir()] == ["mine"]


OPTIONS = {"unsafe": "./a", "reference": "./b", "common": 6, "norm": 8, "hard": 12}


def spec() -> CostModelSpec:
    return CostModelSpec("origin", "provenance", ("hte",), OPTIONS, timeout_s=2.0)


@pytest.mark.parametrize("foreign", ["a", "b"])
def test_an_index_for_another_tokenizer_is_refused(foreign: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_index(indexed([1, 2], language="2" * 64 if name == foreign else "1" * 64), tmp_path / name)
    with pytest.raises(HeadMismatch, match="made for another tokenizer, that of 'toy'"):
        build_cost_model(spec(), engine=EngineFacts("m", "float32", "1" * 64), base_dir=tmp_path)
    with pytest.raises(ModelError, match="needs a language model to read"):
        build_cost_model(spec(), engine=None, base_dir=tmp_path)


def test_the_policy_names_both_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_index(indexed([1, 2]), tmp_path / name)
    model = build_cost_model(spec(), engine=EngineFacts("m", "float32", "1" * 64), base_dir=tmp_path)
    assert (model.granularity, model.reading, model.layers, model.longest_match) == ("token", "event", (), 0)


def test_an_index_of_json_lines_can_be_of_another_field(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"response": "so", "text": "not this"}))
    assert read_documents([tmp_path / "rows.jsonl"], "response") == [SourceDocument("rows.jsonl:1", "so")]


POLICY = """apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: origin, version: 1.0.0}
cost_models:
  origin: {kind: provenance, unsafe: ./a, reference: ./b, hazards: [x.recital]}
budgets:
  - {id: recital, hazards: [x.recital], cost: origin, threshold: 0.75}
messages:
  refusal: {en: "No."}
  closing: {en: "Enough."}
"""


def test_a_model_that_is_read_as_text_cannot_be_held_to_it() -> None:
    policy, faults = compile_text(POLICY, "p.yaml")
    assert policy is not None
    assert faults == ()
    with pytest.raises(ModelError, match="budget 'recital' reads token ids, and this model is only read as text"):
        guard_text(ScriptedEngine(letters([1, 1])), policy)


def test_prompts_cannot_be_checked_for_it() -> None:
    text = POLICY + "prompt: {cost: origin, threshold: 0.5, on_exceed: refuse}\n"
    assert [fault.code for fault in compile_text(text, "p.yaml")[1]] == ["P030"]
