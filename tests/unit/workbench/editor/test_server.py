"""The server as an editor meets it: a process that is started and spoken to, in the protocol."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from tests.unit.workbench.editor.texts import CASES, POLICY

pytestmark = pytest.mark.asyncio(loop_scope="module")
SERVER = """
import os
from ig_guardrail.cli.main import run
from ig_guardrail.workbench.editor import findings
check = findings.find
findings.find = lambda *given: (print("noise", flush=True), os.write(1, b"noise"), check(*given))[-1]
run(["policy", "lsp"])
"""  # what a check would print must not reach the editor
PATIENCE_S = 60
SNIPPETS = lsp.ClientCapabilities(
    text_document=lsp.TextDocumentClientCapabilities(
        completion=lsp.CompletionClientCapabilities(
            completion_item=lsp.ClientCompletionItemOptions(snippet_support=True)
        )
    )
)


class Editor:
    """An editor with files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = LanguageClient("tests", "1")
        self.told: asyncio.Queue[lsp.PublishDiagnosticsParams] = asyncio.Queue()
        self.client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(partial(self._take))
        self.versions: dict[str, int] = {}

    def _take(self, told: lsp.PublishDiagnosticsParams) -> None:
        self.told.put_nowait(told)

    async def start(self) -> lsp.InitializeResult:
        await self.client.start_io(sys.executable, "-c", SERVER)
        return await self.client.initialize_async(lsp.InitializeParams(capabilities=SNIPPETS))

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def named(self, name: str) -> lsp.TextDocumentIdentifier:
        return lsp.TextDocumentIdentifier(self.uri(name))

    def type(self, name: str, text: str) -> None:
        """Open a file, or change what is open of it; nothing is saved."""
        version = self.versions[name] = self.versions.get(name, 0) + 1
        if version == 1:
            item = lsp.TextDocumentItem(self.uri(name), "yaml", version, text)
            self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        else:
            identifier = lsp.VersionedTextDocumentIdentifier(version, self.uri(name))
            change = lsp.TextDocumentContentChangeWholeDocument(text)
            self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(identifier, [change]))

    async def findings(self, name: str) -> list[lsp.Diagnostic]:
        """What is told of the newest text of a file."""
        while True:
            told = await asyncio.wait_for(self.told.get(), PATIENCE_S)
            if told.uri == self.uri(name) and told.version == self.versions[name]:
                return list(told.diagnostics)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def editor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Editor]:
    editor = Editor(tmp_path_factory.mktemp("policies"))
    started = await editor.start()
    assert started.server_info is not None
    assert started.server_info.name == "ig-guardrail"
    yield editor
    await editor.client.shutdown_async(None)
    editor.client.exit(None)
    await editor.client.stop()


