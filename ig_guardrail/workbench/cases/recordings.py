"""Recorded scores, `*_test.scores.jsonl` beside a file of cases: what cost models said beside a model.

One JSON object a line. `{"cost", "identity", "granularity", "reading", "longest_match", "scale", "served"}` declares a
cost model; `{"text", "ends"}` says where the model's tokens end in a text, as character offsets; `{"cost", "key",
"scores"}` what was said of a text up to a charge point. Texts stand there as hashes alone. A score is found by what was
read, in which pieces, and by the identity of the entry in the policy, so that a stale one is never taken for another.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from ig_guardrail.costs.kinds.identity import identity_of
from ig_guardrail.errors import RequestError
from ig_guardrail.policy.sources import without_cases
from ig_guardrail.types import CostModelSpec, Granularity, ScoreKind
from ig_guardrail.workbench.cases.scored import NotRecorded, Reading, RecordedScores, ScoredCost

SUFFIX = "_test.scores.jsonl"
FORMAT = "ig-guardrail/scores/v1"
MOST_BYTES = 16 * 2**20
_DIGITS = 32  # of a hash


@dataclass(frozen=True, slots=True)
class RecordedCost:
    """What a cost model declared when it was recorded.

    identity  of its entry in the policy, at that time
    served    the entry that it was made of
    """

    identity: str
    granularity: Granularity
    reading: ScoreKind
    longest_match: int
    scale: tuple[float, float] | None
    served: str


@dataclass(slots=True)
class Recordings:
    """What a file holds. model: the name of the model that the cost models ran beside."""

    model: str = ""
    costs: dict[str, RecordedCost] = field(default_factory=dict)
    ends: dict[str, tuple[int, ...]] = field(default_factory=dict)
    scores: dict[tuple[str, str], RecordedScores] = field(default_factory=dict)

    def note_text(self, text: str, ends: Iterable[int]) -> None:
        self.ends[text_key(text)] = tuple(ends)

    def note_scores(self, cost: str, reading: Reading, scores: RecordedScores) -> None:
        self.scores[cost, reading_key(reading)] = scores

    def pieces(self, text: str) -> tuple[str, ...] | None:
        """A text in the model's tokens, if it was recorded."""
        ends = self.ends.get(text_key(text))
        if ends is None or (ends[-1] if ends else 0) != len(text):
            return None
        return tuple(text[start:stop] for start, stop in zip((0, *ends), ends, strict=False))

    def stale(self, spec: CostModelSpec, folder: Path | None) -> bool:
        """Whether a cost model was recorded, and is another one by now."""
        known = self.costs.get(spec.name)
        return known is not None and known.identity != identity_of(spec, folder)

    def scored(self, spec: CostModelSpec) -> ScoredCost:
        """The cost model of an entry as it was recorded."""
        known = self.costs[spec.name]

        def lookup(reading: Reading) -> RecordedScores:
            found = self.scores.get((spec.name, reading_key(reading)))
            if found is None or len(found) != len(spec.hazards):
                raise NotRecorded(
                    f"nothing is recorded of `{spec.name}` at this charge point",
                    where=f"character {len(reading.text)}",
                    why="how often a budget is charged has changed since",
                    fix="record again: `ig-guardrail policy test --record --model M`",
                )
            return found

        return ScoredCost(spec.name, spec.hazards, lookup, known.granularity, known.reading, known.longest_match)

    def write(self, path: Path) -> None:
        rows: list[Mapping[str, Any]] = [{"format": FORMAT, "model": self.model}]
        for name, one in sorted(self.costs.items()):
            declared = {key: getattr(one, key) for key in RecordedCost.__slots__}
            rows.append({"cost": name, **declared})
        rows += [{"text": key, "ends": list(ends)} for key, ends in sorted(self.ends.items())]
        for (name, key), scores in sorted(self.scores.items()):
            rows.append({"cost": name, "key": key, "scores": list(scores)})
        path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")


def recordings_path(cases: str) -> Path:
    """The recordings of a file of cases."""
    return Path(without_cases(cases) + SUFFIX)


def read_recordings(path: Path) -> Recordings:
    """The recordings in a file; none where there is no file. Raises RequestError for what is no such file."""
    if not path.exists():
        return Recordings()
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        rows = [json.loads(line) for line in content.decode().split("\n") if line.strip()]
        if not rows or rows[0].get("format") != FORMAT:
            raise ValueError(f"its first line does not say `{FORMAT}`")
        return _read(rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(
            "the recorded scores cannot be read",
            where=str(path),
            why=str(error)[:200],
            fix="delete the file, and record again: `ig-guardrail policy test --record --model M`",
        ) from error


def _read(rows: list[Any]) -> Recordings:
    found = Recordings(str(rows[0]["model"]))
    for row in rows[1:]:
        if "identity" in row:
            found.costs[str(row["cost"])] = _model(row)
        elif "text" in row:
            ends = tuple(row["ends"])
            if not all(isinstance(end, int) and end >= 0 for end in ends) or list(ends) != sorted(ends):
                raise ValueError(f"the ends of text {row['text']!r} are not offsets in order")
            found.ends[str(row["text"])] = ends
        else:
            scores = tuple(float(score) for score in row["scores"])
            if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores):
                raise ValueError("a score is not in [0, 1]")
            found.scores[str(row["cost"]), str(row["key"])] = scores
    return found


def _model(row: Mapping[str, Any]) -> RecordedCost:
    scale = row["scale"]
    if row["granularity"] not in get_args(Granularity) or row["reading"] not in get_args(ScoreKind):
        raise ValueError(f"cost model {row['cost']!r} declares what no cost model does")
    pair = None if scale is None else (float(scale[0]), float(scale[1]))
    longest = int(row["longest_match"])
    return RecordedCost(str(row["identity"]), row["granularity"], row["reading"], longest, pair, str(row["served"]))


def text_key(text: str) -> str:
    return _sha256(text.encode())


def reading_key(reading: Reading) -> str:
    """Names what was read, and how it was cut and asked."""
    how = json.dumps([reading.role, reading.start, reading.ended])
    return _sha256(how.encode() + b"\n" + reading.text.encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
