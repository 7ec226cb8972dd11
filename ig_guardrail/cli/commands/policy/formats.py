"""How reports are written, by the commands for authors of policies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer


class Format(StrEnum):
    """For people or for programs."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """These, and for code scanning (SARIF) and build servers (JUnit)."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"


FormatOption: TypeAlias = Annotated[Format, typer.Option("--format", help="For people or for programs.")]
