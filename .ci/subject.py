"""Checks the subject of a commit message: `room: do this`, imperative, at most 72 characters.

python .ci/subject.py FILE    FILE holds the message, as git gives it to a commit-msg hook; exit 1 if it is not so
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LONGEST = 72
FORM = re.compile(r"(?P<room>[a-z][a-z0-9_-]*): (?P<verb>[a-z][a-z-]*)\b.*[^.\s]")
MADE_BY_GIT = re.compile(r"(Merge|Revert|fixup!|squash!) ?.*")
NOT_IMPERATIVE = re.compile(r".*(?<!s)s|.*(?<!e)ed|.*ing")
VERBS = {"alias", "bias", "bring", "embed", "focus", "shed", "string", "wed"}  # imperatives that look otherwise


def faults(subject: str) -> list[str]:
    """What is wrong with a subject; nothing if it is as it should be."""
    if MADE_BY_GIT.fullmatch(subject):
        return []
    found = []
    if len(subject) > LONGEST:
        found.append(f"it has {len(subject)} characters, and at most {LONGEST} are allowed")
    form = FORM.fullmatch(subject)
    if form is None:
        found.append("write `room: do this`, such as `gate: judge decoded arguments`, without a full stop")
    elif form["verb"] not in VERBS and NOT_IMPERATIVE.fullmatch(form["verb"]):
        found.append(f"'{form['verb']}' is no imperative: write what the commit does as an order, such as `add`, `fix`")
    return found


if __name__ == "__main__":
    subject = Path(sys.argv[1]).read_text(encoding="utf-8").partition("\n")[0]
    wrong = faults(subject)
    for fault in wrong:
        print(f"commit subject: {fault}", file=sys.stderr)
    sys.exit(1 if wrong else 0)
