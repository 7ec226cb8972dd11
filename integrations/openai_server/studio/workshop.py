"""One loaded model, and the policies that are tried beside it: as they stand in the editor, in their file, or packaged.

Nothing that a page sends names a file: it gives the text of a policy, or chooses one of those that are listed.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ig_guardrail.assembly import guard
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import PolicyError, RequestError, brief
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server.faults import Fault, Refused, unfit
from ig_guardrail.integrations.openai_server.studio.config import StudioConfig
from ig_guardrail.policy import Diagnostic, FileReport, Report, compile_text, packaged_names
from ig_guardrail.policy.sources import PolicySource, fetch
from ig_guardrail.policy.yaml.decoding import MOST_BYTES
from ig_guardrail.types import CompiledPolicy
from ig_guardrail.workbench.editor.document import Document, read_text
from ig_guardrail.workbench.editor.findings import checked
from ig_guardrail.workbench.formatting import put
from ig_guardrail.workbench.starting import try_words

SAVED = "saved"  # how a page calls the policy in its file
MOST_OPEN = 4  # policies that are kept started
STALE = "the file was changed since the page read it; read it again, and then bring your changes in"


class Workshop:
    """The policies that are tried beside one engine. Methods may take seconds: call them off the event loop."""

    def __init__(self, config: StudioConfig, engine: Engine) -> None:
        """Raises PolicyError for a policy that cannot be read; one with faults is what a studio is for."""
        self.config, self.engine = config, engine
        source = fetched(config.policy)
        packaged = isinstance(config.policy, str) and config.policy in packaged_names()
        self.file: Path | None = None if packaged else Path(config.policy).resolve()
        self.home = source.file if self.file is None else str(self.file)  # where relative paths of a policy start
        self._open: OrderedDict[tuple[str, str], Guardrail] = OrderedDict()
        self._opening = threading.Lock()

    def text(self, name: Any) -> tuple[str, str]:
        """What stands in a policy that is listed, and its hash. Raises Refused for what is no text."""
        content = self.source({"name": name}, "name").content
        try:
            return content.decode().replace("\r\n", "\n"), sha256(content).hexdigest()
        except UnicodeDecodeError:
            raise unfit("the policy's file is not UTF-8; save it as UTF-8 first", "name") from None

    def source(self, given: Any, where: str = "policy") -> PolicySource:
        """The policy that a page means: {"text": ...}, or {"name": ...} of those that are listed."""
        text, name = (given.get("text"), given.get("name")) if isinstance(given, Mapping) else (None, None)
        if isinstance(text, str):
            return PolicySource(self.home, text.encode("utf-8", "surrogatepass")[: MOST_BYTES + 1])
        if name == SAVED:
            return PolicySource(self.home, fetched(self.home).content)
        if isinstance(name, str) and name in packaged_names():
            return fetched(name)
        raise unfit("it is neither the text of a policy nor the name of one that is listed", where)

    def report(self, source: PolicySource) -> FileReport:
        """What `policy check` tells of a policy."""
        return try_words(Report((checked(document_of(source), read_text),))).files[0]

    def policy(self, source: PolicySource) -> CompiledPolicy:
        """The policy in a text. Raises PolicyError, whose text is the report of every fault."""
        policy, faults = compile_text(source.content, source.file, warn=False)
        if policy is None:
            text = source.content.decode("utf-8", "replace")
            raise PolicyError(FileReport(source.file, faults, source=text).as_text())
        return policy

    def guardrail(self, source: PolicySource) -> Guardrail:
        """What decodes under a policy, started. Raises PolicyError, ModelError, HeadMismatch as at any start."""
        policy = self.policy(source)
        key = (policy.sha256, os.path.dirname(source.file))
        with self._opening:
            opened = self._open.pop(key, None)
            if opened is None:
                opened = guard(self.engine, policy, Path(source.file).parent, cost_models=self._asked(policy))
                opened.approve()
            self._open[key] = opened
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        return opened

    def save(self, text: str, seen: str) -> str:
        """Write a policy to its file, whole or not at all; the new hash. Raises Refused where it may not be written.

        seen: the hash of what the page read there
        """
        if self.file is None:
            raise _not_saved("this policy comes with the package; start the studio with `--policy FILE` to save one")
        report = self.report(self.source({"text": text}))
        if not report.ok:
            raise _not_saved(f"a policy with errors is not saved\n\n{report.as_text()}")
        try:
            before = self.file.read_bytes()
            if sha256(before).hexdigest() != seen:
                raise _not_saved(STALE)
        except OSError as error:
            raise RequestError(
                "the policy cannot be saved", where=str(self.file), why=brief(error), fix="see that it can be read"
            ) from error
        content = text.replace("\n", "\r\n") if b"\r\n" in before else text
        put(str(self.file), content)
        return sha256(content.encode()).hexdigest()

    def _asked(self, policy: CompiledPolicy) -> Mapping[str, Any]:
        """Of the program's cost models those that a policy leaves to it."""
        asked = {spec.name for spec in policy.cost_models if spec.kind == "provided"}
        return {name: one for name, one in self.config.cost_models.items() if name in asked}


def document_of(source: PolicySource) -> Document:
    """A policy as an editor holds it."""
    return Document(source.file, source.content.decode("utf-8", "replace"))


def fetched(policy: str | Path) -> PolicySource:
    """The bytes of a policy. Raises PolicyError where they cannot be read."""
    found = fetch(policy)
    if isinstance(found, Diagnostic):
        raise PolicyError(FileReport(os.fspath(policy), (found,)).as_text())
    return found


def _not_saved(why: str) -> Refused:
    return Refused(Fault(409, "invalid_request_error", "not_saved", why))
