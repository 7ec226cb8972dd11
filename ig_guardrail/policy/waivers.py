"""Waivers: warnings that somebody answers for, with a reason, until a date.

    waivers:
      - {code: P134, path: "tools.arguments[0].most", reason: reviewed, owner: you@example.org, expires: 2027-06-30}

A waiver is for one warning at one path; a waiver that is over, or that nothing needs any more, is told.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ig_guardrail.fields.field import Field, FormatKind, ListOf, Section, TextKind
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, in_order, quoted
from ig_guardrail.policy.diagnostics.report import FileReport
from ig_guardrail.policy.sources import WAIVERS, PolicySource, fetch, is_policy
from ig_guardrail.policy.validation.structure import check_shape
from ig_guardrail.policy.yaml.decoding import decode, readable
from ig_guardrail.policy.yaml.reader import read


def _as_date(text: str) -> str | None:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        return None


DATE = FormatKind("a date", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "2027-06-30", normal=_as_date, plain=True)
WAIVER = Section(
    "a waiver",
    {
        "code": Field(
            FormatKind("the code of a warning", r"P1[0-9]{2}", "P134"), "which warning", "P134", required=True
        ),
        "path": Field(TextKind(500), "where, as the check writes it", "budgets[0].cost", required=True),
        "file": Field(TextKind(500), "which policy of the folder; each if left out", "policy.yaml"),
        "reason": Field(TextKind(2000), "why it is as it should be", "reviewed", required=True),
        "owner": Field(TextKind(200), "who answers for it", "you@example.org", required=True),
        "expires": Field(DATE, "the last day on which it counts", "2027-06-30", required=True),
    },
)
LANGUAGE = Section(
    "a file of waivers",
    {
        "waivers": Field(
            ListOf(WAIVER, 1, 1000),
            "the waivers",
            '[{code: P134, path: tools.arguments, reason: reviewed, owner: you@example.org, expires: "2027-06-30"}]',
            required=True,
        )
    },
)


@dataclass(frozen=True, slots=True)
class Waiver:
    """See above. spot: where it stands."""

    code: str
    path: str
    reason: str
    owner: str
    expires: datetime.date
    spot: Spot
    file: str | None = None

    def waives(self, fault: Diagnostic) -> bool:
        """Whether it is for a warning of one of its files."""
        return fault.severity == "warning" and (fault.code, fault.path) == (self.code, self.path)


@dataclass(frozen=True, slots=True)
class WaiverFile:
    """A file of waivers; `report` has its faults."""

    folder: Path
    waivers: tuple[Waiver, ...]
    report: FileReport

    def covers(self, waiver: Waiver, path: str) -> bool:
        """Whether a waiver is for the policy at a path."""
        own = Path(path)
        inside = own.resolve().is_relative_to(self.folder.resolve()) if waiver.file else own.parent == self.folder
        return inside and (waiver.file is None or own.resolve() == (self.folder / waiver.file).resolve())


def beside(paths: Sequence[str]) -> list[str]:
    """The files of waivers in the folders of policies."""
    folders = dict.fromkeys(Path(path).parent for path in paths)
    return [str(folder / name) for folder in folders for name in WAIVERS if (folder / name).is_file()]


def read_waivers(file: str) -> WaiverFile:
    """The waivers in a file, those that are sound, and its faults. Never raises."""
    source = fetch(file)
    if not isinstance(source, PolicySource):
        told = replace(
            source,
            message=f"the waivers {quoted(file)} cannot be read",
            why="each warning counts that they were to waive",
            help="check the path that `--waivers` names",
        )
        return WaiverFile(Path(file).parent, (), FileReport(file, (told,), policy=False))
    return waivers_of(source)


def waivers_of(source: PolicySource) -> WaiverFile:
    """The waivers in a text, as `read_waivers` reads them."""
    file = source.file
    text = decode(source.content)
    if isinstance(text, Diagnostic):
        return WaiverFile(Path(file).parent, (), FileReport(file, (replace(text, file=file),), policy=False))
    reading = read(text)
    faults, found = list(reading.faults), []
    if reading.tree is not None:
        draft, shape = check_shape(reading.tree, LANGUAGE)
        faults += shape
        for index, one in enumerate(draft.value("waivers") or ()):
            sound = one is not None and None not in one.values()
            if sound and all(name in one for name, field in WAIVER.fields.items() if field.required):
                date = datetime.date.fromisoformat(one["expires"])
                found.append(Waiver(**{**one, "expires": date}, spot=draft.spot("waivers", index)))
    placed = tuple(replace(fault, file=file) for fault in in_order(faults))
    return WaiverFile(
        Path(file).parent, tuple(found), FileReport(file, placed, source=readable(source.content), policy=False)
    )


def waive(files: Sequence[FileReport], waivers: Sequence[WaiverFile], today: datetime.date) -> tuple[FileReport, ...]:
    """Reports with the warnings that are waived apart; then those of files of waivers that have faults themselves."""
    reports = tuple(without_waived(one, waivers, today) for one in files)
    told = tuple(replace(one.report, faults=(*one.report.faults, *_stale(one, files, today))) for one in waivers)
    return (*reports, *(one for one in told if one.faults))


def without_waived(report: FileReport, waivers: Sequence[WaiverFile], today: datetime.date) -> FileReport:
    """A report with the warnings that are waived apart."""
    counting = [
        one for file in waivers for one in file.waivers if file.covers(one, report.path) and one.expires >= today
    ]
    taken = {fault: one for fault in report.faults for one in reversed(counting) if one.waives(fault)}
    rest = tuple(fault for fault in report.faults if fault not in taken)
    return replace(report, faults=rest, waived=tuple((fault, one.reason) for fault, one in taken.items()))


def _stale(file: WaiverFile, reports: Sequence[FileReport], today: datetime.date) -> list[Diagnostic]:
    """Waivers that are over, and those that no warning needs, where every policy that they are for was checked."""
    told = []
    for one in file.waivers:
        mine = [report for report in reports if file.covers(one, report.path)]
        used = any(one.waives(fault) for report in mine for fault in report.faults)
        advice = "delete it, or correct its code and path"
        if one.expires < today:
            advice = "fix what it was for, or give it a new date and say why"
            message = f"this waiver of {one.code} is over"
            told.append(one.spot.fault("P147", message, label=f"until {one.expires}", help=advice))
        elif not used and _all_checked(file, one, mine):
            message = f"no warning needs this waiver of {one.code}"
            label = f"nothing at {quoted(one.path)}"
            told.append(one.spot.fault("P148", message, label=label, help=advice))
    return [replace(fault, file=file.report.path) for fault in told]


def _all_checked(file: WaiverFile, waiver: Waiver, mine: Sequence[FileReport]) -> bool:
    if waiver.file is not None:
        return bool(mine)
    names = {path.name for path in file.folder.iterdir() if is_policy(path.name) and path.is_file()}
    return bool(mine) and names <= {Path(report.path).name for report in mine}
