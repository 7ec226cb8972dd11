"""One layout for policies: two spaces a level, items of lists two further in, one space where one is enough.

Every comment, quote and name stays where it is, and braces stay braces. What is written is compared with what was there
before it takes its place: the same values, the same comments, the same hash.
"""

from __future__ import annotations

import difflib
import io
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ig_guardrail.engine.loading.store import put_in_place
from ig_guardrail.errors import GuardrailError, PolicyError
from ig_guardrail.extras import require
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.diagnostics.report import FileReport
from ig_guardrail.policy.sources import PolicySource
from ig_guardrail.policy.yaml.decoding import readable
from ig_guardrail.policy.yaml.reader import read
from ig_guardrail.policy.yaml.tree import Listing, Scalar, Table, YamlNode

_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*")
_WIDEST = 1 << 20  # columns: no text or pattern is broken


@dataclass(frozen=True, slots=True)
class Formatted:
    """A policy's text as it is and as it is laid out."""

    file: str
    before: str = field(repr=False)
    after: str = field(repr=False)

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def difference(self) -> str:
        """What changes, line by line."""
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        return "".join(difflib.unified_diff(before, after, self.file, f"{self.file} (formatted)"))


def formatted(source: PolicySource) -> Formatted:
    """The layout of a policy. Raises PolicyError for one with faults, GuardrailError where it cannot keep all of it."""
    require("editor", "ruamel.yaml", by="`policy fmt`")
    policy, faults = compile_text(source.content, source.file, warn=False)
    before = readable(source.content)
    if policy is None:
        report = FileReport(source.file, faults, source=before)
        raise PolicyError(f"a policy with faults is left as it is\n\n{report.as_text()}")
    after = _laid_out(before)
    again = None if after is None else compile_text(after, source.file, warn=False)[0]
    kept = again is not None and again.sha256 == policy.sha256
    if after is None or not kept or not _says_the_same(before, after) or _laid_out(after) != after:
        raise GuardrailError(
            f"{source.file} is left as it is",
            where="policy fmt",
            why="in the usual layout it would not be the same: a value or a comment would be lost",
            fix="write comments on lines of their own, or behind a whole `{...}`",
        )
    return Formatted(source.file, before, after)


def put(file: str, text: str) -> None:
    """Write a text over a file, at once or not at all. Raises GuardrailError where that cannot be done."""
    path = Path(os.path.realpath(file))
    try:
        with put_in_place(path) as fresh:
            with fresh.open("wb") as draft:
                draft.write(text.encode())
                draft.flush()
                os.fsync(draft.fileno())
            shutil.copymode(path, fresh)
    except OSError as error:
        why = error.strerror or str(error)
        raise GuardrailError(f"{file} cannot be written", where=file, why=why) from error


def _laid_out(text: str) -> str | None:
    """The text in the usual layout; None where that cannot be written."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.resolver import VersionedResolver

    class Texts(VersionedResolver):
        """Takes every scalar for a text, so that numbers stay as they are spelled."""

        @property
        def versioned_resolver(self) -> dict[object, object]:
            return {}

    layout = YAML(typ="rt")
    layout.Resolver = Texts
    layout.preserve_quotes = True
    layout.width = _WIDEST
    layout.indent(mapping=2, sequence=4, offset=2)
    written = io.StringIO()
    try:
        layout.dump(layout.load(text), written)
    except YAMLError:
        return None
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()).rstrip("\n") + "\n"


def _says_the_same(before: str, after: str) -> bool:
    """Whether two texts have the same values, spelled alike, and the same comments."""
    values = [_spelled(read(text).tree) for text in (before, after)]
    return values[0] == values[1] and _comments(before) == _comments(after)


def _spelled(tree: YamlNode | None) -> object:
    match tree:
        case Scalar():
            return tree.text, tree.plain
        case Table():
            return tuple((one.key.text, _spelled(one.value)) for one in tree.entries)
        case Listing():
            return [_spelled(one) for one in tree.items]
    return None


def _comments(text: str) -> Counter[str]:
    """The comments of a text."""
    return Counter(comment.rstrip() for gap in _gaps(text) for comment in _COMMENT.findall(gap))


def _gaps(text: str) -> Iterator[str]:
    """What stands between the scalars of a text; the first line of a block scalar too."""
    last = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken):
            start, end = token.start_mark.index, token.end_mark.index
            block = token.style in ("|", ">")
            yield text[last:start] + (text[start : text.find("\n", start)] if block else "")
            last = end
    yield text[last:]
