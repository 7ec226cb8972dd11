"""Indexes of corpora for the cost model `provenance`: texts read as a model reads them, sorted once, written once.

A document is a text file, or a line of JSON lines.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ig_guardrail.costs.provenance.index import IndexedDocument, TokenIndex, index_of, write_index
from ig_guardrail.engine.loading.models import load_tokenizer
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.text.detokenize import Detokenizer, Held, detokenizer_of
from ig_guardrail.errors import GuardrailError, RequestError
from ig_guardrail.learn.data.rows import DataError, text_lines
from ig_guardrail.learn.fitting.tensor_cache import progress_line

MAX_CHARACTERS = 2**30


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document as it was read. name: its file, and for JSON lines the number of its line."""

    name: str
    text: str


def build_index(model: str, files: Sequence[Path], out: Path, field: str = "text") -> TokenIndex:
    """Index the documents of `files` for a model, and write the index to the new folder `out`.

    Raises DataError for files that are not documents, ModelError for a model that cannot be had or a corpus without
    text, RequestError if `out` is there already. Nothing is left behind where it fails.
    """
    if out.exists():
        raise RequestError(f"{out} is there already", where="--out", fix="name a new folder, or remove this one")
    texts = read_documents(files, field)
    index = index_texts(load_tokenizer(model), texts, model, progress_line("tokens of documents"))
    _put(index, out)
    return index


def read_documents(files: Sequence[Path], field: str) -> list[SourceDocument]:
    """The documents of all files, in order; blank ones are left out.

    .jsonl and .jsonl.gz files hold one object a line, with the text in `field`; all others are plain UTF-8 text, .gz
    ones gzipped. Raises DataError, naming file and line, for anything else, and past `MAX_CHARACTERS` in all.
    """
    found: list[SourceDocument] = []
    size = 0
    for file in files:
        for document in _of_lines(file, field) if _holds_lines(file) else _whole(file):
            size += len(document.text)
            if size > MAX_CHARACTERS:
                raise DataError(f"these files have over {MAX_CHARACTERS} characters", where=str(file), fix="split them")
            if document.text.strip():
                found.append(document)
    return found


def index_texts(
    tokenizer: Any,
    texts: Sequence[SourceDocument],
    model: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TokenIndex:
    """An index of texts as a model's tokenizer reads them. progress: told (done, total) documents."""
    chat, detokenizer = chat_of(tokenizer), detokenizer_of(tokenizer)
    documents = []
    for done, text in enumerate(texts, start=1):
        with quiet():  # a document may be longer than the model's context
            documents.append(document_of(text.name, chat.text_ids(text.text), detokenizer))
        progress(done, len(texts))
    return index_of(documents, detokenizer.sha256(1 + max(tokenizer.get_vocab().values())), model)


def document_of(name: str, ids: Sequence[int], detokenizer: Detokenizer) -> IndexedDocument:
    """A document from its tokens."""
    held, known, characters = Held(), 0, []
    for token in ids:
        text, held = detokenizer.read(token, held)
        known += len(text)
        characters.append(known)
    return IndexedDocument(name, np.array(ids, dtype=np.int32), np.array(characters, dtype=np.int32))


def _put(index: TokenIndex, out: Path) -> None:
    """Write beside, then move into place."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            write_index(index, beside)
            beside.rename(out)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise GuardrailError(
            "the index cannot be written", where=str(out), why=error.strerror or str(error), fix="name another folder"
        ) from error


def _holds_lines(file: Path) -> bool:
    return file.name.removesuffix(".gz").endswith(".jsonl")


def _whole(file: Path) -> Iterator[SourceDocument]:
    yield SourceDocument(file.name, "".join(text_lines(file)))


def _of_lines(file: Path, field: str) -> Iterator[SourceDocument]:
    for number, line in enumerate(text_lines(file), start=1):
        if line.strip():
            yield SourceDocument(f"{file.name}:{number}", _text_of(line, field, f"{file}:{number}"))


def _text_of(line: str, field: str, place: str) -> str:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _malformed(place, "it is not JSON", field) from error
    text = values.get(field) if isinstance(values, dict) else None
    if not isinstance(text, str):
        raise _malformed(place, f"it is not an object with a text in '{field}'", field)
    return text


def _malformed(place: str, why: str, field: str) -> DataError:
    return DataError(
        "this line is not a document",
        where=place,
        why=why,
        fix=f'write one object a line, {{"{field}": "..."}}, or name another field with --field',
    )
