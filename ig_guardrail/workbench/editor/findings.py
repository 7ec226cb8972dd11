"""What is wrong in a document as it stands in the editor: what `policy check` tells of it, and edits that fix it."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ig_guardrail.errors import PolicyError
from ig_guardrail.fields.field import MapOf
from ig_guardrail.policy.check import check_source
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.diagnostics.report import FileReport
from ig_guardrail.policy.sources import WAIVERS, PolicySource, is_policy
from ig_guardrail.policy.waivers import WaiverFile, waive, waivers_of, without_waived
from ig_guardrail.policy.yaml.decoding import MOST_BYTES
from ig_guardrail.types import CompiledPolicy
from ig_guardrail.workbench.cases.reading import cases_in
from ig_guardrail.workbench.editor.document import Document, Texts
from ig_guardrail.workbench.editor.names import named_parent, read_named
from ig_guardrail.workbench.editor.outline import CharacterSpan, OutlineNode
from ig_guardrail.workbench.editor.places import leaves, node_at, section_of

MOST_POLICIES = 64  # of a folder that are checked for a file of waivers
_DAYS = 90  # until a waiver ends, unless its author writes another day
_SUGGESTED = re.compile(  # what may stand in the place itself: other words of an advice speak about it
    r"(?:\bwrite|\badd|\bmean|\bor) `([^`]+)`(?=$|[?,;.]| \(| for | if | or )"
    r"|\bwrite (?:a point: |a share of 1: )?(\"[^\"]*\"|-?[0-9][0-9.]*[0-9]|[0-9]|\[[^\]]*\])(?=$|[:,;]| without | or )"
)
_ENTRY = re.compile(r"([A-Za-z_][\w-]*): (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FileEdit:
    """Characters of a file, and what stands there afterwards. new: whether the file is not there yet."""

    path: str
    span: CharacterSpan
    text: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class Fix:
    """An edit that fixes a fault, in words. sure: whether it is what the check suggests."""

    title: str
    edit: FileEdit
    sure: bool


def find(document: Document, texts: Texts) -> tuple[Diagnostic, ...]:
    """Every fault of a policy, of a file of cases or of waivers; of other files none. Never raises."""
    match document.role:
        case "policy":
            return checked(document, texts).faults
        case "cases":
            return _of_cases(document, texts)
        case "waivers":
            return _of_waivers(document, texts)
    return ()


def checked(document: Document, texts: Texts) -> FileReport:
    """What `policy check` tells of a policy; the warnings that are waived beside it are apart. Never raises."""
    report = check_source(_source(document.path, document.text))
    return without_waived(report, _waivers_beside(document.path, texts), _today())


def place(document: Document, fault: Diagnostic) -> CharacterSpan:
    """Where a fault is shown: what the check marks; of one in a policy that this one extends, where that is named."""
    if not fault.file or fault.file == document.path:
        return document.span(fault.line, fault.column, fault.length)
    named = named_parent(document)
    return named.span if named is not None else CharacterSpan(0, 0)


def _source(path: str, text: str) -> PolicySource:
    return PolicySource(path, text.encode("utf-8", "surrogatepass")[: MOST_BYTES + 1])


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _waivers_beside(path: str, texts: Texts) -> list[WaiverFile]:
    files = ((Path(path).parent / name, texts(Path(path).parent / name)) for name in WAIVERS)
    return [waivers_of(_source(str(file), text)) for file, text in files if text is not None]


def _of_cases(document: Document, texts: Texts) -> tuple[Diagnostic, ...]:
    def load(source: str | Path) -> CompiledPolicy:
        home = read_named(source, texts, document)
        if home is None:
            raise PolicyError(f"{source} cannot be read")
        policy, faults = compile_text(home.text, home.path, warn=False)
        if policy is None:
            raise PolicyError(f"{Path(home.path).name} has faults, the first on line {faults[0].line}")
        return policy

    found = cases_in(_source(document.path, document.text).content, document.path, load)
    if not found.unusable:
        return found.faults
    what, _, why = found.unusable.partition("\n\n")
    return (Diagnostic("T001", "error", "(file)", document.path, 0, 0, 1, what, why, "", ""),)


def _of_waivers(document: Document, texts: Texts) -> tuple[Diagnostic, ...]:
    """Faults of its form, and waivers that are over or that no policy needs."""
    own = waivers_of(_source(document.path, document.text))
    named = [own.folder / one.file for one in own.waivers if one.file is not None]
    paths = list(dict.fromkeys([*_policies_in(own.folder), *named]))[:MOST_POLICIES]
    reports = [_checked(str(path), text) for path in paths if (text := texts(path)) is not None]
    try:
        told = waive(reports, [own], _today())
    except OSError:  # its folder is not there yet
        return own.report.faults
    return next((one.faults for one in told if not one.policy), ())


def _policies_in(folder: Path) -> list[Path]:
    try:
        found = itertools.islice(folder.iterdir(), 10 * MOST_POLICIES)
        return sorted(path for path in found if is_policy(path.name) and path.is_file())
    except OSError:
        return []


def _checked(path: str, text: str) -> FileReport:
    return check_source(_source(path, text))


# Fixes


def fixes(document: Document, fault: Diagnostic, texts: Texts) -> list[Fix]:
    """Edits of what a check suggests, each of which was tried: after it the fault is gone, and errors are fewer.

    Where the check asks "did you mean", further errors may show that the fault hid.
    """
    before = find(document, texts)
    if fault not in before or fault.file != document.path:
        return []
    found = [one for one in _suggested(document, fault) if _mends(document, one, fault, before, texts)]
    return [*found, *_waiver(document, fault, texts)]


def _suggested(document: Document, fault: Diagnostic) -> Iterator[Fix]:
    marked = place(document, fault)
    if document.text[marked.start : marked.end][:1] in ("|", ">"):
        return  # a text of lines, which only its first sign marks
    sure = fault.help.startswith("did you mean") or fault.label.startswith("did you mean")
    words = [next(filter(None, one.groups())).removesuffix("(...)") for one in _SUGGESTED.finditer(fault.help)]
    for word in dict.fromkeys(words):
        entry = _ENTRY.fullmatch(word)
        edit = _set_key(document, marked, entry[1], entry[2]) if entry else FileEdit(document.path, marked, word)
        if edit is not None:
            yield Fix(f"write `{word}`", edit, sure)


def _set_key(document: Document, marked: CharacterSpan, key: str, value: str) -> FileEdit | None:
    """The edit that gives a key of the mapping around a place this value."""
    all_leaves = list(leaves(document.language, document.tree))
    at = next((one for one in all_leaves if one.node.start == marked.start and (one.is_key or one.path)), None)
    path = at.path if at is not None else ()
    for end in range(len(path), -1, -1):
        home = node_at(document.tree, path[:end])
        kind = next((one.kind for one in all_leaves if one.path == path[:end] and not one.is_key), None)
        section = section_of(kind, home)
        known = section is not None and key in section.fields
        if home is None or home.kind != "map" or not (known or isinstance(kind, MapOf)):
            continue
        written = next((pair for pair in home.entries if pair[0].text == key), None)
        if written is None:
            return FileEdit(document.path, *_inserted(document.text, home, f"{key}: {value}", is_root=not end))
        if written[1] is not None:
            return FileEdit(document.path, written[1].span, value)
    return None


def _inserted(text: str, home: OutlineNode, entry: str, is_root: bool) -> tuple[CharacterSpan, str]:
    """Where a mapping takes one more entry, and how it is written there."""
    if home.flow:
        last = home.entries[-1] if home.entries else None
        at = (last[1] or last[0]).end if last else home.start + 1
        return CharacterSpan(at, at), f", {entry}" if last else entry
    if is_root:
        return CharacterSpan(len(text), len(text)), f"{entry}\n" if text.endswith("\n") else f"\n{entry}\n"
    first = home.entries[0][0].start
    column = first - 1 - text.rfind("\n", 0, first)
    return CharacterSpan(first, first), f"{entry}\n{' ' * column}"


def _mends(document: Document, fix: Fix, fault: Diagnostic, before: Sequence[Diagnostic], texts: Texts) -> bool:
    span = fix.edit.span
    text = document.text[: span.start] + fix.edit.text + document.text[span.end :]
    after = find(Document(document.path, text, document.encoding), texts)
    if any(_is_same(one, fault) for one in after):
        return False
    errors, errors_before = (sum(one.severity == "error" for one in faults) for faults in (after, before))
    if fault.severity == "warning":
        return errors <= errors_before and len(after) < len(before)
    return fix.sure or errors < errors_before


def _is_same(found: Diagnostic, fault: Diagnostic) -> bool:
    """Whether a fault is still there, or another one in its place."""
    here = (found.line, found.column) == (fault.line, fault.column) and found.severity == "error"
    return here or (found.code, found.path, found.line) == (fault.code, fault.path, fault.line)


def _waiver(document: Document, fault: Diagnostic, texts: Texts) -> Iterator[Fix]:
    """A waiver to fill in: while it gives no reason, and names nobody, it waives nothing."""
    if document.role != "policy" or fault.severity != "warning":
        return
    folder = Path(document.path).parent
    day = _today() + datetime.timedelta(days=_DAYS)
    item = (
        f"{{code: {fault.code}, path: {json.dumps(fault.path)}, file: {json.dumps(Path(document.path).name)}, "
        f"reason: , owner: , expires: {day}}}"
    )
    beside = next(((folder / name, text) for name in WAIVERS if (text := texts(folder / name)) is not None), None)
    title = f"waive {fault.code} here: say why, and who answers for it"
    if beside is None:
        text = f"waivers:\n  - {item}\n"
        yield Fix(title, FileEdit(str(folder / WAIVERS[0]), CharacterSpan(0, 0), text, new=True), sure=False)
        return
    path, text = beside
    listed = node_at(Document(str(path), text).tree, ("waivers",))
    if listed is None or listed.kind != "list":
        return
    if listed.flow:
        at = listed.end - 1
        edit = FileEdit(str(path), CharacterSpan(at, at), f", {item}" if listed.items else item)
    else:
        end = text.find("\n", listed.end)
        at = len(text) if end < 0 else end
        column = listed.start - 1 - text.rfind("\n", 0, listed.start)
        edit = FileEdit(str(path), CharacterSpan(at, at), f"\n{' ' * column}- {item}")
    yield Fix(title, edit, sure=False)
