"""Starting: opening a model in a new process, a first token, and unpacking a GGUF file.

`IG_TEST_GGUF` names another file, which is then unpacked too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ig_guardrail.engine.loading.embedded import embedded_model, packed_file
from ig_guardrail.engine.loading.unpacked import size_of
from ig_guardrail.evaluate import tables
from speed.stage import Stage
from speed.timing import NEW, in_turn, lasted, ratios, row

STARTING = "a new process"
UNPACKING = "a GGUF file, when it is first used"
_PIECE = 1 << 24  # bytes
LIBRARIES = """
import sys, time
import torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.llama import modeling_llama
torch.set_num_threads(1)
"""
OPENED = f"""{LIBRARIES}
import ig_guardrail.engine.kv.laying_out, ig_guardrail.engine.transformers
from ig_guardrail.engine.loading import quantized, weights
from ig_guardrail.engine.loading.models import load_engine
began = time.process_time()
load_engine("embedded", weights=sys.argv[1])
print(time.process_time() - began)
"""
OURS = """
from ig_guardrail import ChatIGGuardrail
ChatIGGuardrail(policy="default", max_tokens=1).invoke("Hello!")
"""
THEIRS = f"""{LIBRARIES}
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
asked = [{{"role": "user", "content": "Hello!"}}]
ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
model.generate(**ids, max_new_tokens=1)
"""
UNPACKED = f"""{LIBRARIES}
from pathlib import Path
import gguf, ig_guardrail.engine.loading.unpacking.weights
from ig_guardrail.engine.loading.gguf import unpacked
began = time.perf_counter()
unpacked(Path(sys.argv[1]), "bfloat16")
print(time.perf_counter() - began)
"""


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """How long it takes to begin, and to begin for the first time."""
    more = [Path(file) for file in (os.environ.get("IG_TEST_GGUF"),) if file]
    return [*openings(pairs), *(one for file in (packed_file(), *more) for one in unpackings(file, pairs))]


def openings(pairs: int) -> list[tables.Row]:
    """The embedded model, opened before: by itself in a process that has the libraries, and to a first token."""
    folder, _ = embedded_model("bfloat16")
    runs = {
        "bf16": partial(_told, OPENED, "bf16"),
        "int4": partial(_told, OPENED, "int4"),
        "ours": partial(lasted, OURS, ""),
        "theirs": partial(lasted, THEIRS, str(folder)),
    }
    for run in runs.values():  # the first time of each is another matter
        run(0)
    took = in_turn(runs, pairs, STARTING)
    return [
        row(STARTING, "open-int4", "opening the embedded model in int4, CPU seconds", took["int4"], at_most=1.0),
        row(STARTING, "open-bf16", "opening it in bfloat16, CPU seconds", took["bf16"]),
        row(STARTING, "first-ours", "to a first token, with all imports, wall seconds", took["ours"]),
        row(STARTING, "first", "the same / `generate` of transformers", ratios(took["ours"], took["theirs"])),
    ]


def unpackings(file: Path, pairs: int) -> list[tables.Row]:
    """Unpacking a file beside reading it and writing as many bytes as come of it."""
    took: dict[str, list[float]] = {"ours": [], "copied": []}
    made = 0
    for number in range(pairs):
        for name in ("ours", "copied") if number % 2 else ("copied", "ours"):
            with TemporaryDirectory() as folder:
                if name == "copied":
                    took[name].append(_copied(file, Path(folder) / "copy", made or 3 * file.stat().st_size))
                else:
                    took[name].append(_told(UNPACKED, str(file), 0, IG_GUARDRAIL_CACHE=folder))
                    made = sum(one.stat().st_size for one in Path(folder).rglob("*.safetensors"))
    title = f"unpacking {size_of(file.stat().st_size)} to {size_of(made)}"
    beside = ratios(took["ours"], took["copied"])
    return [
        row(UNPACKING, f"unpack-{file.stem}", f"{title} / reading and writing these", beside, at_most=1.5),
        row(UNPACKING, f"unpack-{file.stem}-s", f"{title}, wall seconds", took["ours"]),
    ]


def _copied(file: Path, to: Path, size: int) -> float:
    """Seconds that it takes to read a file, and to write `size` bytes of it, again and again, onto the disk."""
    began = time.perf_counter()
    data = file.read_bytes()
    with to.open("wb") as out:
        while size > 0:
            for start in range(0, min(size, len(data)), _PIECE):
                out.write(data[start : min(start + _PIECE, size)])
            size -= len(data)
        out.flush()
        os.fsync(out.fileno())
    return time.perf_counter() - began


def _told(code: str, argument: str, _: int, **settings: str) -> float:
    """What a new process tells at its end."""
    told = subprocess.run(
        [sys.executable, "-c", code, argument],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**NEW, **settings},
    )
    return float(told.stdout)
