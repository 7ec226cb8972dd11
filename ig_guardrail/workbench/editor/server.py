"""The language server: what an editor says and asks, in the Language Server Protocol, answered by the modules beside.

A change is checked once nothing was typed for a moment, one document at a time, beside the loop that reads requests;
what is found in a text that has changed meanwhile is dropped.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from ig_guardrail.errors import RequestError
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.workbench.editor import findings, names
from ig_guardrail.workbench.editor.completion import Completion, Sort, complete
from ig_guardrail.workbench.editor.document import Document, Encoding, read_text
from ig_guardrail.workbench.editor.hover import hover
from ig_guardrail.workbench.editor.outline import CharacterSpan

PAUSE_S = 0.15  # without a change, until a document is checked
PAUSE_OF_OTHERS_S = 1.0  # until those are that may lean on it
MOST_FAULTS = 8  # under a cursor, for which fixes are looked for
MOST_ASIDE = 64  # open documents that are checked again when another one changes

_SORTS: dict[Sort, lsp.CompletionItemKind] = {
    "key": lsp.CompletionItemKind.Property,
    "word": lsp.CompletionItemKind.EnumMember,
    "name": lsp.CompletionItemKind.Reference,
    "function": lsp.CompletionItemKind.Function,
    "value": lsp.CompletionItemKind.Value,
    "snippet": lsp.CompletionItemKind.Snippet,
}
_PLACE = re.compile(r"\$\{[0-9]+:((?:[^}\\]|\\.)*)\}|\$[0-9]+")
_ON_LINE = re.compile(r"on line ([0-9]+)$")


def serve(stdin: BinaryIO, stdout: BinaryIO, version: str) -> None:
    """Serve one editor until it says that it leaves.

    stdout   nothing else may write there
    version  what the editor is told of this server
    """
    server = LanguageServer("ig-guardrail", version, text_document_sync_kind=lsp.TextDocumentSyncKind.Full)
    EditorSession(server).listen()
    server.start_io(stdin, stdout)


class EditorSession:
    """One editor: its open documents and what was found in them."""

    def __init__(self, server: LanguageServer) -> None:
        self.server = server
        self.documents: dict[str, Document] = {}
        self.faults: dict[str, tuple[Document, Sequence[Diagnostic]]] = {}
        self.resting: dict[str, asyncio.Task[None]] = {}  # checks that wait for a pause in typing
        self.waiting: set[str] = set()  # documents whose check waits for its turn
        self.turn = asyncio.Lock()

    def listen(self) -> None:
        """Take requests of the features that there are."""
        completion = lsp.CompletionOptions(trigger_characters=[":", " ", "[", "{", "(", ",", "-", "."])
        actions = lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix])
        handlers: list[tuple[str, Callable[[Any], Any], Any]] = [
            (lsp.TEXT_DOCUMENT_DID_OPEN, self.opened, None),
            (lsp.TEXT_DOCUMENT_DID_CHANGE, self.changed, None),
            (lsp.TEXT_DOCUMENT_DID_SAVE, self.saved, None),
            (lsp.TEXT_DOCUMENT_DID_CLOSE, self.closed, None),
            (lsp.TEXT_DOCUMENT_COMPLETION, self.complete, completion),
            (lsp.TEXT_DOCUMENT_HOVER, self.hover, None),
            (lsp.TEXT_DOCUMENT_DEFINITION, self.define, None),
            (lsp.TEXT_DOCUMENT_REFERENCES, self.refer, None),
            (lsp.TEXT_DOCUMENT_RENAME, self.rename, None),
            (lsp.TEXT_DOCUMENT_CODE_ACTION, self.fix, actions),
        ]
        for name, handler, options in handlers:
            self.server.feature(name, options)(partial(handler))  # pygls writes attributes on it

    # Documents

    def opened(self, params: lsp.DidOpenTextDocumentParams) -> None:
        self._take(params.text_document.uri)

    def changed(self, params: lsp.DidChangeTextDocumentParams) -> None:
        self._take(params.text_document.uri)

    def saved(self, params: lsp.DidSaveTextDocumentParams) -> None:
        self._take(params.text_document.uri)

    def closed(self, params: lsp.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        self.documents.pop(uri, None)
        self.faults.pop(uri, None)
        self.server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))

    def _take(self, uri: str) -> None:
        opened = self.server.workspace.text_documents.get(uri)
        if opened is None:
            return
        kind = self.server.workspace.position_encoding or lsp.PositionEncodingKind.Utf16
        encoding: Encoding = lsp.PositionEncodingKind(kind).value
        self.documents[uri] = Document(uris.to_fs_path(uri) or uri, opened.source, encoding)
        self._check_later(uri, PAUSE_S)
        for other in [one for one in self.documents if one not in self.resting][:MOST_ASIDE]:
            self._check_later(other, PAUSE_OF_OTHERS_S)

    def texts(self, path: Path) -> str | None:
        """What is open of a file, else what is on disk."""
        asked = os.path.abspath(path)
        opened = (one.text for one in tuple(self.documents.values()) if os.path.abspath(one.path) == asked)
        return next(opened, None) or read_text(path)

    # Findings

    def _check_later(self, uri: str, pause: float) -> None:
        if uri in self.waiting:
            return  # it will read the newest text
        if uri in self.resting:
            self.resting.pop(uri).cancel()
        self.resting[uri] = asyncio.get_running_loop().create_task(self._check(uri, pause))

    async def _check(self, uri: str, pause: float) -> None:
        await asyncio.sleep(pause)
        self.resting.pop(uri, None)
        self.waiting.add(uri)
        async with self.turn:
            self.waiting.discard(uri)
            document = self.documents.get(uri)
            if document is None:
                return
            found = await asyncio.to_thread(findings.find, document, self.texts)
        if self.documents.get(uri) is document:
            self.faults[uri] = (document, found)
            told = [self._diagnostic(uri, document, one) for one in found]
            version = self.server.workspace.text_documents[uri].version
            self.server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, told, version))

    def _diagnostic(self, uri: str, document: Document, fault: Diagnostic) -> lsp.Diagnostic:
        label = f": {fault.label}" if fault.label else ""
        rest = [fault.why and f"why: {fault.why}", fault.help and f"help: {fault.help}"]
        inherited = f"in {fault.file}:{fault.line}: " if fault.file != document.path else ""
        return lsp.Diagnostic(
            range=_range(document, findings.place(document, fault)),
            message="\n".join([f"{inherited}{fault.message}{label}", *filter(None, rest)]),
            severity=lsp.DiagnosticSeverity.Error if fault.severity == "error" else lsp.DiagnosticSeverity.Warning,
            code=fault.code,
            source="ig-guardrail",
            related_information=self._related(uri, document, fault),
            data=fault.path,
        )

    def _related(
        self, uri: str, document: Document, fault: Diagnostic
    ) -> list[lsp.DiagnosticRelatedInformation] | None:
        """Where else to look: at the line that a label names, or in the file of a policy that this one extends."""
        other = _ON_LINE.search(fault.label)
        if fault.file != document.path:
            home = self._document(fault.file, document.encoding)
            there = lsp.Location(self._uri(fault.file), _range(home, findings.place(home, fault)))
            return [lsp.DiagnosticRelatedInformation(there, fault.message)]
        if other is not None:
            there = lsp.Location(uri, _range(document, document.span(int(other[1]), 1, 1)))
            return [lsp.DiagnosticRelatedInformation(there, fault.label)]
        return None

    def fix(self, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        """Edits that fix what is wrong under a selection."""
        uri = params.text_document.uri
        document, found = self.faults.get(uri, (None, ()))
        if document is None or document is not self.documents.get(uri):
            return []
        asked = _span(document, params.range)
        spans = [(one, findings.place(document, one)) for one in found]
        here = [one for one, span in spans if span.start <= asked.end and asked.start <= span.end]
        return [
            lsp.CodeAction(
                title=one.title,
                kind=lsp.CodeActionKind.QuickFix,
                diagnostics=[self._diagnostic(uri, document, fault)],
                edit=self._edit(document, one.edit),
                is_preferred=one.sure or None,
            )
            for fault in here[:MOST_FAULTS]
            for one in findings.fixes(document, fault, self.texts)
        ]

    def _edit(self, document: Document, edit: findings.FileEdit) -> lsp.WorkspaceEdit:
        home = document if edit.path == document.path else self._document(edit.path, document.encoding)
        uri = self._uri(edit.path)
        change = lsp.TextEdit(_range(home, edit.span), edit.text)
        if not edit.new:
            return lsp.WorkspaceEdit(changes={uri: [change]})
        identifier = lsp.OptionalVersionedTextDocumentIdentifier(uri=uri, version=None)
        create = lsp.CreateFile(uri, options=lsp.CreateFileOptions(ignore_if_exists=True))
        return lsp.WorkspaceEdit(document_changes=[create, lsp.TextDocumentEdit(identifier, [change])])

    # Requests

    def complete(self, params: lsp.CompletionParams) -> lsp.CompletionList:
        document = self.documents.get(params.text_document.uri)
        offers = complete(document, _offset(document, params.position), self.texts) if document is not None else []
        completion = self.server.client_capabilities.text_document
        item = completion.completion.completion_item if completion and completion.completion else None
        snippets = bool(item and item.snippet_support)
        return lsp.CompletionList(
            is_incomplete=False,
            items=[_item(document, place, one, snippets) for place, one in enumerate(offers) if document is not None],
        )

    def hover(self, params: lsp.HoverParams) -> lsp.Hover | None:
        uri = params.text_document.uri
        document = self.documents.get(uri)
        if document is None:
            return None
        checked, faults = self.faults.get(uri, (None, ()))
        known = faults if checked is document else ()
        found = hover(document, _offset(document, params.position), known, self.texts)
        if found is None:
            return None
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, found[1]), _range(document, found[0]))

    def define(self, params: lsp.DefinitionParams) -> list[lsp.Location]:
        document = self.documents.get(params.text_document.uri)
        if document is None:
            return []
        return self._locations(names.definitions(document, _offset(document, params.position), self.texts))

    def refer(self, params: lsp.ReferenceParams) -> list[lsp.Location]:
        document = self.documents.get(params.text_document.uri)
        if document is None:
            return []
        offset, all_of_them = _offset(document, params.position), params.context.include_declaration
        return self._locations(names.references(document, offset, self.texts, all_of_them))

    def rename(self, params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
        document = self.documents.get(params.text_document.uri)
        if document is None:
            return None
        try:
            found = names.renamed(document, _offset(document, params.position), params.new_name, self.texts)
        except RequestError as error:
            raise JsonRpcInvalidParams(str(error)) from error
        changes: dict[str, list[lsp.TextEdit]] = {}
        for home, span in found:
            edit = lsp.TextEdit(_range(home, span), params.new_name)
            changes.setdefault(self._uri(home.path), []).append(edit)
        return lsp.WorkspaceEdit(changes=changes)

    def _locations(self, found: Iterable[tuple[Document, CharacterSpan]]) -> list[lsp.Location]:
        return [lsp.Location(self._uri(home.path), _range(home, span)) for home, span in found]

    def _document(self, path: str, encoding: Encoding) -> Document:
        return Document(path, self.texts(Path(path)) or "", encoding)

    def _uri(self, path: str) -> str:
        """A file as the editor calls it, if it is open there."""
        asked = os.path.abspath(path)
        opened = (uri for uri, one in self.documents.items() if os.path.abspath(one.path) == asked)
        return next(opened, None) or uris.from_fs_path(asked) or asked


def _offset(document: Document, position: lsp.Position) -> int:
    return document.offset(position.line, position.character)


def _span(document: Document, asked: lsp.Range) -> CharacterSpan:
    return CharacterSpan(_offset(document, asked.start), _offset(document, asked.end))


def _range(document: Document, span: CharacterSpan) -> lsp.Range:
    return lsp.Range(lsp.Position(*document.line_column(span.start)), lsp.Position(*document.line_column(span.end)))


def _item(document: Document, place: int, one: Completion, snippets: bool) -> lsp.CompletionItem:
    insert = one.insert if snippets else _without_places(one.insert)
    return lsp.CompletionItem(
        label=one.label,
        kind=_SORTS[one.sort],
        detail=one.detail or None,
        documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, one.doc) if one.doc else None,
        sort_text=f"{place:03}",
        text_edit=lsp.TextEdit(_range(document, one.replaces), insert),
        insert_text_format=lsp.InsertTextFormat.Snippet if snippets else lsp.InsertTextFormat.PlainText,
    )


def _without_places(insert: str) -> str:
    """A snippet as plain text, for editors that know no snippets."""
    text = _PLACE.sub(lambda found: found[1] or "", insert)
    return re.sub(r"\\([$}\\])", r"\1", text).rstrip()
