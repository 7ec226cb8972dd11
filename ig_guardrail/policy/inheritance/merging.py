"""A policy written over its parent, as trees: what the child writes, and for the rest what the parent does.

Mappings are joined key by key. Budgets and limits of calls are joined by `id`, named patterns by `name`; patterns,
denied tools and argument rules are added to those of the parent. Everything else that the child writes stands instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ig_guardrail.costs.kinds.registry import path_options
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, Steps, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.language.names import NOTES, OWN
from ig_guardrail.policy.yaml.tree import Broken, Listing, Scalar, Table, YamlEntry, YamlNode

NEVER = ("apiVersion", "kind", "metadata", "extends", "loosenable", *NOTES)  # each policy says these for itself
FRESH = ("strategy", "preset")  # a search that names one starts again: settings belong to a strategy


def merge(child: Table, parent: Table) -> tuple[Table, tuple[Diagnostic, ...]]:
    """The tree of both, and a fault for what would change a part that the parent does not have."""
    merger = Merger()
    inherited = tuple(one for one in parent.entries if one.key.text not in NEVER)
    return merger.table(child, replace(parent, entries=inherited), ()), tuple(merger.faults)


class Merger:
    """Walks two trees together; collects faults."""

    def __init__(self) -> None:
        self.faults: list[Diagnostic] = []

    def node(self, child: YamlNode, parent: YamlNode, path: Steps) -> YamlNode:
        if _empty(child) and not _empty(parent):
            self.faults.append(_takes_nothing_away(child, path))
            return parent
        match child, parent:
            case Table(), Table() if not _fresh(child, parent, path):
                return self.table(child, parent, path)
            case Listing(), Listing() if path in self.lists:
                return replace(child, items=tuple(self.lists[path](child, parent, path)))
            case Listing(), Listing() if len(path) == 3 and path[0] == "cost_models" and path[2] == "patterns":
                return replace(child, items=tuple(self._by_name(child, parent, path, "name")))
        return child

    def table(self, child: Table, parent: Table, path: Steps) -> Table:
        own = {one.key.text: one for one in child.entries}
        entries = [
            one if one.key.text not in own else self._entry(own.pop(one.key.text), one, path)
            for one in parent.entries
            if one.key.text in own or not one.key.text.startswith(OWN)
        ]
        return replace(child, entries=(*entries, *(self._new(one, parent, path) for one in own.values())))

    def _entry(self, child: YamlEntry, parent: YamlEntry, path: Steps) -> YamlEntry:
        return YamlEntry(child.key, self.node(child.value, parent.value, (*path, child.key.text)))

    def _new(self, entry: YamlEntry, parent: Table, path: Steps) -> YamlEntry:
        """A cost model that only the child has, which must be a whole one."""
        if path != ("cost_models",) or not isinstance(entry.value, Table) or _value(entry.value, "kind") is not None:
            return entry
        known = [one.key.text for one in parent.entries]
        return YamlEntry(entry.key, self._unknown("cost model", entry.key, known, "kind", (*path, entry.key.text)))

    @property
    def lists(self) -> Mapping[Steps, Callable[[Listing, Listing, Steps], Sequence[YamlNode]]]:
        """How lists are joined; others are replaced."""
        return {
            ("budgets",): lambda child, parent, path: self._by_name(child, parent, path, "id"),
            ("tools", "limits"): lambda child, parent, path: self._by_name(child, parent, path, "id"),
            ("tools", "deny"): lambda child, parent, path: self._by_name(child, parent, path, ""),
            ("tools", "arguments"): lambda child, parent, path: [*parent.items, *child.items],
        }

    def _by_name(self, child: Listing, parent: Listing, path: Steps, key: str) -> list[YamlNode]:
        items = list(parent.items)
        places = {_named(item, key): place for place, item in enumerate(items)}
        known = [name.removeprefix(f"{key}: ") for name in places if name is not None]
        for item in child.items:
            name = _named(item, key)
            place = places.pop(name, None) if name is not None else None
            if place is None:
                items.append(self._added(item, known, path))
            elif path[0] != "cost_models":
                items[place] = self.node(item, items[place], (*path, place))
            elif _spelled(item) != _spelled(items[place]):
                items[place] = item
        return items

    def _added(self, item: YamlNode, known: Sequence[str], path: Steps) -> YamlNode:
        """A budget that only the child has, which must be a whole one."""
        own = _value(item, "id")
        if path != ("budgets",) or own is None or _value(item, "cost") is not None or own.text in known:
            return item
        return self._unknown("budget", own, known, "cost", path)

    def _unknown(self, what: str, name: Scalar, known: Sequence[str], key: str, path: Steps) -> Broken:
        close = suggest(name.text, known)
        advice = (
            f"did you mean `{close}`?" if close else f"write a whole {what}, with `{key}`, or name one of the parent"
        )
        message = f"the parent has no {what} {quoted(name.text)}"
        label = f"and without `{key}` it is none by itself"
        self.faults.append(Spot(path, name.mark).fault("P054", message, label=label, help=advice))
        return Broken(name.mark)


def _empty(tree: YamlNode) -> bool:
    return (isinstance(tree, Table) and not tree.entries) or (isinstance(tree, Listing) and not tree.items)


def _takes_nothing_away(child: YamlNode, path: Steps) -> Diagnostic:
    """What is written as if it emptied a part of the parent."""
    label = "all that the parent says holds"
    advice = "delete the key, or write what is added or stricter: a policy takes nothing of its parent away"
    why = "its author believes that something of the parent is taken away, and nothing is"
    return Spot(path, child.mark).fault("P027", f"{quoted(str(path[-1]))} is empty", label=label, why=why, help=advice)


def _fresh(child: Table, parent: Table, path: Steps) -> bool:
    """Whether what the child writes is something else than the parent's, and not a change to it."""
    if len(path) == 2 and path[0] == "cost_models":
        own, above = _value(child, "kind"), _value(parent, "kind")
        return own is not None and above is not None and own.text != above.text
    if path[:1] == ("messages",):
        return _value(child, "text") is not None  # what is said of a text holds for that text alone
    return path == ("search",) and any(_value(child, key) is not None for key in FRESH)