def at(text: str, word: str, into: int = 0) -> lsp.Position:
    """The place of a word, as editors count: UTF-16."""
    before = text[: text.index(word) + into]
    return lsp.Position(before.count("\n"), len(before.rpartition("\n")[2].encode("utf-16-le")) // 2)


def applied(text: str, edits: Any) -> str:
    """A text after edits, last first."""
    for edit in sorted(edits, key=lambda one: (one.range.start.line, one.range.start.character), reverse=True):
        rows = text.split("\n")
        lines = [len("\n".join(rows[: place.line])) + bool(place.line) for place in (edit.range.start, edit.range.end)]
        begin, end = (
            start + len(rows[place.line].encode("utf-16-le")[: 2 * place.character].decode("utf-16-le"))
            for start, place in zip(lines, (edit.range.start, edit.range.end), strict=True)
        )
        text = text[:begin] + edit.new_text + text[end:]
    return text


async def test_findings_come_while_one_types_and_a_fix_mends_them(editor: Editor) -> None:
    broken = POLICY.replace(
        '{id: kindness, hazards: [hte, x.insult], cost: "max',
        '{x-of: 😀😀, id: kindness, hazards: [hte, x.insult], cozt: "max',
    )
    editor.type("bank.yaml", broken)
    (found,) = await editor.findings("bank.yaml")
    assert (found.code, found.source, found.severity) == ("P013", "ig-guardrail", lsp.DiagnosticSeverity.Error)
    assert found.range == lsp.Range(at(broken, "cozt"), at(broken, "cozt", into=4))
    assert "did you mean `cost`?" in found.message
    asked = lsp.CodeActionParams(editor.named("bank.yaml"), found.range, lsp.CodeActionContext([found]))
    actions = await editor.client.text_document_code_action_async(asked)
    (fix,) = actions or ()
    assert isinstance(fix, lsp.CodeAction)
    assert fix.is_preferred
    assert fix.edit is not None
    assert fix.edit.changes is not None
    mended = applied(broken, fix.edit.changes[editor.uri("bank.yaml")])
    editor.type("bank.yaml", mended)
    assert await editor.findings("bank.yaml") == []
    assert not (editor.folder / "bank.yaml").exists()


async def test_the_newest_text_is_judged(editor: Editor) -> None:
    for length in range(1, len(POLICY), 40):
        editor.type("quick.yaml", POLICY[:length])
    editor.type("quick.yaml", POLICY)
    assert await editor.findings("quick.yaml") == []


async def test_what_may_be_written_is_offered(editor: Editor) -> None:
    half = POLICY[: POLICY.index("messages:")] + "  - {id: more, hazards: [hte], cost: "
    editor.type("half.yaml", half)
    place = lsp.Position(half.count("\n"), len(half.rpartition("\n")[2]))
    offered = await editor.client.text_document_completion_async(lsp.CompletionParams(editor.named("half.yaml"), place))
    assert isinstance(offered, lsp.CompletionList)
    items = {one.label: one for one in offered.items}
    assert list(items) == ["tone", "words", "max", "min", "mean"]
    assert isinstance(items["max"].text_edit, lsp.TextEdit)
    assert items["max"].text_edit.new_text == '"max(${1:a}, ${2:b})"'


async def test_names_are_told_found_and_changed(editor: Editor) -> None:
    editor.type("shop.yaml", POLICY)
    editor.type("shop_test.yaml", CASES.replace("bank.yaml", "shop.yaml"))
    assert await editor.findings("shop_test.yaml") == []
    named, place = editor.named("shop.yaml"), at(POLICY, "max(tone", into=5)
    told = await editor.client.text_document_hover_async(lsp.HoverParams(named, place))
    assert told is not None
    assert isinstance(told.contents, lsp.MarkupContent)
    assert "insults, demeans or hates" in told.contents.value
    found = await editor.client.text_document_definition_async(lsp.DefinitionParams(named, place))
    assert found == [lsp.Location(editor.uri("shop.yaml"), lsp.Range(at(POLICY, "tone:"), at(POLICY, "tone:", 4)))]
    asked = lsp.ReferenceParams(lsp.ReferenceContext(True), named, place)
    assert len(await editor.client.text_document_references_async(asked) or ()) == 3
    edit = await editor.client.text_document_rename_async(lsp.RenameParams(named, place, "voice"))
    assert edit is not None
    assert edit.changes is not None
    assert edit.changes.keys() == {editor.uri("shop.yaml"), editor.uri("shop_test.yaml")}
    editor.type("shop.yaml", applied(POLICY, edit.changes[editor.uri("shop.yaml")]))
    assert await editor.findings("shop.yaml") == []
    while [one.code for one in await editor.findings("shop_test.yaml")] != ["T003"]:  # checked again, as others are
        pass


async def test_a_warning_can_be_waived_in_a_new_file(editor: Editor) -> None:
    shadow = POLICY.replace("budget: 0.05", "budget: 0.05, mode: shadow")
    editor.type("shadow.yaml", shadow)
    (found,) = await editor.findings("shadow.yaml")
    assert (found.code, found.severity) == ("P103", lsp.DiagnosticSeverity.Warning)
    asked = lsp.CodeActionParams(editor.named("shadow.yaml"), found.range, lsp.CodeActionContext([found]))
    (waive,) = (await editor.client.text_document_code_action_async(asked)) or ()
    assert isinstance(waive, lsp.CodeAction)
    assert waive.edit is not None
    create, change = waive.edit.document_changes or ()
    assert isinstance(create, lsp.CreateFile)
    assert isinstance(change, lsp.TextDocumentEdit)
    assert create.uri == editor.uri("waivers.yaml")
    (edit,) = change.edits
    assert isinstance(edit, lsp.TextEdit)
    editor.type("waivers.yaml", edit.new_text.replace("reason: ", "reason: x").replace("owner: ", "owner: me"))
    while await editor.findings("shadow.yaml"):
        pass


async def test_no_message_is_lost_on_odd_texts(editor: Editor) -> None:
    for text in ("", "\ufeff", "[" * 3000, "a: \ud83d", "x" * 300_000, POLICY.replace("\n", "\r"), "\x00", POLICY):
        editor.type("odd.yaml", text)
        place = lsp.Position(5, 5)
        await editor.client.text_document_completion_async(lsp.CompletionParams(editor.named("odd.yaml"), place))
        await editor.client.text_document_hover_async(lsp.HoverParams(editor.named("odd.yaml"), place))
    assert await editor.findings("odd.yaml") == []


async def test_a_closed_file_has_no_findings(editor: Editor) -> None:
    editor.type("gone.yaml", POLICY.replace("threshold", "treshold"))
    assert len(await editor.findings("gone.yaml")) == 1
    editor.client.text_document_did_close(lsp.DidCloseTextDocumentParams(editor.named("gone.yaml")))
    told = await asyncio.wait_for(editor.told.get(), PATIENCE_S)
    assert (told.uri, list(told.diagnostics)) == (editor.uri("gone.yaml"), [])
