"""Indexes of corpora for the cost model `provenance`: texts read as a model reads them, sorted once, written once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ig_guardrail.costs.provenance.index import IndexedDocument, TokenIndex, index_of, write_index
from ig_guardrail.engine.loading.models import load_tokenizer
from ig_guardrail.engine.loading.store import quiet
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.text.detokenize import Detokenizer, Held, detokenizer_of
from ig_guardrail.errors import GuardrailError, RequestError
from ig_guardrail.learn.data.documents import SourceDocument, read_documents
from ig_guardrail.learn.fitting.tensor_cache import progress_line


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