def _value(item: YamlNode, key: str) -> Scalar | None:
    """The scalar under a key of a mapping; None if there is none."""
    found = (one.value for one in item.entries if one.key.text == key) if isinstance(item, Table) else iter(())
    value = next(found, None)
    return value if isinstance(value, Scalar) else None


def _named(item: YamlNode, key: str) -> str | None:
    """What an item of a list is called: what it says under a key, or itself."""
    if isinstance(item, Scalar):
        return item.text
    named = _value(item, key) if key else None
    return None if named is None else f"{key}: {named.text}"


def _spelled(item: YamlNode) -> object:
    """An item without its places."""
    match item:
        case Scalar():
            return item.text
        case Table():
            return sorted((one.key.text, str(_spelled(one.value))) for one in item.entries)
        case Listing():
            return [_spelled(one) for one in item.items]
    return None


def moved(tree: Table, draft: PolicyDraft, file: str, folder: str, to: str) -> Table:
    """The tree of a policy as it reads from another folder: its places know their file, and its paths start there.

    file, folder: the policy's own; `to`: the other folder
    """
    paths = {path: _from(str(draft.value(*path)), folder, to) for path in _paths(draft)} if folder != to else {}
    found = _placed(tree, file, paths, ())
    assert isinstance(found, Table)
    return found


def _paths(draft: PolicyDraft) -> list[Steps]:
    """Where relative paths stand in a policy."""
    models = (draft.value("cost_models") or {}).items()
    found: list[Steps] = [("cost_models", name, key) for name, model in models for key in path_options(model)]
    swaps = draft.value("search", "swaps") or []
    found += [("search", "swaps", index) for index, one in enumerate(swaps) if "/" in one]
    return [path for path in found if not os.path.isabs(draft.value(*path))]


def _from(path: str, folder: str, to: str) -> str:
    """A path that starts at a folder, as it is written where paths start at another."""
    try:
        text = os.path.relpath(os.path.join(folder, path), to)
    except ValueError:  # on another drive
        return os.path.abspath(os.path.join(folder, path))
    return text if text.startswith("..") else f"./{text}"


def _placed(tree: YamlNode, file: str, paths: Mapping[Steps, str], path: Steps) -> YamlNode:
    mark = tree.mark if tree.mark.file else replace(tree.mark, file=file)
    match tree:
        case Table():
            entries = tuple(
                YamlEntry(
                    replace(one.key, mark=one.key.mark if one.key.mark.file else replace(one.key.mark, file=file)),
                    _placed(one.value, file, paths, (*path, one.key.text)),
                )
                for one in tree.entries
            )
            return replace(tree, entries=entries, mark=mark)
        case Listing():
            items = tuple(_placed(one, file, paths, (*path, place)) for place, one in enumerate(tree.items))
            return replace(tree, items=items, mark=mark)
        case Scalar() if path in paths:
            return replace(tree, text=paths[path], mark=mark, column=0)
        case _:
            return replace(tree, mark=mark)
