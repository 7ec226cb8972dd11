"""What a studio is opened with: the options of `studio`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ig_guardrail.costs.base import CostModel


@dataclass(frozen=True, slots=True)
class StudioConfig:
    """The settings of a studio.

    policy       a file, which can be saved, or a packaged name, which cannot
    recordings   a file or a folder of recordings, an audit log or receipts, that budgets are tried on
    show_drafts  whether the text of replaced drafts is shown, which was never released
    cost_models  those that policies leave to the program, by name
    token        the secret in the page's address
    body_bytes   of a request's body, at most
    answers      that are decoded at once, at most
    tokens       of one answer, at most
    """

    policy: str | Path = "default"
    recordings: Path | None = None
    show_drafts: bool = False
    cost_models: Mapping[str, CostModel] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    body_bytes: int = 2_000_000
    answers: int = 4
    tokens: int = 4096
