"""The places of a schema: which lead back to themselves, and how many turns each needs at least before it can end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ig_guardrail.schemas.merging import SILENT, Merging
from ig_guardrail.schemas.reading import unfit
from ig_guardrail.schemas.shapes import ArrayShape, KeyGroup, Object, Shape, Way

MOST = 6_000  # places of one schema
NEVER = 10**9


class Places:
    """Every place that values may have, from the root on. Raises RequestError for more than `MOST`.

    turns  for a place, how often at least a value passes one that leads back to itself; `NEVER` where none can end
    """

    def __init__(self, merging: Merging) -> None:
        self.merging = merging
        self.root = self.named(("#",))
        self._next = self._explored()
        self.looping = _looping(self._next)
        self.turns = self._counted()

    def named(self, together: KeyGroup) -> KeyGroup:
        """What a place is called: plain references followed, and what says nothing left out."""
        return tuple(dict.fromkeys(one for pointer in together for one in self._target(pointer)))

    def parts(self, shape: Shape) -> Iterator[tuple[KeyGroup, bool]]:
        """The places within a shape, and whether a value of it must have them."""
        if isinstance(shape, Way):
            yield self.named(shape.place), True
        if isinstance(shape, ArrayShape):
            for at, part in enumerate(shape.prefix):
                yield self.named(part), at < shape.least
            yield self.named(shape.items), shape.least > len(shape.prefix)
            yield from ((self.named((*shape.items, one)), False) for one in shape.contained)
        if isinstance(shape, Object):
            for key in dict.fromkeys((*shape.named, *shape.required)):
                yield self.named(shape.of(key)), key in shape.required
            yield from ((self.named(part), False) for part in shape.patterns.values())
            if not shape.shut:
                given = len({*shape.named, *shape.required})
                yield self.named(shape.others or ()), shape.least > given and not shape.patterns

    def _target(self, pointer: str) -> tuple[str, ...]:
        seen: list[str] = []
        while pointer not in seen:
            seen.append(pointer)
            part = self.merging.document.at(pointer)
            if part is True or (isinstance(part, Mapping) and not part.keys() - SILENT):
                return ()
            if not isinstance(part, Mapping) or "$ref" not in part or part.keys() - SILENT - {"$ref"}:
                return (pointer,)
            pointer = self.merging.document.referred(part["$ref"], pointer)
        return (seen[0],)

    def _explored(self) -> dict[KeyGroup, list[KeyGroup]]:
        found: dict[KeyGroup, list[KeyGroup]] = {}
        waiting = [self.root]
        while waiting:
            place = waiting.pop()
            if place in found:
                continue
            if len(found) >= MOST:
                raise unfit("#", f"it has more than {MOST} places", "use a smaller schema")
            shapes = self.merging.shapes(place)
            found[place] = list(dict.fromkeys(part for shape in shapes for part, _ in self.parts(shape)))
            waiting += found[place]
        return found

    def _counted(self) -> dict[KeyGroup, int]:
        turns = dict.fromkeys(self._next, NEVER)
        changed = True
        while changed:
            changed = False
            for place in reversed(self._next):
                inner = [
                    max((turns[part] for part, must in self.parts(shape) if must), default=0)
                    for shape in self.merging.shapes(place)
                ]
                count = min(NEVER, min(inner, default=NEVER) + (place in self.looping))
                changed, turns[place] = changed or count < turns[place], min(count, turns[place])
        return turns


def _looping(edges: Mapping[KeyGroup, list[KeyGroup]]) -> set[KeyGroup]:
    """The places that can be reached from themselves (Tarjan's components, without recursion)."""
    number: dict[KeyGroup, int] = {}
    low: dict[KeyGroup, int] = {}
    stack: list[KeyGroup] = []
    looping = {place for place, following in edges.items() if place in following}
    for start in edges:
        if start in number:
            continue
        work: list[tuple[KeyGroup, Any]] = [(start, iter(edges[start]))]
        number[start] = low[start] = len(number)
        stack.append(start)
        held = {start} | set(stack)
        while work:
            place, following = work[-1]
            step = next((one for one in following if one not in number or one in held), None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[place])
                if low[place] == number[place]:
                    component = [stack.pop()]
                    while component[-1] != place:
                        component.append(stack.pop())
                    held.difference_update(component)
                    if len(component) > 1:
                        looping.update(component)
            elif step in number:
                low[place] = min(low[place], number[step])
            else:
                number[step] = low[step] = len(number)
                stack.append(step)
                held.add(step)
                work.append((step, iter(edges[step])))
    return looping
