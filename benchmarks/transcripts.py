"""Whether texts, charges and outcomes are what they were: sixty seeded requests, recorded, and asked again.

    python benchmarks/transcripts.py record FILE                      one line of JSON for each
    python benchmarks/transcripts.py compare FILE [--names MAP.json]  what differs, and where; exit 1 if anything does

What is asked is in benchmarks/scenes.py; `--only KIND` plays one kind alone. Receipts are recorded without times,
hashes and what tells the machine. MAP.json says which names in them have changed: {"old": "new"} for keys and whole
texts, and {"name": null} for keys that are left out on both sides. The last digits of scores depend on the processor,
so record and compare on the same one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

os.environ["IG_GUARDRAIL_PROMPT_CACHE"] = "0"  # what was read for one scene is not to be missing in another's receipt

import torch
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import BaseModel
from rich.console import Console
from rich.progress import track
from scenes import KINDS, Scene, scenes

from ig_guardrail import GuardrailError, PolicyError

Names: TypeAlias = Mapping[str, str | None]  # old to new; None for keys that are left out

DROPPED: Names = dict.fromkeys(("at", "seconds", "cost_times", "sha256", "prompt_sha256", "cost_models", "model"))
SHOWN = 5  # differences of one transcript
WIDTH = 400  # characters of a value
ABSENT = "(absent)"


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    torch.set_num_threads(1)
    if options.what == "record":
        with options.file.open("w", encoding="utf-8") as file:
            for made in transcripts(options.only):
                file.write(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n")
        return 0
    names = json.loads(options.names.read_text(encoding="utf-8")) if options.names else {}
    left_out = {name: None for name, new in names.items() if new is None}
    recorded = {one["name"]: one for one in map(json.loads, options.file.read_text(encoding="utf-8").splitlines())}
    made = {one["name"]: one for one in transcripts(options.only)}
    differing = 0
    for name in sorted(recorded.keys() | made.keys() if options.only is None else made.keys()):
        before, after = with_names(recorded.get(name, {}), names), with_names(made.get(name, {}), left_out)
        differing += report(name, list(differences(before, after)))
    print(f"{differing} transcripts differ." if differing else "All transcripts are the same.")
    return 1 if differing else 0


def transcripts(kind: str | None) -> Iterator[dict[str, Any]]:
    """Play the scenes of a kind, or all, and tell of each what was asked and answered."""
    with TemporaryDirectory() as folder:
        chosen = [scene for scene in scenes(Path(folder)) if kind in (None, scene.kind)]
        for scene in track(chosen, "transcripts", console=Console(stderr=True)):
            yield {"name": scene.name, "turns": list(played(scene))}


def played(scene: Scene) -> Iterator[dict[str, Any]]:
    """Ask one after another, with all that was said before."""
    said: list[BaseMessage] = []
    for asked in scene.asked:
        said.append(HumanMessage(asked))
        answer = streamed(scene, said)
        message = answer.pop("raw", None)
        yield {"asked": asked, **answer, **(told(message) if message else {})}
        if message:
            said.append(AIMessage(message.content, tool_calls=message.tool_calls))
            said += [ToolMessage("Done.", tool_call_id=call["id"]) for call in message.tool_calls]


def streamed(scene: Scene, said: Sequence[BaseMessage]) -> dict[str, Any]:
    """What a stream gave: its message as `raw`, its value, and the type of the error that it ended in."""
    answer: dict[str, Any] = {}
    try:
        for chunk in scene.model.stream(said, scene.config):
            parts = chunk if isinstance(chunk, Mapping) else {"raw": chunk}
            for key, part in parts.items():
                answer[key] = answer["raw"] + part if key == "raw" and "raw" in answer else part
    except PolicyError:  # then nothing would be asked at all
        raise
    except GuardrailError as error:
        answer["error"] = type(error).__name__
    value, failed = answer.pop("parsed", None), answer.pop("parsing_error", None)
    if value is not None:
        answer["value"] = value.model_dump() if isinstance(value, BaseModel) else value
    if failed is not None:
        answer["error"] = type(failed).__name__
    return answer


def told(message: Any) -> dict[str, Any]:
    """What a message says, without the ids of its calls."""
    return {
        "text": message.text,
        "calls": [{"name": call["name"], "arguments": call["args"]} for call in message.tool_calls],
        "invalid_calls": [call["name"] for call in message.invalid_tool_calls],
        "finish": message.response_metadata.get("finish_reason"),
        "usage": message.usage_metadata,
        "receipt": renamed(message.response_metadata.get("ig_guardrail"), DROPPED),
    }


def with_names(transcript: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """A transcript with new names in its receipts and for its errors."""
    turns = [
        {key: renamed(value, names) if key in ("receipt", "error") else value for key, value in turn.items()}
        for turn in transcript.get("turns", ())
    ]
    return {**transcript, "turns": turns}


def renamed(record: Any, names: Names) -> Any:
    """A record with its keys and texts under their new names, without the keys that have none."""
    if isinstance(record, Mapping):
        pairs = ((names.get(key, key), value) for key, value in record.items())
        return {key: renamed(value, names) for key, value in pairs if key is not None}
    if isinstance(record, list):
        return [renamed(value, names) for value in record]
    return (names.get(record) or record) if isinstance(record, str) else record


def differences(before: Any, after: Any, path: str = "$") -> Iterator[tuple[str, Any, Any]]:
    """Where two records differ: the JSON path, and what is there before and after."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from differences(before.get(key, ABSENT), after.get(key, ABSENT), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        for index, pair in enumerate(zip_longest(before, after, fillvalue=ABSENT)):
            yield from differences(*pair, f"{path}[{index}]")
    elif before != after:
        yield path, before, after


def report(name: str, found: Sequence[tuple[str, Any, Any]]) -> bool:
    """Print what differs in a transcript, and tell whether anything does."""
    if found:
        print(f"{name}: differences: {len(found)}")
    for path, *both in found[:SHOWN]:
        before, after = (repr(one)[:WIDTH] for one in both)
        print(f"  {path}\n    before: {before}\n    after:  {after}")
    return bool(found)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Record sixty seeded requests, or compare them with a recording.")
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file", type=Path, help="JSON Lines")
    parser.add_argument("--names", type=Path, help="a JSON object of names in receipts, old to new")
    parser.add_argument("--only", choices=KINDS, help="the scenes of one kind")
    options = parser.parse_args(arguments)
    if options.what == "compare" and not options.file.is_file():
        parser.error(f"there is no recording {options.file}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
