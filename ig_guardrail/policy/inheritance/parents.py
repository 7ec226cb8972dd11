"""Who the parent of a policy is: a packaged policy or a file, of a version that the child can live with."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.language.inheritance import EXTENDS, is_parent_path
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.sources import AN_ADDRESS, IN_STDIN, PolicySource, called, fetch, on_the_web, packaged_names
from ig_guardrail.policy.validation.structure import Checker
from ig_guardrail.policy.yaml.tree import Table, YamlNode

KEY = "extends"
MOST = 8  # policies, one behind the other, that one may extend
_BOUND = re.compile(r"(>=|<=|==|>|<)\s*([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Parent:
    """What `extends` names. spot: where. versions: a range such as `>=1.0,<2`; "" for any."""

    source: PolicySource
    spot: Spot
    versions: str = ""


def parent_of(tree: YamlNode, file: str, line: Sequence[str]) -> Parent | tuple[Diagnostic, ...] | None:
    """The parent that a policy names, why it cannot be had, or None where it names none.

    file  the policy's own, where relative paths start
    line  the policies that extend this one, the first of them last
    """
    entry = next((one for one in tree.entries if one.key.text == KEY), None) if isinstance(tree, Table) else None
    if entry is None:
        return None
    checker = Checker()
    said = checker.read(EXTENDS, entry.value, (KEY,))
    name = said.get("policy") if isinstance(said, dict) else said
    if checker.faults or name is None:
        return tuple(checker.faults)
    spot = Spot((KEY,), (entry.value if not isinstance(said, dict) else checker.nodes[KEY, "policy"]).mark)
    source = _fetched(name, file, spot)
    if isinstance(source, Diagnostic):
        return (source,)
    before = [os.path.realpath(one) for one in (file, *line)]
    if os.path.realpath(source.file) in before:
        label = "it extends itself" if len(before) == 1 else "by way of its parents, it extends itself"
        return (_unfit(spot, f"{quoted(name)} cannot be the parent", label, "name a policy that does not extend this"),)
    if len(line) >= MOST:
        label = f"more than {MOST} policies stand one behind the other"
        return (
            _unfit(spot, f"{quoted(name)} cannot be the parent", label, "extend a policy that is nearer the first"),
        )
    return Parent(source, spot, said.get("version", "") if isinstance(said, dict) else "")


def unfit_version(parent: Parent, version: str) -> Diagnostic | None:
    """The fault of a parent whose version is not in the range that the child asks for."""
    if all(_within(version, sign, bound) for sign, bound in _BOUND.findall(parent.versions)):
        return None
    message = f"the parent {quoted(called(parent.source.file))} is of another version"
    label = f"it is {version}, and `{parent.versions}` is asked for"
    advice = "read what has changed in it, then widen the range; or name another parent"
    return parent.spot.fault("P051", message, label=label, help=advice)


def unsound(parent: Parent, faults: Sequence[Diagnostic]) -> Diagnostic:
    """The fault of a parent that has faults itself."""
    errors = [fault for fault in faults if fault.severity == "error"]
    label = f"{called(errors[0].file)}:{errors[0].line}: {errors[0].code}" + (
        f", and {len(errors) - 1} more" * (len(errors) > 1)
    )
    return _unfit(parent.spot, "the parent has faults of its own", label, "repair the parent first")


def parent_files(tree: YamlNode, file: str) -> tuple[str, ...]:
    """The file that `extends` names, whether or not it is there; () where it names none."""
    named = Checker().read(POLICY, tree, ()).get(KEY) if isinstance(tree, Table) else None
    name = named.get("policy") if isinstance(named, dict) else named
    return (_path(name, file),) if name and is_parent_path(name) else ()


def _path(name: str, file: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(file), name))


def _fetched(name: str, file: str, spot: Spot) -> PolicySource | Diagnostic:
    if not is_parent_path(name):
        known = packaged_names()
        if name in known:
            found = fetch(name)
        else:
            close = suggest(name, known)
            guess = f"did you mean `{close}`? " if close else ""
            advice = f"{guess}packaged policies: {', '.join(known)}; a file is named by a path, such as `./{name}.yaml`"
            return _unfit(spot, f"there is no packaged policy {quoted(name)}", "not packaged", advice)
    elif on_the_web(name):
        return _unfit(spot, f"the parent {quoted(name)} cannot be read", *AN_ADDRESS)
    elif file == IN_STDIN and not os.path.isabs(name):
        label = "standard input has no folder for it to start at"
        return _unfit(spot, f"{quoted(name)} cannot be found", label, "write the policy to a file, or a whole path")
    else:
        found = fetch(Path(_path(name, file)))
    if isinstance(found, Diagnostic):
        advice = f"{found.help}; paths start at the policy's own folder"
        return _unfit(spot, f"the parent {quoted(name)} cannot be read", found.label, advice)
    return found


def _unfit(spot: Spot, message: str, label: str, advice: str) -> Diagnostic:
    return spot.fault("P050", message, label=label, help=advice)


def _within(version: str, sign: str, bound: str) -> bool:
    own, asked = (tuple(map(int, f"{text}.0.0".split(".")[:3])) for text in (version, bound))
    return {
        ">=": own >= asked,
        "<=": own <= asked,
        ">": own > asked,
        "<": own < asked,
        "==": own == asked,
    }[sign]
